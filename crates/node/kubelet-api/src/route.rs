//! What a path asks for.

use http::Method;
use percent_encoding::percent_decode_str;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Healthz,
    Pods,
    RunningPods,
    Metrics,
    MetricsCadvisor,
    MetricsProbes,
    MetricsResource,
    StatsSummary,
    Configz,
    ContainerLogs { namespace: String, pod: String, container: String },
    Exec(Container),
    Attach(Container),
    Run(Container),
    PortForward { namespace: String, pod: String, uid: Option<String> },
    SystemLogs { path: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Container {
    pub namespace: String,
    pub pod: String,
    pub uid: Option<String>,
    pub name: String,
}

/// Why there is no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoute {
    NotFound,
    Method,
}

pub(crate) fn find(method: &Method, path: &str) -> Result<Route, NoRoute> {
    let route = by_path(path).ok_or(NoRoute::NotFound)?;
    let allowed = match &route {
        Route::Exec(_) | Route::Attach(_) | Route::PortForward { .. } => matches!(*method, Method::GET | Method::POST),
        Route::Run(_) => *method == Method::POST,
        _ => matches!(*method, Method::GET | Method::HEAD),
    };
    if allowed { Ok(route) } else { Err(NoRoute::Method) }
}

fn by_path(path: &str) -> Option<Route> {
    let path = path.strip_prefix('/')?;
    if path == "logs" || path.starts_with("logs/") {
        let path = decode(path.strip_prefix("logs").unwrap_or_default());
        return Some(Route::SystemLogs { path });
    }
    let parts: Vec<String> = path.trim_end_matches('/').split('/').map(decode).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    if parts.len() > 1 && parts.iter().any(|part| part.is_empty()) {
        return None;
    }
    Some(match parts.as_slice() {
        ["healthz"] | ["healthz", "ping" | "log" | "syncloop"] => Route::Healthz,
        ["pods"] => Route::Pods,
        ["runningpods"] => Route::RunningPods,
        ["metrics"] => Route::Metrics,
        ["metrics", "cadvisor"] => Route::MetricsCadvisor,
        ["metrics", "probes"] => Route::MetricsProbes,
        ["metrics", "resource"] => Route::MetricsResource,
        ["stats", "summary"] => Route::StatsSummary,
        ["configz"] => Route::Configz,
        ["containerLogs", namespace, pod, container] => Route::ContainerLogs {
            namespace: (*namespace).to_owned(),
            pod: (*pod).to_owned(),
            container: (*container).to_owned(),
        },
        ["exec", rest @ ..] => Route::Exec(container(rest)?),
        ["attach", rest @ ..] => Route::Attach(container(rest)?),
        ["run", rest @ ..] => Route::Run(container(rest)?),
        ["portForward", namespace, pod, uid @ ..] if uid.len() < 2 => Route::PortForward {
            namespace: (*namespace).to_owned(),
            pod: (*pod).to_owned(),
            uid: uid.first().map(|uid| (*uid).to_owned()),
        },
        _ => return None,
    })
}

fn container(parts: &[&str]) -> Option<Container> {
    let (namespace, pod, uid, name) = match parts {
        [namespace, pod, name] => (namespace, pod, None, name),
        [namespace, pod, uid, name] => (namespace, pod, Some((*uid).to_owned()), name),
        _ => return None,
    };
    Some(Container { namespace: (*namespace).to_owned(), pod: (*pod).to_owned(), uid, name: (*name).to_owned() })
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let of = |uid: Option<&str>| Container {
            namespace: "ns".to_owned(),
            pod: "p".to_owned(),
            uid: uid.map(str::to_owned),
            name: "c".to_owned(),
        };
        let forward = |uid: Option<&str>| Route::PortForward {
            namespace: "ns".to_owned(),
            pod: "p".to_owned(),
            uid: uid.map(str::to_owned),
        };
        let logs = |path: &str| Route::SystemLogs { path: path.to_owned() };
        let cases = [
            (Method::GET, "/healthz", Ok(Route::Healthz)),
            (Method::GET, "/healthz/ping", Ok(Route::Healthz)),
            (Method::POST, "/healthz", Err(NoRoute::Method)),
            (Method::GET, "/runningpods/", Ok(Route::RunningPods)),
            (Method::POST, "/exec/ns/p/c", Ok(Route::Exec(of(None)))),
            (Method::GET, "/attach/ns/p/u/c", Ok(Route::Attach(of(Some("u"))))),
            (Method::GET, "/run/ns/p/c", Err(NoRoute::Method)),
            (Method::POST, "/portForward/ns/p", Ok(forward(None))),
            (Method::POST, "/portForward/ns/p/u", Ok(forward(Some("u")))),
            (Method::POST, "/portForward/ns/p/u/x", Err(NoRoute::NotFound)),
            (Method::GET, "/exec/ns//c", Err(NoRoute::NotFound)),
            (Method::GET, "/logs", Ok(logs(""))),
            (Method::GET, "/logs/a%20b/c", Ok(logs("/a b/c"))),
            (Method::GET, "/logsx", Err(NoRoute::NotFound)),
            (Method::GET, "/", Err(NoRoute::NotFound)),
        ];
        for (method, path, expected) in cases {
            assert_eq!(find(&method, path), expected, "{method} {path}");
        }
    }
}
