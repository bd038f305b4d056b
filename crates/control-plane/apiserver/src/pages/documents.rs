//! Documents that take long to make, kept for those who ask next.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;

/// Documents that are kept; who has asked for one asks for few others.
const KEPT_MAX: usize = 16;

/// The newest documents.
#[derive(Default)]
pub(super) struct Documents {
    kept: Mutex<VecDeque<Kept>>,
    /// Held while a document is made: many who ask at once wait for one of them.
    making: Mutex<()>,
}

struct Kept {
    name: String,
    /// What it was made of.
    of: String,
    bytes: Bytes,
}

impl Documents {
    /// The document of a name, made if it is not there as it follows from `of`. Blocks while another one is made.
    pub(super) fn get(&self, name: &str, of: &str, make: impl FnOnce() -> Bytes) -> Bytes {
        if let Some(kept) = self.find(name, of) {
            return kept;
        }
        let _making = self.making.lock();
        if let Some(kept) = self.find(name, of) {
            return kept;
        }
        let bytes = make();
        let mut kept = self.kept.lock();
        kept.retain(|kept| kept.name != name);
        kept.truncate(KEPT_MAX - 1);
        kept.push_front(Kept { name: name.to_owned(), of: of.to_owned(), bytes: bytes.clone() });
        bytes
    }

    fn find(&self, name: &str, of: &str) -> Option<Bytes> {
        let mut kept = self.kept.lock();
        let at = kept.iter().position(|kept| kept.name == name && kept.of == of)?;
        let found = kept.remove(at)?;
        let bytes = found.bytes.clone();
        kept.push_front(found);
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_made_once() {
        let documents = Documents::default();
        let ask = |name: &str, of: &str, made: &'static str| documents.get(name, of, || Bytes::from(made));
        assert_eq!(ask("v2", "1", "first"), "first");
        assert_eq!(ask("v2", "1", "again"), "first");
        assert_eq!(ask("v2", "2", "second"), "second");
        assert_eq!(documents.kept.lock().len(), 1, "older forms are forgotten");
        for number in 0..KEPT_MAX {
            ask(&number.to_string(), "1", "other");
        }
        assert_eq!(documents.kept.lock().len(), KEPT_MAX);
        assert_eq!(ask("v2", "2", "made anew"), "made anew");
    }
}
