//! ComponentStatus: what became of the control plane's parts, in the days when they were asked; kept for old clients.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::condition::{self, AnyCondition, TRUE};
use windlass_machinery::tree::text;

use crate::columns;
use crate::{Resource, Strategy, Verbs};

pub(crate) fn resource() -> Resource {
    Resource::cluster("", "v1", "ComponentStatus", "componentstatuses")
        .short_names(&["cs"])
        .verbs(Verbs::ReadOnly)
        .deprecated("v1 ComponentStatus is deprecated in v1.19+")
        .columns(columns::list(&["Name", "Status", "Message", "Error"]))
        .strategy(ComponentStatus)
}

struct ComponentStatus;

impl Strategy for ComponentStatus {
    fn cells(&self, object: &Value, _now: Timestamp) -> Vec<Value> {
        let healthy = condition::find(condition::list(object), "Healthy");
        let status = healthy.map_or("Unknown", |c| if c.status() == TRUE { "Healthy" } else { "Unhealthy" });
        let words = ["message", "error"].map(|field| Value::from(healthy.map_or("", |c| text(c, field))));
        let [message, error] = words;
        vec![columns::name(object), Value::from(status), message, error]
    }
}
