//! The storage class of a PersistentVolume or a PersistentVolumeClaim: an annotation names it, or the field that came after it.
//!
//! The annotation counts wherever it is present, even when it is empty. Source: component-helpers `storage/volume/helpers.go`, and
//! kubernetes `pkg/apis/core/helper/helpers.go`.

use serde_json::Value;

use crate::Meta;
use crate::well_known::annotation::STORAGE_CLASS;

/// Returns the class of a volume or claim whose `spec.storageClassName` is `field`; `None` when nothing was said, so that a default
/// may be set.
pub fn of<'a>(metadata: &'a Meta, field: Option<&'a str>) -> Option<&'a str> {
    metadata.annotations.get(STORAGE_CLASS).map(String::as_str).or(field)
}

/// Returns the class of a volume or claim that is a tree, as [`of`] does.
pub fn of_tree(object: &Value) -> Option<&str> {
    let annotation = object["metadata"]["annotations"].get(STORAGE_CLASS).and_then(Value::as_str);
    annotation.or_else(|| object["spec"].get("storageClassName").and_then(Value::as_str))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_annotation_counts_before_the_field() {
        // annotation, field, the class
        let cases = [
            (None, None, None),
            (None, Some("gold"), Some("gold")),
            (None, Some(""), Some("")),
            (Some("silver"), None, Some("silver")),
            (Some("silver"), Some("gold"), Some("silver")),
            (Some(""), Some("gold"), Some("")),
        ];
        for (annotation, field, expected) in cases {
            let mut metadata = Meta::default();
            metadata.annotations.extend(annotation.map(|class| (STORAGE_CLASS.to_owned(), class.to_owned())));
            assert_eq!(of(&metadata, field), expected, "{annotation:?} {field:?}");
            let tree = json!({"metadata": metadata, "spec": {"storageClassName": field}});
            assert_eq!(of_tree(&tree), expected, "{tree}");
        }
        assert_eq!(of_tree(&Value::Null), None);
    }
}
