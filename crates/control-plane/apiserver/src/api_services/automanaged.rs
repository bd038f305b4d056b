//! What the server does with an APIService of a group version that it serves, or served, itself.
//!
//! Source: kube-aggregator `controllers/autoregister/autoregister_controller.go`.

/// How long the server keeps an APIService as it should be: what the label says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Managed {
    /// Once, when the server starts.
    OnStart,
    Always,
}

impl Managed {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::OnStart => "onstart",
            Self::Always => "true",
        }
    }

    /// `None` for those that somebody else keeps.
    pub(super) fn read(label: &str) -> Option<Self> {
        [Self::OnStart, Self::Always].into_iter().find(|managed| managed.label() == label)
    }
}

/// An APIService, as it should be and as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Situation {
    /// `None` when there should be none.
    pub desired: Option<Managed>,
    pub current: Option<Current>,
    /// Whether it was there when the server started.
    pub was_at_start: bool,
    /// Whether it has been brought about once since the server started.
    pub is_settled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Current {
    /// `None` when it belongs to somebody else.
    pub managed: Option<Managed>,
    pub is_as_desired: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    Create,
    Update,
    Delete,
}

impl Situation {
    pub(super) fn action(self) -> Action {
        if self.desired == Some(Managed::OnStart) && self.is_settled {
            return Action::Nothing;
        }
        let Some(current) = self.current else {
            return if self.desired.is_some() { Action::Create } else { Action::Nothing };
        };
        match current.managed {
            None => Action::Nothing,
            Some(Managed::OnStart) if !self.was_at_start || self.is_settled => Action::Nothing,
            Some(_) if self.desired.is_none() => Action::Delete,
            Some(_) if current.is_as_desired => Action::Nothing,
            Some(_) => Action::Update,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_table() {
        use Action::{Create, Delete, Nothing, Update};
        use Managed::{Always, OnStart};
        // Current: nothing, another's, on start but later, on start and there at the start, always.
        let rows = [
            (None, false, [Nothing, Create, Create]),
            (Some(None), true, [Nothing, Nothing, Nothing]),
            (Some(Some(OnStart)), false, [Nothing, Nothing, Nothing]),
            (Some(Some(OnStart)), true, [Delete, Update, Update]),
            (Some(Some(Always)), true, [Delete, Update, Update]),
        ];
        for (current, was_at_start, expected) in rows {
            let current = current.map(|managed| Current { managed, is_as_desired: false });
            for (desired, expected) in [None, Some(OnStart), Some(Always)].into_iter().zip(expected) {
                let situation = Situation { desired, current, was_at_start, is_settled: false };
                assert_eq!(situation.action(), expected, "{situation:?}");
            }
        }
    }

    #[test]
    fn what_is_once_is_not_done_twice() {
        use Managed::{Always, OnStart};
        let other = |managed| Some(Current { managed: Some(managed), is_as_desired: false });
        for (desired, current, expected) in [
            (Some(OnStart), None, Action::Nothing),
            (Some(OnStart), other(Always), Action::Nothing),
            (Some(Always), other(OnStart), Action::Nothing),
            (None, other(OnStart), Action::Nothing),
            (Some(Always), None, Action::Create),
            (Some(Always), other(Always), Action::Update),
            (None, other(Always), Action::Delete),
        ] {
            let situation = Situation { desired, current, was_at_start: true, is_settled: true };
            assert_eq!(situation.action(), expected, "{situation:?}");
        }
        let same = Some(Current { managed: Some(Always), is_as_desired: true });
        let situation = Situation { desired: Some(Always), current: same, was_at_start: true, is_settled: true };
        assert_eq!(situation.action(), Action::Nothing);
        for label in ["", "false", "True"] {
            assert_eq!(Managed::read(label), None);
        }
    }
}
