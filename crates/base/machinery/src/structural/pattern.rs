//! Regular expressions of schemas, read when the first value is held against one.

use std::sync::{Arc, OnceLock};

use windlass_regexp::{PatternError, Patterns};

/// A regular expression that matches anywhere in a text. All of a schema have a common budget; what a stored schema has beyond it is an
/// error for the values that would have to match.
#[derive(Debug)]
pub(super) struct Pattern {
    source: Box<str>,
    all: Arc<Patterns>,
    read: OnceLock<Result<windlass_regexp::Pattern, PatternError>>,
}

impl Pattern {
    pub(super) fn new(source: &str, all: &Arc<Patterns>) -> Self {
        Self { source: source.into(), all: all.clone(), read: OnceLock::new() }
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Whether the expression matches somewhere in the text; why it cannot be used when it is invalid or too large.
    pub(super) fn is_match(&self, text: &str) -> Result<bool, PatternError> {
        match self.read.get_or_init(|| self.all.get(&self.source)) {
            Ok(pattern) => pattern.is_match(text),
            Err(error) => Err(error.clone()),
        }
    }
}
