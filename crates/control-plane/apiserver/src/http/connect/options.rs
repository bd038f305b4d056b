//! Connections as admission sees them: objects that say what the client wants of the other end.

use form_urlencoded::Serializer;
use serde_json::{Map, Value};
use windlass_resources::Subresource;

use crate::message::query::Query;

const FLAGS: [&str; 4] = ["stdin", "stdout", "stderr", "tty"];

/// The options of a connection; `None` for the log of a pod, which is a reading like any other.
pub(super) fn of(subresource: Subresource, path: &str, query: &Query) -> Option<Value> {
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
        Subresource::Proxy => {
            options.insert("path".to_owned(), Value::from(format!("/{path}")));
        }
        _ => return None,
    }
    Some(Value::Object(options))
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

    use super::*;

    #[test]
    fn what_admission_sees() {
        let seen = |subresource, path: &str, text: &str| of(subresource, path, &Query::parse(Some(text)));
        let exec = json!({"stdin": true, "stdout": true, "container": "c", "command": ["sh", "-c"]});
        let text = "stdin=true&stderr=false&container=c&command=sh&command=-c";
        assert_eq!(seen(Subresource::Exec, "", text), Some(exec.clone()));
        assert_eq!(of(Subresource::Exec, "", &query(&exec)), Some(exec));
        let ports = json!({"ports": [80, 443]});
        assert_eq!(seen(Subresource::PortForward, "", "ports=80,443"), Some(ports));
        assert_eq!(seen(Subresource::Proxy, "a/b", ""), Some(json!({"path": "/a/b"})));
        assert_eq!(seen(Subresource::Log, "", ""), None);
    }
}
