//! StatefulSet: replicas with names and volumes of their own.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{child, items, items_mut, number, put, remove, set, set_text, text};

use super::validation::{
    complain_of_labels, int_or_percent, matches_template, parse_selector, shown_selector, validate_at_most,
    validate_at_most_all, validate_collisions, validate_counters, validate_endless, validate_int_or_percent,
    validate_selector,
};
use crate::columns::{self, count};
use crate::pod_spec::validation::{validate_claim_spec, validate_template};
use crate::pod_spec::warnings;
use crate::pod_spec::{set_claim_spec_defaults, set_template_defaults};
use crate::rules::{at, complain, immutable, immutable_structure, non_negative, object_at, supported};
use crate::{Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("apps", "v1", "StatefulSet", "statefulsets")
        .short_names(&["sts"])
        .categories(&["all"])
        .subresources(&[Subresource::Scale, Subresource::Status])
        .name_rule(names::dns1123_label)
        .counts_generations()
        .columns(columns::list(&["Name", "Ready", "Age", "+Containers", "+Images"]))
        .strategy(StatefulSet)
}

struct StatefulSet;

impl Strategy for StatefulSet {
    fn set_defaults(&self, object: &mut Value) {
        let spec = child(object, "spec");
        set_text(spec, "podManagementPolicy", "OrderedReady");
        let strategy = child(spec, "updateStrategy");
        if text(strategy, "type").is_empty() {
            put(strategy, "type", "RollingUpdate");
            set(strategy, "rollingUpdate", json!({}));
        }
        let is_rolling = text(strategy, "type") == "RollingUpdate";
        if let Some(rolling) = strategy.get_mut("rollingUpdate").filter(|r| is_rolling && r.is_object()) {
            set(rolling, "partition", 0);
            set(rolling, "maxUnavailable", 1);
        }
        let retention = child(spec, "persistentVolumeClaimRetentionPolicy");
        set_text(retention, "whenDeleted", "Retain");
        set_text(retention, "whenScaled", "Retain");
        set(spec, "replicas", 1);
        set(spec, "revisionHistoryLimit", 10);
        set_template_defaults(child(spec, "template"));
        for claim in items_mut(spec, "volumeClaimTemplates") {
            put(claim, "kind", "PersistentVolumeClaim");
            put(claim, "apiVersion", "v1");
            set_claim_spec_defaults(child(claim, "spec"));
            set_text(child(claim, "status"), "phase", "Pending");
        }
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_spec(&mut errors, &object["spec"], &Path::new("spec"), true);
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let (mut errors, path) = (Errors::new(), Path::new("spec"));
        validate_spec(&mut errors, &object["spec"], &path, false);
        let (new, old) = (&object["spec"], &old["spec"]);
        let fixed = |errors: &mut Errors, field: &str| {
            immutable(errors, &path.child(field), at(new, field), at(old, field));
        };
        fixed(&mut errors, "selector");
        let [claims, old_claims] = [new, old].map(|spec| at(spec, "volumeClaimTemplates"));
        let claims_path = path.child("volumeClaimTemplates");
        immutable_structure(&mut errors, &claims_path, "core.v1.PersistentVolumeClaim", claims, old_claims);
        fixed(&mut errors, "serviceName");
        fixed(&mut errors, "podManagementPolicy");
        errors
    }

    fn validate_status(&self, object: &Value, old: &Value) -> Errors {
        const COUNTERS: [&str; 7] = [
            "replicas",
            "readyReplicas",
            "currentReplicas",
            "updatedReplicas",
            "availableReplicas",
            "observedGeneration",
            "collisionCount",
        ];
        let (mut errors, path, status) = (Errors::new(), Path::new("status"), &object["status"]);
        validate_counters(&mut errors, status, &path, &COUNTERS);
        let parts = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
        validate_at_most(&mut errors, status, &path, &parts, ("replicas", "status.replicas"));
        let ready = ("readyReplicas", "status.readyReplicas");
        validate_at_most(&mut errors, status, &path, &["availableReplicas"], ready);
        validate_collisions(&mut errors, object, old);
        errors
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        let mut all = warnings::of_template(object, old, "spec.template");
        for (index, claim) in items(&object["spec"], "volumeClaimTemplates").enumerate() {
            // Upstream's paths of an update are others.
            let below = if old.is_some() { ".Spec" } else { "" };
            all.extend(warnings::of_claim(&claim["spec"], &format!("spec.volumeClaimTemplates[{index}]{below}")));
        }
        if number(&object["spec"], "revisionHistoryLimit") < 0 {
            let what = "a negative value retains all historical revisions; a value >= 0 is recommended";
            all.push(format!("spec.revisionHistoryLimit: {what}"));
        }
        all
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let ready = format!("{}/{}", count(object, "/status/readyReplicas"), count(object, "/spec/replicas"));
        let [names, images] = columns::containers(object.pointer("/spec/template/spec"));
        vec![columns::name(object), Value::from(ready), columns::age(object, now), names, images]
    }
}

fn validate_spec(errors: &mut Errors, spec: &Value, path: &Path<'_>, is_new: bool) {
    match text(spec, "podManagementPolicy") {
        "" => errors.push(Error::required(&path.child("podManagementPolicy"), "")),
        "OrderedReady" | "Parallel" => {}
        other => {
            let detail = "must be 'OrderedReady' or 'Parallel'";
            errors.push(Error::invalid(&path.child("podManagementPolicy"), other, detail));
        }
    }
    validate_strategy(errors, &spec["updateStrategy"], &path.child("updateStrategy"));
    if let Some(policy) = object_at(spec, "persistentVolumeClaimRetentionPolicy") {
        let path = path.child("persistentVolumeClaimRetentionPolicy");
        for field in ["whenDeleted", "whenScaled"] {
            supported(errors, &path.child(field), text(policy, field), &["Retain", "Delete"]);
        }
    }
    if is_new {
        let templates = path.child("volumeClaimTemplates");
        for (index, claim) in items(spec, "volumeClaimTemplates").enumerate() {
            validate_claim_spec(errors, &claim["spec"], &templates.index(index).child("spec"));
        }
    }
    for field in ["replicas", "minReadySeconds"] {
        non_negative(errors, &path.child(field), number(spec, field));
    }
    if let Some(ordinals) = object_at(spec, "ordinals") {
        non_negative(errors, &path.child("ordinals.start"), number(ordinals, "start"));
    }
    let service = text(spec, "serviceName");
    if is_new && !service.is_empty() {
        complain(errors, &path.child("serviceName"), service, names::dns1123_label(service));
    }
    if object_at(spec, "selector").is_none() {
        errors.push(Error::required(&path.child("selector"), ""));
    }
    validate_selector(errors, spec, path, "statefulset");
    validate_pods(errors, spec, path);
}

fn validate_pods(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let template_path = path.child("template");
    let selector = object_at(spec, "selector");
    match parse_selector(selector) {
        None => errors.push(Error::invalid(&path.child("selector"), shown_selector(selector), "")),
        Some(selector) => {
            let template = with_claims(spec);
            if !selector.is_everything() && !matches_template(&selector, &template) {
                complain_of_labels(errors, &template, &template_path);
            }
            validate_template(errors, &template, &template_path);
        }
    }
    validate_endless(errors, &spec["template"], &template_path, "StatefulSet");
}

/// The template as its pods will be: the claims are volumes, and the names are the set's to give.
fn with_claims(spec: &Value) -> Value {
    let mut template = spec["template"].clone();
    let pod = child(&mut template, "spec");
    remove(pod, "hostname");
    remove(pod, "subdomain");
    let names: Vec<&str> = items(spec, "volumeClaimTemplates")
        .map(|claim| claim.pointer("/metadata/name").and_then(Value::as_str).unwrap_or(""))
        .collect();
    if names.is_empty() {
        return template;
    }
    let mut unique = names.clone();
    unique.sort_unstable();
    unique.dedup();
    let claims = unique.iter().map(|name| json!({"name": name, "persistentVolumeClaim": {"claimName": name}}));
    let others = items(pod, "volumes").filter(|volume| !names.contains(&text(volume, "name"))).cloned();
    let volumes: Vec<Value> = claims.chain(others).collect();
    put(pod, "volumes", volumes);
    template
}

fn validate_strategy(errors: &mut Errors, strategy: &Value, path: &Path<'_>) {
    let rolling_path = path.child("rollingUpdate");
    match (text(strategy, "type"), object_at(strategy, "rollingUpdate")) {
        ("", _) => errors.push(Error::required(path, "")),
        ("OnDelete", Some(rolling)) => {
            let detail = "only allowed for updateStrategy 'RollingUpdate'";
            errors.push(Error::invalid(&rolling_path, shown_rolling(rolling), detail));
        }
        ("OnDelete" | "RollingUpdate", None) => {}
        ("RollingUpdate", Some(rolling)) => {
            non_negative(errors, &rolling_path.child("partition"), number(rolling, "partition"));
            if let Some(unavailable) = at(rolling, "maxUnavailable") {
                let path = rolling_path.child("maxUnavailable");
                validate_int_or_percent(errors, &path, unavailable);
                if int_or_percent(unavailable) == 0 {
                    errors.push(Error::invalid(&path, unavailable.clone(), "cannot be 0"));
                }
                validate_at_most_all(errors, &path, unavailable);
            }
        }
        (kind, rolling) => {
            let shown = json!({"Type": kind, "RollingUpdate": rolling.map(shown_rolling)});
            errors.push(Error::invalid(path, shown, "must be 'RollingUpdate' or 'OnDelete'"));
        }
    }
}

/// As upstream's messages show it.
fn shown_rolling(rolling: &Value) -> Value {
    json!({"Partition": number(rolling, "partition"), "MaxUnavailable": rolling.get("maxUnavailable")})
}
