//! Label and field selectors: what is written is read as the same selector.

use windlass_api::fields::FieldSelector;
use windlass_api::labels::Selector;

use crate::memory::bounded;

pub(super) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(selector) = bounded(input.len(), || Selector::parse(text)) {
        let written = selector.to_string();
        let again = Selector::parse(&written).unwrap_or_else(|error| panic!("{written:?} is not read again: {error}"));
        assert_eq!(again.to_string(), written);
    }
    if let Ok(selector) = bounded(input.len(), || FieldSelector::parse(text)) {
        let written = selector.to_string();
        assert_eq!(FieldSelector::parse(&written).as_ref(), Ok(&selector), "{written:?}");
    }
}
