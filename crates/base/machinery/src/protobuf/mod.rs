//! JSON to and from Kubernetes' protobuf encoding, by the schema's field numbers; there is no hand-written message for any
//! kind. client-go's tools send and ask for this encoding by default.
//!
//! A message on the wire stands in an envelope: four magic bytes and a `runtime.Unknown` that carries `kind` and `apiVersion`
//! beside the object's bytes. A stream of watch events is a sequence of frames with a four-byte big-endian length.

mod decode;
mod encode;
mod error;
mod wire;
pub mod writer;

pub use decode::{Envelope, decode, open_envelope};
pub use encode::{encode, encode_list, encode_list_item, envelope, list_envelope, watch_frame};
pub use error::ProtobufError;

const MAGIC: &[u8] = b"k8s\0";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::decode::from_value;
    use crate::schema::{Schema, TypeId};

    fn pod() -> TypeId {
        Schema::object_type("", "v1", "Pod").unwrap()
    }

    fn there_and_back(id: TypeId, object: Value) {
        let canonical = from_value(Schema::builtin(), id, object).unwrap().value;
        let text = serde_json::to_vec(&canonical).unwrap();
        let bytes = encode(Schema::builtin(), id, &text).unwrap();
        let again = decode(Schema::builtin(), id, &bytes).unwrap();
        assert_eq!(from_value(Schema::builtin(), id, again).unwrap().value, canonical);
    }

    #[test]
    fn objects_survive_the_round_trip() {
        there_and_back(
            pod(),
            json!({
                "metadata": {"name": "p", "labels": {"a": "b", "c": ""}, "generation": -1,
                    "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {"k:{\"a\":1}": {}}}, "time": "2026-01-01T00:00:00Z"}]},
                "spec": {
                    "activeDeadlineSeconds": 0,
                    "containers": [{"name": "c", "command": ["", "x"], "resources": {"limits": {"cpu": "1500m"}},
                        "livenessProbe": {"httpGet": {"port": "web"}, "periodSeconds": 5},
                        "readinessProbe": {"tcpSocket": {"port": 80}}}],
                    "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}, {"name": "w", "hostPath": {"path": "/x"}}],
                },
                "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "1969-12-31T23:59:59Z"}]},
            }),
        );
        let crd = Schema::object_type("apiextensions.k8s.io", "v1", "CustomResourceDefinition").unwrap();
        there_and_back(
            crd,
            json!({"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": {
                "properties": {"a": {"items": {"type": "string"}, "maximum": 1.5, "default": {"x": [1, null]}},
                    "b": {"additionalProperties": true}, "c": {"additionalProperties": {"type": "integer"}}}}}}]}}),
        );
        let policy = Schema::object_type("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy").unwrap();
        there_and_back(
            policy,
            json!({"spec": {"matchConstraints": {"resourceRules": [{"apiGroups": [""], "operations": ["CREATE"],
                "resources": ["pods"], "resourceNames": ["x"]}]}}}),
        );
        let review = Schema::object_type("authentication.k8s.io", "v1", "TokenReview").unwrap();
        there_and_back(review, json!({"status": {"user": {"extra": {"a": ["x", "y"]}}}}));
        let secret = Schema::object_type("", "v1", "Secret").unwrap();
        there_and_back(secret, json!({"data": {"a": "aGk=", "b": ""}}));
    }

    #[test]
    fn long_messages_get_long_lengths() {
        let config_map = Schema::object_type("", "v1", "ConfigMap").unwrap();
        for length in [100, 127, 128, 16_383, 16_384, 3_000_000] {
            there_and_back(config_map, json!({"data": {"k": "x".repeat(length)}}));
        }
    }

    #[test]
    fn envelopes() {
        let bytes = envelope("v1", "Pod", b"abc");
        let opened = open_envelope(&bytes).unwrap();
        assert_eq!((opened.api_version, opened.kind, opened.raw), ("v1", "Pod", &b"abc"[..]));
        assert!(open_envelope(b"abc").is_err());
        assert!(open_envelope(b"k8s\0\xff").is_err());
    }

    #[test]
    fn refuses_nonsense() {
        let schema = Schema::builtin();
        // A length beyond the end, a bad wire type, a group, text that is no UTF-8, endless nesting.
        for bytes in [&b"\x0a\xff"[..], b"\x0e", b"\x0b", b"\x0a\x03\x0a\x01\xff"] {
            assert!(decode(schema, pod(), bytes).is_err(), "{bytes:?}");
        }
        let json_schema =
            schema.find("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps").unwrap();
        let mut nested = Vec::new();
        for _ in 0..1000 {
            let mut outer = vec![0xe2, 0x01];
            wire::push_varint(&mut outer, nested.len() as u64);
            outer.extend_from_slice(&nested);
            nested = outer;
        }
        assert!(decode(schema, json_schema, &nested).is_err());
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(Schema::builtin(), pod(), &bytes);
            let _ = open_envelope(&bytes);
        }
    }
}
