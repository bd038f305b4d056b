//! LimitRange: defaults and bounds for what the pods of a namespace may ask for.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "LimitRange", "limitranges").short_names(&["limits"]).creates_on_update()
}
