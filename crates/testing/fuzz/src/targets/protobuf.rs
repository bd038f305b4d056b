//! Objects in Kubernetes' protobuf envelope: what is read is the same after every encoding.

use windlass_machinery::schema::Schema;
use windlass_machinery::{decode, protobuf};

use crate::memory::bounded;
use crate::object::{survives, type_named};

pub(super) fn run(input: &[u8]) {
    let Ok(envelope) = protobuf::open_envelope(input) else { return };
    let id = type_named(envelope.api_version, envelope.kind);
    let decoded = bounded(input.len(), || {
        let tree = protobuf::decode(Schema::builtin(), id, envelope.raw).ok()?;
        decode::from_value(Schema::builtin(), id, tree).ok()
    });
    if let Some(decoded) = decoded {
        survives(id, &decoded.value);
    }
    let written = protobuf::envelope(envelope.api_version, envelope.kind, envelope.raw);
    assert_eq!(protobuf::open_envelope(&written).as_ref(), Ok(&envelope));
}
