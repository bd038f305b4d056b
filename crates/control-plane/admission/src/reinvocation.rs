//! What mutating admission remembers between its two rounds.
//!
//! When a webhook or a policy has changed the object, all mutating steps run once more, and what asks for it (`reinvocationPolicy:
//! IfNeeded`) is asked again if somebody changed the object after it.

use std::collections::HashSet;

use serde_json::Value;

/// The state of a write that goes through mutating admission.
#[derive(Debug, Default)]
pub struct Reinvocation {
    /// This is the second round.
    pub is_second: bool,
    /// The object has been changed in a way that asks for a second round.
    pub is_wanted: bool,
    pub webhooks: Invoked,
    pub policies: Invoked,
}

/// Which webhooks, or which policies, have been asked in the first round, and are to be asked again.
#[derive(Debug, Default)]
pub struct Invoked {
    /// Those that take part in a second round, in so far as they were asked.
    invoked: HashSet<String>,
    again: HashSet<String>,
    /// The object after the last of them.
    output: Option<Value>,
}

impl Invoked {
    /// Begins the second round: when others have changed the object since, all are to be asked again.
    pub fn begin_second(&mut self, object: Option<&Value>) {
        if self.output.as_ref() != object {
            self.require_all();
        }
    }

    /// The object has been changed: those who have seen it before are to see it again.
    pub fn require_all(&mut self) {
        self.again.extend(self.invoked.drain());
    }

    pub fn is_required(&self, id: &str) -> bool {
        self.again.contains(id)
    }

    /// Remembers that one was asked which wants to be asked again if needed.
    pub fn add(&mut self, id: String) {
        self.invoked.insert(id);
    }

    /// Remembers the object as it is after all of them. Nobody asks where nobody is to be asked again.
    pub fn end(&mut self, object: Option<&Value>) {
        self.output = if self.invoked.is_empty() { None } else { object.cloned() };
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_is_asked_again() {
        let (one, other) = (json!(1), json!(2));
        let mut invoked = Invoked::default();
        invoked.add("a".to_owned());
        invoked.require_all();
        invoked.add("b".to_owned());
        invoked.end(Some(&one));
        // "b" has changed the object after "a"; nobody did after "b".
        invoked.begin_second(Some(&one));
        assert!(invoked.is_required("a") && !invoked.is_required("b"));
        invoked.begin_second(Some(&other));
        assert!(invoked.is_required("b") && !invoked.is_required("c"));
    }
}
