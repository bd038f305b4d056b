//! Finalizers of custom resources may have any name; a name that others may choose too earns a warning.

use std::collections::BTreeSet;

use serde_json::Value;
use windlass_api::well_known::finalizer::{FOREGROUND, ORPHAN};

/// A warning for each new finalizer without a domain.
pub(super) fn warnings(object: &Value, old: Option<&Value>) -> Vec<String> {
    let old = old.map(names).unwrap_or_default();
    names(object)
        .into_iter()
        .filter(|name| !name.contains('/') && ![FOREGROUND, ORPHAN].contains(name) && !old.contains(name))
        .map(|name| {
            format!(
                "metadata.finalizers: {name:?}: prefer a domain-qualified finalizer name to avoid accidental conflicts \
                 with other finalizer writers"
            )
        })
        .collect()
}

fn names(object: &Value) -> BTreeSet<&str> {
    let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    finalizers.into_iter().flatten().filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_new_names_that_others_may_choose_are_warned_of() {
        let of = |names: &[&str]| json!({"metadata": {"finalizers": names}});
        let object = of(&["mine", "old", "example.com/mine", "orphan", "foregroundDeletion"]);
        assert_eq!(warnings(&object, Some(&of(&["old"]))).len(), 1);
        assert_eq!(
            warnings(&of(&["mine"]), None),
            [
                "metadata.finalizers: \"mine\": prefer a domain-qualified finalizer name to avoid accidental conflicts with \
              other finalizer writers"
            ]
        );
    }
}
