//! What the audit log is told of a write: the values of annotations, and which validations it has failed.

use serde_json::{Value, json};

use crate::policies::{Action, Binding};
use crate::review::Review;

/// The longest value of an annotation, in bytes.
const VALUE_BYTES_MAX: usize = 10 * 1024;
/// More failed validations are not told of.
const FAILURES_MAX: usize = 50;
const FAILURES_KEY: &str = "validation.policy.admission.k8s.io/validation_failure";

/// The annotations of one policy; several bindings may each give a value to a key.
#[derive(Default)]
pub(super) struct Annotations {
    policy: String,
    values: Vec<(String, Vec<String>)>,
}

impl Annotations {
    /// Goes on with a policy; publishes those of the last one when it is another.
    pub(super) fn begin(&mut self, review: &Review<'_>, policy: &str) {
        if self.policy != policy {
            self.publish(review);
            policy.clone_into(&mut self.policy);
        }
    }

    pub(super) fn add(&mut self, key: &str, mut value: String) {
        let mut end = value.len().min(VALUE_BYTES_MAX);
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        value.truncate(end);
        match self.values.iter_mut().find(|(have, _)| have == key) {
            Some((_, values)) if values.contains(&value) => {}
            Some((_, values)) => values.push(value),
            None => self.values.push((key.to_owned(), vec![value])),
        }
    }

    pub(super) fn publish(&mut self, review: &Review<'_>) {
        for (key, values) in std::mem::take(&mut self.values) {
            if let Some(audit) = review.warnings.audit() {
                audit.annotate(&format!("{}/{key}", self.policy), values.join(", "));
            }
        }
    }
}

/// The validations that a write has failed where bindings say `Audit`.
#[derive(Default)]
pub(super) struct Failures(Vec<Value>);

impl Failures {
    pub(super) fn add(&mut self, index: usize, message: &str, binding: &Binding, policy: &str) {
        if self.0.len() < FAILURES_MAX {
            let actions: Vec<&str> = binding.actions.iter().copied().map(Action::name).collect();
            self.0
                .push(json!({"message": message, "policy": policy, "binding": binding.name, "expressionIndex": index,
                "validationActions": actions}));
        }
    }

    pub(super) fn publish(self, review: &Review<'_>) {
        if let Some(audit) = review.warnings.audit().filter(|_| !self.0.is_empty()) {
            audit.annotate(FAILURES_KEY, Value::Array(self.0).to_string());
        }
    }
}
