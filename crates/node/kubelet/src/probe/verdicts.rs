//! What probes have found out about containers.

use std::collections::HashMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Startup,
    Liveness,
    Readiness,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }
}

/// By container ID; no verdict means that a probe has not come to one yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdicts {
    all: HashMap<(String, Kind), bool>,
}

impl Verdicts {
    /// Returns whether that is news.
    pub(crate) fn set(&mut self, container_id: &str, kind: Kind, success: bool) -> bool {
        self.all.insert((container_id.to_owned(), kind), success) != Some(success)
    }

    fn get(&self, container_id: &str, kind: Kind) -> Option<bool> {
        self.all.get(&(container_id.to_owned(), kind)).copied()
    }

    pub(crate) fn startup(&self, container_id: &str) -> Option<bool> {
        self.get(container_id, Kind::Startup)
    }

    pub(crate) fn liveness(&self, container_id: &str) -> Option<bool> {
        self.get(container_id, Kind::Liveness)
    }

    pub(crate) fn readiness(&self, container_id: &str) -> Option<bool> {
        self.get(container_id, Kind::Readiness)
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.all.retain(|(id, _), _| keep(id));
    }
}
