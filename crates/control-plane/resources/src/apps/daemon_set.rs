//! DaemonSet: a pod on each node.

use jiff::Timestamp;
use serde_json::Value;
use windlass_machinery::tree::{child, set, set_text, text};

use crate::columns::{self, count};
use crate::core::pod_spec::set_template_defaults;
use crate::{Moment, Resource, Strategy, Subresource};

/// Where the number of the template's changes is kept; in the API's older versions it was a field.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

pub(crate) fn resource() -> Resource {
    Resource::namespaced("apps", "v1", "DaemonSet", "daemonsets")
        .short_names(&["ds"])
        .categories(&["all"])
        .subresources(&[Subresource::Status])
        .counts_generations()
        .columns(columns::list(&[
            "Name",
            "Desired:integer",
            "Current:integer",
            "Ready:integer",
            "Up-to-date:integer",
            "Available:integer",
            "Node Selector",
            "Age",
            "+Containers",
            "+Images",
            "+Selector",
        ]))
        .strategy(DaemonSet)
}

struct DaemonSet;

impl Strategy for DaemonSet {
    fn set_defaults(&self, object: &mut Value) {
        let spec = child(object, "spec");
        let strategy = child(spec, "updateStrategy");
        set_text(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate" {
            let rolling = child(strategy, "rollingUpdate");
            set(rolling, "maxUnavailable", 1);
            set(rolling, "maxSurge", 0);
        }
        set(spec, "revisionHistoryLimit", 10);
        set_template_defaults(child(spec, "template"));
    }

    fn prepare_create(&self, object: &mut Value, _moment: Moment) {
        let generation = template_generation(object).max(1);
        set_template_generation(object, generation);
    }

    fn prepare_update(&self, object: &mut Value, old: &Value, _moment: Moment) {
        let is_new = object.pointer("/spec/template") != old.pointer("/spec/template");
        set_template_generation(object, template_generation(old) + i64::from(is_new));
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let [names, images] = columns::containers(object.pointer("/spec/template/spec"));
        let number = |field: &str| Value::from(count(object, &format!("/status/{field}")));
        vec![
            columns::name(object),
            number("desiredNumberScheduled"),
            number("currentNumberScheduled"),
            number("numberReady"),
            number("updatedNumberScheduled"),
            number("numberAvailable"),
            columns::labels(object.pointer("/spec/template/spec/nodeSelector")),
            columns::age(object, now),
            names,
            images,
            columns::selector(object.pointer("/spec/selector")),
        ]
    }
}

fn template_generation(object: &Value) -> i64 {
    let annotation = object.pointer("/metadata/annotations").map_or("", |a| text(a, TEMPLATE_GENERATION));
    annotation.parse().unwrap_or(0)
}

fn set_template_generation(object: &mut Value, generation: i64) {
    let annotations = child(child(object, "metadata"), "annotations");
    windlass_machinery::tree::put(annotations, TEMPLATE_GENERATION, generation.to_string());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_of_the_template_are_counted() {
        let moment = Moment { now: Timestamp::UNIX_EPOCH };
        let mut old = json!({"metadata": {}, "spec": {"template": {"a": 1}}});
        DaemonSet.prepare_create(&mut old, moment);
        assert_eq!(template_generation(&old), 1);
        let mut new = json!({"metadata": {}, "spec": {"template": {"a": 2}}});
        DaemonSet.prepare_update(&mut new, &old, moment);
        assert_eq!(template_generation(&new), 2);
        let mut same = old.clone();
        DaemonSet.prepare_update(&mut same, &old, moment);
        assert_eq!(same, old);
    }
}
