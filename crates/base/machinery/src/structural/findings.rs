//! What validation has found so far, in order and within bounds.

use std::collections::HashSet;

use serde_json::Value;
use windlass_api::field::{Error, ErrorType, Errors};

use super::go_print::shown;

/// Bytes that are kept of one branch's findings; of what is found beyond that only the number is known.
const BYTES_MAX: usize = 1 << 20;

#[derive(Default)]
pub(super) struct Findings {
    list: Vec<Error>,
    bytes: usize,
    total: usize,
}

/// A point in time, to ask what has been found since or to forget it.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    len: usize,
    bytes: usize,
    total: usize,
}

impl Findings {
    pub(super) fn is_empty(&self) -> bool {
        self.total == 0
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { len: self.list.len(), bytes: self.bytes, total: self.total }
    }

    pub(super) fn is_clean_since(&self, mark: Mark) -> bool {
        self.total == mark.total
    }

    pub(super) fn forget_since(&mut self, mark: Mark) {
        self.list.truncate(mark.len);
        (self.bytes, self.total) = (mark.bytes, mark.total);
    }

    /// Adds an error, which is only made when it is kept.
    pub(super) fn push(&mut self, make: impl FnOnce() -> Error) {
        self.total += 1;
        if self.bytes <= BYTES_MAX {
            self.keep(make());
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        self.total += other.total;
        for error in other.list {
            if self.bytes <= BYTES_MAX {
                self.keep(error);
            }
        }
    }

    fn keep(&mut self, error: Error) {
        let value = error.value.as_ref().map_or(0, |value| value.to_string().len());
        self.bytes += error.field.len() + error.detail.len() + value;
        self.list.push(error);
    }

    /// The errors, each once, as upstream has it: several branches of a schema often say the same.
    pub(super) fn into_errors(self) -> Errors {
        let omitted = self.total - self.list.len();
        let mut seen = HashSet::new();
        let is_new: Vec<bool> =
            self.list.iter().map(|error| seen.insert((error.kind.reason(), &error.field, &error.detail))).collect();
        let mut errors: Errors =
            self.list.into_iter().zip(is_new).filter_map(|(error, new)| new.then_some(error)).collect();
        for _ in 0..omitted {
            if errors.is_full() {
                errors.push_with(|| error(ErrorType::Internal, String::new(), None, String::new()));
            }
        }
        errors
    }
}

/// An error whose message is Go's to the letter. Where the way in which [`Error`] prints the value would differ from Go's, the
/// value's text stands at the head of the detail.
pub fn error(kind: ErrorType, field: String, value: Option<&Value>, detail: String) -> Error {
    let Some(value) = value else { return Error { kind, field, value: None, detail } };
    let (text, own) = (shown(value), value.to_string());
    if text == own {
        return Error { kind, field, value: Some(value.clone()), detail };
    }
    let detail = if detail.is_empty() { text } else { format!("{text}: {detail}") };
    Error { kind, field, value: None, detail }
}
