//! ServiceCIDR: a range that Services get their addresses from.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::items;

use crate::columns;
use crate::first::{Beginnings, First};
use crate::rules::{IMMUTABLE, texts};
use crate::{Resource, StatusMetadata, Strategy, Subresource, rules};

pub(crate) fn resource() -> Resource {
    Resource::cluster("networking.k8s.io", "v1", "ServiceCIDR", "servicecidrs")
        .subresources(&[Subresource::Status])
        .status_metadata(StatusMetadata::Nothing)
        .columns(columns::list(&["Name", "CIDRs", "Age"]))
        .strategy(ServiceCidr)
}

struct ServiceCidr;

impl Strategy for ServiceCidr {
    fn first(&self, beginnings: &Beginnings) -> Vec<First> {
        let object =
            json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": [beginnings.service_cidr.to_string()]}});
        let ready = json!({"conditions": [{"type": "Ready", "status": "True", "reason": "",
            "message": "Kubernetes default Service CIDR is ready", "lastTransitionTime": windlass_api::time::rfc3339(beginnings.now)}]});
        vec![First { object, status: Some(ready), follows: &[] }]
    }

    fn validate(&self, object: &Value) -> Errors {
        let (mut errors, spec) = (Errors::new(), Path::new("spec"));
        let path = spec.child("cidrs");
        let ranges: Vec<&str> = texts(&object["spec"], "cidrs").collect();
        if ranges.is_empty() {
            errors.push(Error::required(&path, "at least one CIDR required"));
        } else if ranges.len() > 2 {
            errors.push(Error::invalid(&path, object["spec"].clone(), "may only hold up to 2 values"));
        } else {
            let nets: Vec<_> = ranges
                .iter()
                .enumerate()
                .map(|(index, range)| rules::cidr(&mut errors, &path.index(index), range))
                .collect();
            if let [Some(first), Some(second)] = nets[..]
                && first.addr().is_ipv4() == second.addr().is_ipv4()
            {
                let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
                errors.push(Error::invalid(&path, object["spec"]["cidrs"].clone(), detail));
            }
        }
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let (mut errors, spec) = (Errors::new(), Path::new("spec"));
        let path = spec.child("cidrs");
        let ranges: Vec<&str> = texts(&object["spec"], "cidrs").collect();
        let before: Vec<&str> = texts(&old["spec"], "cidrs").collect();
        let extends = before.len() == 1 && ranges.len() == 2;
        if before.len() != ranges.len() && !extends {
            errors.push(Error::invalid(&path, object["spec"]["cidrs"].clone(), IMMUTABLE));
            return errors;
        }
        for (index, (range, before)) in ranges.iter().zip(before).enumerate() {
            if *range != before {
                errors.push(Error::invalid(&path.index(index), *range, IMMUTABLE));
            }
        }
        if extends {
            errors.extend(self.validate(object));
        }
        errors
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let ranges: Vec<&str> = items(&object["spec"], "cidrs").filter_map(Value::as_str).collect();
        vec![columns::name(object), Value::from(ranges.join(",")), columns::age(object, now)]
    }
}
