//! Node ports: rows of a hidden table, one for each port that is taken.

use std::ops::RangeInclusive;

use serde_json::{Value, json};
use windlass_machinery::json::Template;
use windlass_machinery::tree::text;
use windlass_store::{Expect, Op, Store};

use super::Holder;

/// No resource serves it.
const TABLE: &str = "internal.nodeports";

pub(super) fn is_taken(store: &Store, port: u16) -> bool {
    store.table(TABLE).get(&port.to_string()).is_some()
}

/// A free port that is not in `also_taken`; `seed` makes different callers look at different places.
pub(super) fn pick(store: &Store, range: &RangeInclusive<u16>, also_taken: &[u16], seed: u64) -> Option<u16> {
    let size = u64::from(range.end() - range.start()) + 1;
    // The lower part is left to those who choose (KEP-3668).
    let reserved = if size < 32 { 0 } else { (size / 32).clamp(16, 128) };
    let upper = size - reserved;
    let places = (0..upper).map(|n| reserved + (seed % upper + n) % upper).chain(0..reserved);
    places.map(|place| range.start() + place as u16).find(|port| !also_taken.contains(port) && !is_taken(store, *port))
}

pub(super) fn take(port: u16, holder: &Holder<'_>) -> Op {
    let Holder { namespace, name, .. } = holder;
    let owner = json!({"metadata": {"name": port.to_string()}, "namespace": namespace, "service": name});
    Op {
        table: TABLE.into(),
        key: port.to_string(),
        expect: Expect::Absent,
        put: Some(Template::new(&owner)),
        last: None,
        expires: 0,
    }
}

pub(super) fn give_back(store: &Store, port: u16, holder: &Holder<'_>) -> Option<Op> {
    let item = store.table(TABLE).get(&port.to_string())?;
    let owner: Value = serde_json::from_slice(&item.value).ok()?;
    let ours = text(&owner, "namespace") == holder.namespace && text(&owner, "service") == holder.name;
    ours.then(|| Op {
        table: TABLE.into(),
        key: port.to_string(),
        expect: Expect::Revision(item.revision),
        put: None,
        last: None,
        expires: 0,
    })
}
