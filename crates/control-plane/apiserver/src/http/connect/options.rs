//! Connections as admission sees them: objects that say what the client wants of the other end.

use form_urlencoded::Serializer;
use serde_json::{Map, Value};
use windlass_api::GroupVersionKind;
use windlass_resources::Subresource;

use super::super::path::ResourcePath;
use super::super::query::Query;

const FLAGS: [&str; 4] = ["stdin", "stdout", "stderr", "tty"];

/// The kind of a connection and its options; `None` for the log of a pod, which is a reading like any other.
pub(super) fn of(found: &ResourcePath, subresource: Subresource, query: &Query) -> Option<(GroupVersionKind, Value)> {
    let kind = match (&*found.resource.resource, subresource) {
        ("pods", Subresource::Exec) => "PodExecOptions",
        ("pods", Subresource::Attach) => "PodAttachOptions",
        ("pods", Subresource::PortForward) => "PodPortForwardOptions",
        ("pods", Subresource::Proxy) => "PodProxyOptions",
        ("services", Subresource::Proxy) => "ServiceProxyOptions",
        ("nodes", Subresource::Proxy) => "NodeProxyOptions",
        _ => return None,
    };
    let mut options = Map::new();
    match subresource {
        Subresource::Exec | Subresource::Attach => {
            // Output is wanted, unless the client says that it is not.
            let is_set = |flag: &&str| query.flag(flag).unwrap_or(*flag == "stdout" || *flag == "stderr");
            options
                .extend(FLAGS.iter().filter(|flag| is_set(flag)).map(|flag| ((*flag).to_owned(), Value::from(true))));
            let container = query.get("container").filter(|name| !name.is_empty());
            options.extend(container.map(|name| ("container".to_owned(), Value::from(name))));
            let command: Vec<Value> = query.all("command").map(Value::from).collect();
            if !command.is_empty() {
                options.insert("command".to_owned(), Value::from(command));
            }
        }
        Subresource::PortForward => {
            let ports = query.all("ports").flat_map(|ports| ports.split(','));
            let ports: Vec<Value> = ports.filter_map(|port| port.parse::<i32>().ok()).map(Value::from).collect();
            if !ports.is_empty() {
                options.insert("ports".to_owned(), Value::from(ports));
            }
        }
        _ => {
            options.insert("path".to_owned(), Value::from(format!("/{}", found.rest)));
        }
    }
    Some((GroupVersionKind::of("", "v1", kind), Value::Object(options)))
}

/// The query that asks for what the options of a session say.
pub(super) fn query(options: &Value) -> Query {
    let mut query = Serializer::new(String::new());
    for flag in FLAGS {
        let is_set = options[flag].as_bool().unwrap_or(false);
        query.append_pair(flag, if is_set { "true" } else { "false" });
    }
    if let Some(container) = options["container"].as_str() {
        query.append_pair("container", container);
    }
    for (field, name) in [("command", "command"), ("ports", "ports")] {
        for word in options[field].as_array().into_iter().flatten() {
            query.append_pair(name, &word.as_str().map_or_else(|| word.to_string(), str::to_owned));
        }
    }
    Query::parse(Some(&query.finish()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::path;
    use super::*;

    #[test]
    fn what_admission_sees() {
        let seen = |path: &str, subresource, text: &str| {
            let (kind, options) = of(&path::parse(path).unwrap(), subresource, &Query::parse(Some(text)))?;
            Some((kind.kind.into_owned(), options))
        };
        let exec = json!({"stdin": true, "stdout": true, "container": "c", "command": ["sh", "-c"]});
        let text = "stdin=true&stderr=false&container=c&command=sh&command=-c";
        let pod = "/api/v1/namespaces/n/pods/p";
        let found = seen(&format!("{pod}/exec"), Subresource::Exec, text);
        assert_eq!(found, Some(("PodExecOptions".to_owned(), exec.clone())));
        let same = of(&path::parse(&format!("{pod}/exec")).unwrap(), Subresource::Exec, &query(&exec)).unwrap();
        assert_eq!(same.1, exec);
        let ports = seen(&format!("{pod}/portforward"), Subresource::PortForward, "ports=80,443");
        assert_eq!(ports, Some(("PodPortForwardOptions".to_owned(), json!({"ports": [80, 443]}))));
        let proxy = seen("/api/v1/namespaces/n/services/s/proxy/a/b", Subresource::Proxy, "");
        assert_eq!(proxy, Some(("ServiceProxyOptions".to_owned(), json!({"path": "/a/b"}))));
        assert_eq!(seen(&format!("{pod}/log"), Subresource::Log, ""), None);
    }
}
