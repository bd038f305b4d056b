//! `/healthz`, `/livez`, `/readyz`: whether the server works, check by check.

use std::collections::BTreeSet;

use http::{Response, StatusCode};
use parking_lot::RwLock;

use super::PageRequest;
use crate::message::response::{Body, words};

/// Says whether something works; the text is for the operator.
pub type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The checks of a server.
#[derive(Default)]
pub struct Health {
    checks: RwLock<Vec<(String, Check)>>,
}

impl Health {
    /// Adds a check under a name (`etcd`, `poststarthook/rbac/bootstrap-roles`).
    pub fn add(&self, name: &str, check: Check) {
        self.checks.write().push((name.to_owned(), check));
    }

    /// The paths of all checks, together and each.
    pub(super) fn paths(&self) -> Vec<String> {
        let checks = self.checks.read();
        let below = |endpoint: &str| {
            let each = checks.iter().map(|(name, _)| format!("/{endpoint}/{name}"));
            std::iter::once(format!("/{endpoint}")).chain(each).collect::<Vec<_>>()
        };
        ["healthz", "livez", "readyz"].into_iter().flat_map(below).collect()
    }

    /// `/livez`: `ok`, or what of the checks fails; with `?verbose` all of them, with `?exclude=NAME` without some. `/livez/NAME`: one
    /// check, and why it fails. `None` when there is no such check.
    pub(super) fn page(&self, request: &PageRequest<'_>) -> Option<Response<Body>> {
        let mut segments = request.path[1..].splitn(2, '/');
        let endpoint = segments.next().unwrap_or_default();
        match segments.next() {
            None => Some(self.all(endpoint, request)),
            Some(name) => self.one(name),
        }
    }

    fn one(&self, name: &str) -> Option<Response<Body>> {
        let checks = self.checks.read();
        let (_, check) = checks.iter().find(|(own, _)| own == name)?;
        Some(match check() {
            Ok(()) => words(StatusCode::OK, "ok"),
            Err(why) => words(StatusCode::INTERNAL_SERVER_ERROR, format!("internal server error: {why}\n")),
        })
    }

    fn all(&self, endpoint: &str, request: &PageRequest<'_>) -> Response<Body> {
        let excluded: BTreeSet<&str> = request.query.all("exclude").collect();
        let mut unknown = excluded.clone();
        let mut lines = String::new();
        let mut failed = false;
        for (name, check) in self.checks.read().iter() {
            unknown.remove(name.as_str());
            if excluded.contains(name.as_str()) {
                lines.push_str(&format!("[+]{name} excluded: ok\n"));
                continue;
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
        }
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
