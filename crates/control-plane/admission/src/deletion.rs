//! Changes that the garbage collector makes, which need no rights beyond that of writing the object.

use serde_json::Value;
use windlass_machinery::tree::{child, keep};

/// Whether only what the garbage collector changes is different: owners and finalizers.
pub fn concerns_deletion_only(new: &Value, old: &Value) -> bool {
    let mut restored = new.clone();
    for field in ["ownerReferences", "finalizers", "managedFields", "resourceVersion"] {
        keep(child(&mut restored, "metadata"), &old["metadata"], field);
    }
    restored == *old
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_for_deletion() {
        let old = json!({"metadata": {"name": "r", "finalizers": ["x"]}, "rules": []});
        assert!(concerns_deletion_only(&json!({"metadata": {"name": "r"}, "rules": []}), &old));
        assert!(!concerns_deletion_only(&json!({"metadata": {"name": "r"}, "rules": [{"verbs": ["get"]}]}), &old));
        assert!(!concerns_deletion_only(&json!({"metadata": {"name": "r", "labels": {"a": "b"}}, "rules": []}), &old));
    }
}
