//! `/healthz`, `/livez`, `/readyz`: whether the server works, check by check.

use http::{Response, StatusCode};
use parking_lot::RwLock;

use super::PageRequest;
use crate::http::response::{Body, plain};

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

    /// `ok`, or the checks that fail; with `?verbose` all of them, with `?exclude=NAME` without some.
    pub(super) fn page(&self, request: &PageRequest<'_>) -> Response<Body> {
        let mut segments = request.path.trim_matches('/').splitn(2, '/');
        let endpoint = segments.next().unwrap_or_default();
        let only = segments.next();
        let excluded: Vec<&str> = request.query.all("exclude").collect();
        let checks = self.checks.read();
        let mut lines = Vec::new();
        let mut failed = false;
        let mut found = only.is_none();
        for (name, check) in checks.iter() {
            if only.is_some_and(|only| only != name) {
                continue;
            }
            found = true;
            if excluded.contains(&name.as_str()) {
                lines.push(format!("[+]{name} excluded: ok"));
                continue;
            }
            match check() {
                Ok(()) => lines.push(format!("[+]{name} ok")),
                Err(why) => {
                    tracing::info!(check = name, %why, "a health check failed");
                    failed = true;
                    lines.push(format!("[-]{name} failed: reason withheld"));
                }
            }
        }
        if !found {
            return plain(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "404 page not found\n");
        }
        if failed {
            let text = format!("{}\n{endpoint} check failed\n", lines.join("\n"));
            return plain(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", text);
        }
        if request.query.get("verbose").is_some() {
            let text = format!("{}\n{endpoint} check passed\n", lines.join("\n"));
            return plain(StatusCode::OK, "text/plain; charset=utf-8", text);
        }
        plain(StatusCode::OK, "text/plain; charset=utf-8", "ok")
    }
}
