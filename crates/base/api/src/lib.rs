//! The language everybody speaks: names, quantities, selectors, statuses, conditions, schedules, time, chance, what is remembered for a while,
//! and what a pod takes. No I/O.

pub mod chance;
pub mod condition;
pub mod cron;
pub mod expiring;
pub mod field;
pub mod fields;
pub mod gvk;
pub mod image_name;
pub mod io;
pub mod labels;
pub mod meta;
pub mod names;
pub mod node_selector;
pub mod pod;
pub mod quantity;
pub mod resource;
pub mod status;
pub mod storage_class;
pub mod taint;
pub mod text;
pub mod time;
pub mod url;
pub mod well_known;

pub use chance::Chance;
pub use condition::Condition;
pub use expiring::Expiring;
pub use gvk::{GroupResource, GroupVersion, GroupVersionKind, GroupVersionResource, ObjectKey, version_order};
pub use jiff::Timestamp;
pub use k8s_openapi as k8s;
pub use meta::{Meta, OwnerReference};
pub use quantity::Quantity;
pub use status::Status;
