//! Errors of this crate as the CRI reports them: a code, and one line that walks the whole chain of causes.

use std::error::Error as StdError;

/// All causes in one line, the outermost first, as Go prints wrapped errors.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some libraries repeat their source in their own words.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
