//! A bounded list of warnings.

use crate::resource::WARNINGS_MAX;

/// What is found so far. A client is told of so many only, so that a pod of many faults does not fill the memory.
#[derive(Default)]
pub(crate) struct Found(pub(super) Vec<String>);

impl Found {
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= WARNINGS_MAX
    }

    pub(crate) fn say(&mut self, warning: impl Into<String>) {
        if !self.is_full() {
            self.0.push(warning.into());
        }
    }

    pub(crate) fn extend(&mut self, warnings: impl IntoIterator<Item = String>) {
        warnings.into_iter().for_each(|warning| self.say(warning));
    }
}
