//! The targets, one file each.

mod apply;
mod cel;
mod certificates;
mod cni;
mod dns;
mod frames;
mod json;
mod json_patch;
mod layers;
mod protobuf;
mod requests;
mod reviews;
mod schemas;
mod selectors;
mod strategic_merge;
mod yaml;

/// A reader of what strangers send, with the properties that hold of it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What `cargo xtask fuzz` calls it, and its folder in the corpus.
    pub name: &'static str,
    /// Panics when a property does not hold.
    pub run: fn(&[u8]),
}

/// All targets, sorted by name.
pub fn all() -> Vec<Target> {
    let of = |name, run| Target { name, run };
    vec![
        of("admission-reviews", reviews::admission),
        of("apply", apply::run),
        of("cel", cel::run),
        of("certificates", certificates::run),
        of("cni", cni::run),
        of("conversion-reviews", reviews::conversion),
        of("dns", dns::run),
        of("json", json::run),
        of("json-patch", json_patch::run),
        of("layers", layers::run),
        of("protobuf", protobuf::run),
        of("requests", requests::run),
        of("schemas", schemas::run),
        of("selectors", selectors::run),
        of("spdy", frames::spdy),
        of("strategic-merge", strategic_merge::run),
        of("websocket", frames::websocket),
        of("yaml", yaml::run),
    ]
}
