//! What is wrong with an object of this group. Upstream validates by code, and then by rules that are declared with the API's types;
//! their complaints come in that order, wherever in the object each is about.

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::items;

#[derive(Default)]
pub(super) struct Complaints {
    /// Selectors were accepted when they were stored, and are not compiled anew.
    pub(super) selectors_are_stored: bool,
    pub(super) coded: Errors,
    pub(super) declared: Errors,
}

impl Complaints {
    pub(super) fn all(self) -> Errors {
        let Self { mut coded, declared, .. } = self;
        coded.extend(declared);
        coded
    }

    /// Whether a list has no more items than it may have. A list that has more is not looked at.
    pub(super) fn is_within(&mut self, owner: &Value, path: &Path<'_>, field: &str, items_max: usize) -> bool {
        let count = items(owner, field).count();
        if count > items_max {
            self.declared.push(Error::too_many(&path.child(field), count, items_max));
        }
        count <= items_max
    }

    /// Complains about items of a list that are there already, by a key.
    pub(super) fn unique(&mut self, owner: &Value, path: &Path<'_>, field: &str, key: fn(&Value) -> &str) {
        let mut seen = std::collections::BTreeSet::new();
        let path = path.child(field);
        for (index, item) in items(owner, field).enumerate().filter(|(_, item)| !seen.insert(key(item))) {
            self.declared.push(Error::duplicate(&path.index(index), item.clone()));
        }
    }
}
