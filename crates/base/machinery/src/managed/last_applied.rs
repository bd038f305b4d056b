//! From `kubectl apply` to `kubectl apply --server-side`: what the annotation of the first says belongs to the manager of the second.
//!
//! Source: apimachinery `util/managedfields/internal/lastapplied*.go`.

use serde_json::Value;
use windlass_api::well_known::annotation::LAST_APPLIED;

use super::change::Change;
use super::diff::{compare, fields};
use super::set::FieldSet;
use super::typed;
use crate::go;
use crate::tree::{child, put, remove, text};

/// The one manager that this is for. Whoever does not want it calls itself otherwise.
const MANAGER: &str = "kubectl";

/// Upstream writes no annotation with which all of them would be larger.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// The fields that the manager may take from anybody, since it had applied them and nobody has changed them.
pub(super) fn fields_of_manager(change: &Change<'_>, live: &Value) -> FieldSet {
    if change.manager != MANAGER {
        return FieldSet::default();
    }
    let (schema, id) = (change.schema, change.id);
    let applied: Value = match serde_json::from_str(annotation(live)) {
        Ok(applied) if text(&applied, "apiVersion") == change.api_version => applied,
        _ => return FieldSet::default(),
    };
    if typed::check(schema, id, &applied).is_some() {
        return FieldSet::default();
    }
    let since = compare(schema, id, &applied, live);
    fields(schema, id, &applied).difference(&since.modified).difference(&since.added).difference(&since.removed)
}

/// Brings the annotation of an object, if it has one, up to date with the configuration that has been applied to it.
pub fn update_last_applied(manager: &str, object: &mut Value, configuration: &Value) {
    if manager != MANAGER || annotation(object).is_empty() {
        return;
    }
    let mut configuration = configuration.clone();
    if let Some(annotations) = configuration.pointer_mut("/metadata/annotations") {
        remove(annotations, LAST_APPLIED);
    }
    let applied = go::json(&configuration) + "\n";
    let annotations = child(child(object, "metadata"), "annotations");
    put(annotations, LAST_APPLIED, applied);
    let all = annotations.as_object().into_iter().flatten();
    let bytes: usize = all.map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if bytes > ANNOTATIONS_BYTES_MAX {
        remove(annotations, LAST_APPLIED);
    }
}

fn annotation(object: &Value) -> &str {
    object.pointer("/metadata/annotations").map(|annotations| text(annotations, LAST_APPLIED)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::managed::{apply, update};
    use crate::schema::Schema;

    fn change<'a>(manager: &'a str, api_version: &'a str) -> Change<'a> {
        let id = Schema::object_type("", "v1", "ConfigMap").unwrap();
        Change {
            schema: Schema::builtin(),
            id,
            manager,
            api_version,
            subresource: "",
            now: "2026-01-01T00:00:00Z",
            reset: &[],
        }
    }

    #[test]
    fn kubectl_takes_over_what_it_had_applied() {
        let written = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"},"data":{"a":"1","b":"1"}}"#;
        let mut live =
            json!({"metadata": {"name": "m", "annotations": {LAST_APPLIED: written}}, "data": {"a": "1", "b": "1"}});
        update(&change("kubectl-client-side-apply", "v1"), None, &mut live);
        let wanted = json!({"metadata": {"name": "m"}, "data": {"a": "2", "b": "<"}});
        let new = apply(&change("kubectl", "v1"), Some(&live), &wanted, false).unwrap();
        assert_eq!(new["data"], wanted["data"]);
        assert!(apply(&change("me", "v1"), Some(&live), &wanted, false).is_err(), "not for others");
        assert!(apply(&change("kubectl", "v2"), Some(&live), &wanted, false).is_err(), "nor for another version");
        // What somebody has changed meanwhile is not among it.
        let old = live.clone();
        live["data"]["b"] = json!("3");
        update(&change("edit", "v1"), Some(&old), &mut live);
        let crate::managed::ApplyError::Conflicts(conflicts) =
            apply(&change("kubectl", "v1"), Some(&live), &wanted, false).unwrap_err()
        else {
            panic!("it conflicts")
        };
        assert_eq!(conflicts.len(), 1);
        assert_eq!((conflicts[0].manager.as_str(), &conflicts[0].paths[..]), ("edit", &[".data.b".to_owned()][..]));
        // The annotation follows, in the form that Go gives it.
        let mut new = new;
        update_last_applied("kubectl", &mut new, &wanted);
        let expected = "{\"data\":{\"a\":\"2\",\"b\":\"\\u003c\"},\"metadata\":{\"name\":\"m\"}}\n";
        assert_eq!(new["metadata"]["annotations"][LAST_APPLIED], expected);
        update_last_applied("kubectl", &mut new, &json!({"data": {"a": "x".repeat(ANNOTATIONS_BYTES_MAX)}}));
        assert!(new["metadata"]["annotations"].get(LAST_APPLIED).is_none());
    }
}
