//! Requests without any credential.

use std::collections::HashSet;

use windlass_auth::authentication::configuration::AnonymousAuth;

/// Which requests may be anonymous.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anonymous {
    is_enabled: bool,
    /// The only paths; any, when there are none.
    paths: HashSet<String>,
}

impl Default for Anonymous {
    fn default() -> Self {
        Self::new(true)
    }
}

impl Anonymous {
    /// As `--anonymous-auth` says.
    pub fn new(is_enabled: bool) -> Self {
        Self { is_enabled, paths: HashSet::new() }
    }

    pub(crate) fn may_ask(&self, path: &str) -> bool {
        self.is_enabled && (self.paths.is_empty() || self.paths.contains(path))
    }
}

impl From<&AnonymousAuth> for Anonymous {
    fn from(configured: &AnonymousAuth) -> Self {
        let paths = configured.conditions.iter().map(|condition| condition.path.clone());
        Self { is_enabled: configured.enabled, paths: paths.collect() }
    }
}
