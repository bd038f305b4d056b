//! The names of a definition: of its group, its resource and kind, and its own.

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names::{dns1035_label, dns1123_subdomain};
use windlass_machinery::tree::text;

use crate::rules::{required, texts};

/// A new definition is named after what it defines. What else is asked of its name is asked of all kinds.
pub(super) fn validate_own_name(errors: &mut Errors, definition: &Value) {
    let (metadata, spec) = (&definition["metadata"], &definition["spec"]);
    let wanted = format!("{}.{}", text(&spec["names"], "plural"), text(spec, "group"));
    for field in ["generateName", "name"] {
        let name = text(metadata, field);
        if !name.is_empty() && name != wanted {
            let path = Path::new("metadata");
            errors.push(Error::invalid(&path.child(field), name, r#"must be spec.names.plural+"."+spec.group"#));
        }
    }
}

pub(super) fn validate_group(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    if !required(errors, spec, path, "group") {
        return;
    }
    let group = text(spec, "group");
    let problems = dns1123_subdomain(group);
    if !problems.is_empty() {
        errors.push(Error::invalid(&path.child("group"), group, problems.join(",")));
    } else if !group.contains('.') {
        errors.push(Error::invalid(&path.child("group"), group, "should be a domain with at least one dot"));
    }
}

/// The names that a spec must have. A status may lack them.
pub(super) fn require_names(errors: &mut Errors, names: &Value, path: &Path<'_>) {
    for field in ["plural", "singular", "kind", "listKind"] {
        required(errors, names, path, field);
    }
}

/// The names of a resource, in a spec or a status, as far as they are there.
pub(super) fn validate_names(errors: &mut Errors, names: &Value, path: &Path<'_>) {
    for field in ["plural", "singular"] {
        let name = text(names, field);
        if !name.is_empty() {
            label(errors, name, &path.child(field));
        }
    }
    for field in ["kind", "listKind"] {
        let name = text(names, field);
        let problems = dns1035_label(&name.to_lowercase());
        if !name.is_empty() && !problems.is_empty() {
            let detail = format!("may have mixed case, but should otherwise match: {}", problems.join(","));
            errors.push(Error::invalid(&path.child(field), name, detail));
        }
    }
    labels(errors, names, path, "shortNames");
    let (kind, list_kind) = (text(names, "kind"), text(names, "listKind"));
    if !kind.is_empty() && kind == list_kind {
        errors.push(Error::invalid(&path.child("listKind"), list_kind, "kind and listKind may not be the same"));
    }
    labels(errors, names, path, "categories");
}

fn labels(errors: &mut Errors, names: &Value, path: &Path<'_>, field: &str) {
    let path = path.child(field);
    for (index, name) in texts(names, field).enumerate() {
        label(errors, name, &path.index(index));
    }
}

/// One word of a name: all complaints in one error.
pub(super) fn label(errors: &mut Errors, name: &str, path: &Path<'_>) {
    let problems = dns1035_label(name);
    if !problems.is_empty() {
        errors.push(Error::invalid(path, name, problems.join(",")));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts_of(check: impl FnOnce(&mut Errors)) -> Vec<String> {
        let mut errors = Errors::new();
        check(&mut errors);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn groups() {
        let group = |name: &str| texts_of(|errors| validate_group(errors, &json!({"group": name}), &Path::new("spec")));
        assert_eq!(group("a.b"), [] as [&str; 0]);
        assert_eq!(group(""), ["spec.group: Required value"]);
        assert_eq!(group("a"), ["spec.group: Invalid value: \"a\": should be a domain with at least one dot"]);
        assert!(group("A.b")[0].contains("a lowercase RFC 1123 subdomain must consist of"));
    }

    #[test]
    fn own_names() {
        let own = |metadata: Value| {
            let definition = json!({"metadata": metadata, "spec": {"group": "a.b", "names": {"plural": "cats"}}});
            texts_of(|errors| validate_own_name(errors, &definition))
        };
        assert_eq!(own(json!({"name": "cats.a.b"})), [] as [&str; 0]);
        assert_eq!(
            own(json!({"name": "cats.a.b1", "generateName": "cats.a.b"})),
            [r#"metadata.name: Invalid value: "cats.a.b1": must be spec.names.plural+"."+spec.group"#]
        );
    }

    #[test]
    fn kinds() {
        let names = |names: Value| texts_of(|errors| validate_names(errors, &names, &Path::new("names")));
        assert_eq!(names(json!({})), [] as [&str; 0]);
        assert_eq!(
            names(json!({"kind": "Cat", "listKind": "CatList", "plural": "cats", "singular": "cat"})),
            [] as [&str; 0]
        );
        assert_eq!(
            names(json!({"kind": "Cat", "listKind": "Cat"})),
            ["names.listKind: Invalid value: \"Cat\": kind and listKind may not be the same"]
        );
        let found = names(json!({"kind": "C t", "shortNames": ["a", "B"], "categories": [""]}));
        assert_eq!(found.len(), 3);
        assert!(found[0].starts_with(
            "names.kind: Invalid value: \"C t\": may have mixed case, but should otherwise match: a DNS-1035"
        ));
        assert!(found[1].starts_with("names.shortNames[1]") && found[2].starts_with("names.categories[0]"));
    }
}
