//! What is measured of requests, under kube-apiserver's names.
//!
//! Cost: a handful of hash lookups for a request, no lock that two requests want at once for long.

use std::borrow::Cow;
use std::time::Duration;

use http::Method;
use windlass_telemetry::{CounterFamily, DURATION_SECONDS, GaugeFamily, HistogramFamily, Metrics, exponential};

use windlass_resources::{Resource, Subresource};

use crate::message::path::ResourcePath;
use crate::message::query::Query;
use crate::registry::Registry;

const COMPONENT: &str = "apiserver";
/// What is counted for names that are not served: anybody can invent these, and each label that was ever seen stays in memory.
const UNKNOWN: &str = "unknown";

/// The metrics of the HTTP side.
pub(crate) struct RequestMetrics {
    requests: CounterFamily,
    durations: HistogramFamily,
    sizes: HistogramFamily,
    in_flight: GaugeFamily,
    long_running: GaugeFamily,
    rejected: CounterFamily,
}

/// What a request is counted under: words of this program, and names that are served.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    verb: &'static str,
    dry_run: &'static str,
    group: Cow<'static, str>,
    version: Cow<'static, str>,
    resource: Cow<'static, str>,
    subresource: &'static str,
    scope: &'static str,
    pub(crate) long_running: bool,
}

impl Labels {
    pub(crate) fn new(method: &Method, target: Option<&ResourcePath>, query: &Query, registry: &Registry) -> Self {
        let Some(target) = target else {
            return Self { verb: method_name(method), ..Self::default() };
        };
        let watch = (target.watch || query.flag("watch").unwrap_or(false)) && target.subresource.is_empty();
        let connects = target.subresource().is_some_and(|part| part.is_session() || part == Subresource::Proxy);
        let verb = match *method {
            _ if connects => "CONNECT",
            Method::GET if watch => "WATCH",
            Method::GET | Method::HEAD if target.name.is_empty() => "LIST",
            Method::DELETE if target.name.is_empty() => "DELETECOLLECTION",
            _ => method_name(method),
        };
        let scope = match (target.name.is_empty(), target.namespace.is_empty()) {
            (false, _) => "resource",
            (true, false) => "namespace",
            (true, true) => "cluster",
        };
        let served = registry.find(&target.resource).map(|served| &served.resource);
        let (group, version, resource) = match served {
            Some(served) => (served.kind.group.clone(), served.kind.version.clone(), served.plural.clone()),
            None => (UNKNOWN.into(), UNKNOWN.into(), UNKNOWN.into()),
        };
        let known =
            |resource: &Resource| resource.subresources.iter().map(|s| s.name()).find(|s| *s == target.subresource);
        let subresource = match &*target.subresource {
            "" => "",
            _ => served.and_then(known).unwrap_or(UNKNOWN),
        };
        let follows = target.subresource == "log" && query.flag("follow").unwrap_or(false);
        Self {
            verb,
            dry_run: if query.get("dryRun").is_some() { "All" } else { "" },
            group,
            version,
            resource,
            subresource,
            scope,
            long_running: verb == "WATCH" || connects || follows,
        }
    }

    /// Whether a request takes a seat: what runs for long does not, but for a watch, which begins with a list.
    pub(crate) fn takes_seat(&self) -> bool {
        !self.long_running || self.verb == "WATCH"
    }

    pub(crate) fn is_mutating(&self) -> bool {
        !matches!(self.verb, "GET" | "LIST" | "WATCH" | "HEAD" | "OPTIONS")
    }
}

fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

impl RequestMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let of_request = ["verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component"];
        let with_code: Vec<&str> = of_request.into_iter().chain(["code"]).collect();
        let sizes: [&str; 7] = ["component", "group", "resource", "scope", "subresource", "verb", "version"];
        Self {
            requests: metrics.counters(
                "apiserver_request_total",
                "Requests by what they were for and how they ended.",
                &with_code,
            ),
            durations: metrics.histograms(
                "apiserver_request_duration_seconds",
                "How long requests took, in seconds.",
                &of_request,
                &DURATION_SECONDS,
            ),
            sizes: metrics.histograms(
                "apiserver_response_sizes",
                "Bytes of responses whose length was known.",
                &sizes,
                &exponential(1000.0, 10.0, 7),
            ),
            in_flight: metrics.gauges(
                "apiserver_current_inflight_requests",
                "Requests that are being worked on, without those that run for long.",
                &["request_kind"],
            ),
            long_running: metrics.gauges(
                "apiserver_longrunning_requests",
                "Watches, followed logs and sessions that are open.",
                &["component", "group", "resource", "scope", "subresource", "verb", "version"],
            ),
            rejected: metrics.counters(
                "apiserver_request_terminations_total",
                "Requests that were turned away because too many were under way.",
                &["code", "component", "group", "resource", "scope", "subresource", "verb", "version"],
            ),
        }
    }

    pub(crate) fn finished(&self, labels: &Labels, code: u16, bytes: Option<u64>, took: Duration) {
        let l = labels;
        let of_request = [l.verb, l.dry_run, &l.group, &l.version, &l.resource, l.subresource, l.scope, COMPONENT];
        let mut digits = [0; 3];
        let with_code = [
            l.verb,
            l.dry_run,
            &l.group,
            &l.version,
            &l.resource,
            l.subresource,
            l.scope,
            COMPONENT,
            text(code, &mut digits),
        ];
        self.requests.with_label_values(&with_code).inc();
        if !l.long_running {
            self.durations.with_label_values(&of_request).observe(took.as_secs_f64());
        }
        if let Some(bytes) = bytes.filter(|_| matches!(l.verb, "GET" | "LIST")) {
            #[expect(clippy::cast_precision_loss, reason = "a histogram of sizes needs no more than 52 bits")]
            self.sizes.with_label_values(&self.wide(l)).observe(bytes as f64);
        }
    }

    fn wide<'a>(&self, l: &'a Labels) -> [&'a str; 7] {
        [COMPONENT, &l.group, &l.resource, l.scope, l.subresource, l.verb, &l.version]
    }

    pub(crate) fn rejected(&self, l: &Labels) {
        let values = ["429", COMPONENT, &l.group, &l.resource, l.scope, l.subresource, l.verb, &l.version];
        self.rejected.with_label_values(&values).inc();
    }

    /// Counts a request as under way until the answer is dropped.
    pub(crate) fn under_way(&self, labels: &Labels) -> UnderWay {
        let gauge = if labels.long_running {
            self.long_running.with_label_values(&self.wide(labels))
        } else {
            let kind = if labels.is_mutating() { "mutating" } else { "readOnly" };
            self.in_flight.with_label_values(&[kind])
        };
        gauge.inc();
        UnderWay(gauge)
    }
}

pub(crate) struct UnderWay(windlass_telemetry::Gauge);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Three digits without an allocation.
fn text(code: u16, digits: &mut [u8; 3]) -> &str {
    *digits = [code / 100 % 10, code / 10 % 10, code % 10].map(|digit| b'0' + digit as u8);
    std::str::from_utf8(digits).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::path;

    #[test]
    fn labels() {
        let cases = [
            (Method::GET, "/api/v1/pods", "", "LIST", "cluster", false),
            (Method::GET, "/api/v1/namespaces/a/pods", "watch=1", "WATCH", "namespace", true),
            (Method::GET, "/api/v1/namespaces/a/pods/p", "", "GET", "resource", false),
            (Method::GET, "/api/v1/namespaces/a/pods/p/log", "follow=true", "GET", "resource", true),
            (Method::POST, "/api/v1/namespaces/a/pods/p/exec", "", "CONNECT", "resource", true),
            (Method::DELETE, "/api/v1/namespaces/a/pods", "", "DELETECOLLECTION", "namespace", false),
            (Method::GET, "/version", "", "GET", "", false),
        ];
        for (method, path, query, verb, scope, long_running) in cases {
            let query = Query::parse(Some(query));
            let labels = Labels::new(&method, path::parse(path).as_ref(), &query, &Registry::default());
            assert_eq!((labels.verb, labels.scope, labels.long_running), (verb, scope, long_running), "{path}");
        }
        assert_eq!(text(404, &mut [0; 3]), "404");
    }
}
