//! ComponentStatus: what became of the control plane's parts, in the days when they were asked; kept for old clients.

use crate::{Resource, Verbs};

pub(crate) fn resource() -> Resource {
    Resource::cluster("", "v1", "ComponentStatus", "componentstatuses").short_names(&["cs"]).verbs(Verbs::ReadOnly)
}
