//! DaemonSet: a pod on each node.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::{child, number, set, set_text, text};

use super::validation::{
    complain_of_labels, int_or_percent, matches_template, parse_selector, validate_at_most_all, validate_collisions,
    validate_counters, validate_endless, validate_int_or_percent, validate_selector,
};
use crate::columns::{self, count};
use crate::pod_spec::set_template_defaults;
use crate::pod_spec::validation::validate_template;
use crate::pod_spec::warnings;
use crate::rules::{immutable, non_negative, object_at};
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
        // Who writes an object writes this with it, and owns it: upstream's objects have it as a number that is always there.
        let generation = template_generation(object);
        set_template_generation(object, generation);
    }

    fn prepare_create(&self, object: &mut Value, _moment: Moment) {
        let generation = template_generation(object).max(1);
        set_template_generation(object, generation);
    }

    fn prepare_update(&self, object: &mut Value, old: &Value, _moment: Moment) {
        let is_new = object.pointer("/spec/template") != old.pointer("/spec/template");
        set_template_generation(object, template_generation(old) + i64::from(is_new));
    }

    fn validate(&self, object: &Value) -> Errors {
        let (mut errors, path, spec) = (Errors::new(), Path::new("spec"), &object["spec"]);
        validate_spec(&mut errors, spec, &path);
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let (mut errors, path) = (Errors::new(), Path::new("spec"));
        let (new, old) = (object.pointer("/spec/selector"), old.pointer("/spec/selector"));
        immutable(&mut errors, &path.child("selector"), new, old);
        validate_spec(&mut errors, &object["spec"], &path);
        errors
    }

    fn validate_status(&self, object: &Value, old: &Value) -> Errors {
        const COUNTERS: [&str; 9] = [
            "currentNumberScheduled",
            "numberMisscheduled",
            "desiredNumberScheduled",
            "numberReady",
            "observedGeneration",
            "updatedNumberScheduled",
            "numberAvailable",
            "numberUnavailable",
            "collisionCount",
        ];
        let mut errors = Errors::new();
        validate_counters(&mut errors, &object["status"], &Path::new("status"), &COUNTERS);
        validate_collisions(&mut errors, object, old);
        errors
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        let generation = |object: &Value| number(&object["spec"], "templateGeneration");
        match old {
            Some(old) if generation(old) == generation(object) => Vec::new(),
            _ => warnings::of_template(object, None, "spec.template"),
        }
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

fn validate_spec(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let template = &spec["template"];
    let template_path = path.child("template");
    // In upstream's order the complaint about an empty selector comes after that about the labels.
    let mut of_selector = Errors::new();
    validate_selector(&mut of_selector, spec, path, "daemonset");
    let about_emptiness = of_selector.pop_if(|error| error.detail.starts_with("empty selector"));
    errors.extend(of_selector);
    let selector = object_at(spec, "selector");
    if parse_selector(selector).is_some_and(|selector| !matches_template(&selector, template)) {
        complain_of_labels(errors, template, &template_path);
    }
    errors.extend(about_emptiness);
    validate_template(errors, template, &template_path);
    validate_endless(errors, template, &template_path, "DaemonSet");
    non_negative(errors, &path.child("minReadySeconds"), number(spec, "minReadySeconds"));
    validate_strategy(errors, &spec["updateStrategy"], &path.child("updateStrategy"));
    non_negative(errors, &path.child("revisionHistoryLimit"), number(spec, "revisionHistoryLimit"));
}

fn validate_strategy(errors: &mut Errors, strategy: &Value, path: &Path<'_>) {
    let rolling_path = path.child("rollingUpdate");
    match (text(strategy, "type"), object_at(strategy, "rollingUpdate")) {
        ("OnDelete", _) => {}
        ("RollingUpdate", None) => errors.push(Error::required(&rolling_path, "")),
        ("RollingUpdate", Some(rolling)) => {
            let (unavailable, surge) = (&rolling["maxUnavailable"], &rolling["maxSurge"]);
            let (unavailable_path, surge_path) = (rolling_path.child("maxUnavailable"), rolling_path.child("maxSurge"));
            validate_int_or_percent(errors, &unavailable_path, unavailable);
            validate_int_or_percent(errors, &surge_path, surge);
            validate_at_most_all(errors, &unavailable_path, unavailable);
            validate_at_most_all(errors, &surge_path, surge);
            match (int_or_percent(unavailable) != 0, int_or_percent(surge) != 0) {
                (true, true) => {
                    let detail = "may not be set when maxUnavailable is non-zero";
                    errors.push(Error::invalid(&surge_path, surge.clone(), detail));
                }
                (false, false) => {
                    errors.push(Error::required(&unavailable_path, "cannot be 0 when maxSurge is 0"));
                }
                _ => {}
            }
        }
        (kind, rolling) => {
            let shown = serde_json::json!({"Type": kind, "RollingUpdate": rolling.map(|rolling| {
                serde_json::json!({"MaxUnavailable": rolling.get("maxUnavailable"), "MaxSurge": rolling.get("maxSurge")})
            })});
            errors.push(Error::not_supported(path, shown, &["RollingUpdate", "OnDelete"]));
        }
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

    #[test]
    fn who_does_not_count_has_counted_nothing() {
        let mut object = json!({"metadata": {}, "spec": {"template": {}}});
        DaemonSet.set_defaults(&mut object);
        assert_eq!(object["metadata"]["annotations"], json!({TEMPLATE_GENERATION: "0"}));
    }
}
