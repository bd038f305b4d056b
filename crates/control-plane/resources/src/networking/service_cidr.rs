//! ServiceCIDR: a range that Services get their addresses from.

use jiff::Timestamp;
use serde_json::Value;
use windlass_machinery::tree::items;

use crate::columns;
use crate::{Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("networking.k8s.io", "v1", "ServiceCIDR", "servicecidrs")
        .subresources(&[Subresource::Status])
        .columns(columns::list(&["Name", "CIDRs", "Age"]))
        .strategy(ServiceCidr)
}

struct ServiceCidr;

impl Strategy for ServiceCidr {
    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let ranges: Vec<&str> = items(&object["spec"], "cidrs").filter_map(Value::as_str).collect();
        vec![columns::name(object), Value::from(ranges.join(",")), columns::age(object, now)]
    }
}
