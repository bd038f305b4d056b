//! `/healthz`, `/livez`, `/readyz`: whether the server works, check by check.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Response, StatusCode};
use parking_lot::RwLock;

use super::PageRequest;
use crate::message::response::{Body, words};

/// Says whether something works; the text is for the operator.
pub type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The endpoint for those who choose where requests go: a server that is not ready need not be started again.
const READINESS: &str = "readyz";
const ENDPOINTS: [&str; 3] = ["healthz", "livez", READINESS];

struct Entry {
    name: String,
    check: Check,
    /// Asked at `/readyz` alone.
    is_of_readiness: bool,
}

impl Entry {
    fn is_at(&self, endpoint: &str) -> bool {
        !self.is_of_readiness || endpoint == READINESS
    }
}

/// The checks of a server.
pub struct Health {
    checks: RwLock<Vec<Entry>>,
    /// The last check of readiness.
    shutdown: Entry,
    shuts_down: Arc<AtomicBool>,
}

impl Default for Health {
    fn default() -> Self {
        let shuts_down = Arc::new(AtomicBool::new(false));
        let seen = shuts_down.clone();
        let check = move || match seen.load(Ordering::Acquire) {
            true => Err("process is shutting down".to_owned()),
            false => Ok(()),
        };
        let shutdown = Entry { name: "shutdown".to_owned(), check: Box::new(check), is_of_readiness: true };
        Self { checks: RwLock::default(), shutdown, shuts_down }
    }
}

impl Health {
    /// Adds a check under a name (`etcd`, `poststarthook/rbac/bootstrap-roles`).
    pub fn add(&self, name: &str, check: Check) {
        self.checks.write().push(Entry { name: name.to_owned(), check, is_of_readiness: false });
    }

    /// Adds a check of readiness.
    pub fn add_to_readiness(&self, name: &str, check: Check) {
        self.checks.write().push(Entry { name: name.to_owned(), check, is_of_readiness: true });
    }

    /// From now on the server is not ready: it answers what it is asked, but nobody should send it more.
    pub fn begin_shutdown(&self) {
        self.shuts_down.store(true, Ordering::Release);
    }

    /// Calls `visit` with each check of an endpoint, in their order.
    fn each(&self, endpoint: &str, visit: impl FnMut(&Entry)) {
        let checks = self.checks.read();
        checks.iter().chain([&self.shutdown]).filter(|entry| entry.is_at(endpoint)).for_each(visit);
    }

    /// The paths of all checks, together and each.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        for endpoint in ENDPOINTS {
            paths.push(format!("/{endpoint}"));
            self.each(endpoint, |entry| paths.push(format!("/{endpoint}/{}", entry.name)));
        }
        paths
    }

    /// `/livez`: `ok`, or what of the checks fails; with `?verbose` all of them, with `?exclude=NAME` without some. `/livez/NAME`: one
    /// check, and why it fails. `None` when there is no such check.
    pub(super) fn page(&self, request: &PageRequest<'_>) -> Option<Response<Body>> {
        let mut segments = request.path[1..].splitn(2, '/');
        let endpoint = segments.next().unwrap_or_default();
        match segments.next() {
            None => Some(self.all(endpoint, request)),
            Some(name) => self.one(endpoint, name),
        }
    }

    fn one(&self, endpoint: &str, name: &str) -> Option<Response<Body>> {
        let mut result = None;
        self.each(endpoint, |entry| {
            if entry.name == name {
                result = Some((entry.check)());
            }
        });
        Some(match result? {
            Ok(()) => words(StatusCode::OK, "ok"),
            Err(why) => words(StatusCode::INTERNAL_SERVER_ERROR, format!("internal server error: {why}\n")),
        })
    }

    fn all(&self, endpoint: &str, request: &PageRequest<'_>) -> Response<Body> {
        let excluded: BTreeSet<&str> = request.query.all("exclude").collect();
        let mut unknown = excluded.clone();
        let mut lines = String::new();
        let mut failed = false;
        self.each(endpoint, |Entry { name, check, .. }| {
            unknown.remove(name.as_str());
            if excluded.contains(name.as_str()) {
                return lines.push_str(&format!("[+]{name} excluded: ok\n"));
            }
            match check() {
                Ok(()) => lines.push_str(&format!("[+]{name} ok\n")),
                // Anybody may read this; who may see more asks for the check itself.
                Err(why) => {
                    tracing::info!(check = name, %why, "a health check failed");
                    failed = true;
                    lines.push_str(&format!("[-]{name} failed: reason withheld\n"));
                }
            }
        });
        if !unknown.is_empty() {
            let names: Vec<String> = unknown.iter().map(|name| format!("{name:?}")).collect();
            let names = names.join(", ");
            lines.push_str(&format!("warn: some health checks cannot be excluded: no matches for {names}\n"));
        }
        if failed {
            return words(StatusCode::INTERNAL_SERVER_ERROR, format!("{lines}{endpoint} check failed\n"));
        }
        match request.query.get("verbose") {
            Some(_) => words(StatusCode::OK, format!("{lines}{endpoint} check passed\n")),
            None => words(StatusCode::OK, "ok"),
        }
    }
}
