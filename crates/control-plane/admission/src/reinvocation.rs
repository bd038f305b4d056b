//! The second round of the mutating step: when a policy or a webhook has changed an object, plugins run once more, and those policies and
//! webhooks with them that ask for it (`reinvocationPolicy: IfNeeded`).
//!
//! Source: apiserver `pkg/admission/reinvocation.go`, `policy/mutating/reinvocationcontext.go`.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

/// What has happened of the mutating step of one write.
#[derive(Debug, Default)]
pub struct Reinvocation {
    is_again: bool,
    is_wanted: bool,
    plugins: BTreeMap<&'static str, Invoked>,
}

/// What has happened of it in one plugin, whose policies or webhooks have keys.
#[derive(Debug, Default)]
pub struct Invoked {
    /// The object as the plugin left it.
    output: Option<Value>,
    /// Those that have run, and would run again.
    before: HashSet<String>,
    /// Those that have to run again.
    again: HashSet<String>,
}

impl Reinvocation {
    /// Whether this is the second round.
    pub fn is_again(&self) -> bool {
        self.is_again
    }

    /// Asks for a second round.
    pub fn want(&mut self) {
        self.is_wanted = true;
    }

    /// Whether a second round begins now.
    pub(crate) fn begin_again(&mut self) -> bool {
        let begins = self.is_wanted && !self.is_again;
        self.is_again |= begins;
        begins
    }

    pub fn of(&mut self, plugin: &'static str) -> &mut Invoked {
        self.plugins.entry(plugin).or_default()
    }
}

impl Invoked {
    /// Whether others have changed the object since the plugin left it.
    pub fn is_changed(&self, object: Option<&Value>) -> bool {
        self.output.as_ref() != object
    }

    /// Notes how the plugin leaves the object.
    pub fn leave(&mut self, object: Option<&Value>) {
        self.output = object.cloned();
    }

    /// Notes that one has run that would run again.
    pub fn note(&mut self, key: String) {
        self.before.insert(key);
    }

    /// Has all those run again that have run so far, and would.
    pub fn require_again(&mut self) {
        self.again.extend(self.before.drain());
    }

    /// Whether one has to run again.
    pub fn has_to_run(&self, key: &str) -> bool {
        self.again.contains(key)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_runs_again() {
        let (one, other) = (json!(1), json!(2));
        let mut reinvocation = Reinvocation::default();
        assert!(!reinvocation.begin_again(), "nobody wants it");
        let invoked = reinvocation.of("plugin");
        invoked.note("a".to_owned());
        invoked.require_again();
        invoked.note("b".to_owned());
        invoked.leave(Some(&one));
        // "b" has changed the object after "a", and nobody after "b".
        assert!(!invoked.is_changed(Some(&one)) && invoked.is_changed(Some(&other)));
        assert!(invoked.has_to_run("a") && !invoked.has_to_run("b"));
        invoked.require_again();
        assert!(invoked.has_to_run("b") && !invoked.has_to_run("c"));
        reinvocation.want();
        assert!(reinvocation.begin_again() && reinvocation.is_again() && !reinvocation.begin_again());
    }
}
