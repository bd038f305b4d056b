//! The answers of webhooks: what they may not change stays as it was.

use serde_json::{Value, json};
use windlass_resources::definition::Webhook;
use windlass_resources::definition::conversion::{ConversionReview, accept};

use crate::memory::bounded;

/// The answer to an AdmissionReview about a pod.
pub(super) fn admission(input: &[u8]) {
    bounded(input.len(), || windlass_admission::fuzz::answer(input));
}

/// The answer to a ConversionReview about two objects.
pub(super) fn conversion(input: &[u8]) {
    let Ok(answer) = serde_json::from_slice::<Value>(input) else { return };
    let webhook = Webhook { conversion_review_versions: vec!["v1".to_owned()], ..Webhook::default() };
    let Some(review) = ConversionReview::new(&webhook, "u".to_owned()) else { return };
    let original = |name: &str| {
        let metadata = json!({"name": name, "namespace": "n", "uid": "1", "generation": 2, "labels": {"a": "b"}});
        json!({"kind": "A", "apiVersion": "example.com/v1", "metadata": metadata, "spec": {}})
    };
    let Ok(objects) = bounded(input.len(), || review.objects(answer)) else { return };
    for (object, name) in objects.into_iter().zip(["a", "b"]) {
        let original = original(name);
        let Ok(accepted) = accept(&original, object, "example.com/v2") else { continue };
        assert_eq!((&accepted["kind"], &accepted["apiVersion"]), (&json!("A"), &json!("example.com/v2")));
        let mut metadata = accepted["metadata"].clone();
        for field in ["labels", "annotations"] {
            let map = metadata.as_object_mut().and_then(|metadata| metadata.remove(field));
            let mut values = map.as_ref().and_then(Value::as_object).into_iter().flat_map(|map| map.values());
            assert!(values.all(Value::is_string), "{map:?}");
        }
        assert_eq!(metadata, json!({"name": name, "namespace": "n", "uid": "1", "generation": 2}));
    }
}
