//! CSIDriver: what a storage driver can do.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::{child, items, put, remove, set, text};

use crate::columns;
use crate::rules::{at, supported, texts};
use crate::{Moment, Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::cluster("storage.k8s.io", "v1", "CSIDriver", "csidrivers")
        .counts_generations()
        .columns(columns::list(&[
            "Name",
            "AttachRequired:boolean",
            "PodInfoOnMount:boolean",
            "StorageCapacity:boolean",
            "TokenRequests",
            "RequiresRepublish:boolean",
            "Modes",
            "Age",
        ]))
        .updates_need_version()
        .strategy(CsiDriver)
}

struct CsiDriver;

impl Strategy for CsiDriver {
    fn set_defaults(&self, object: &mut Value) {
        let spec = child(object, "spec");
        set(spec, "attachRequired", true);
        for field in
            ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount", "preventPodSchedulingIfMissing"]
        {
            set(spec, field, false);
        }
        set(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
        if items(spec, "volumeLifecycleModes").next().is_none() {
            put(spec, "volumeLifecycleModes", json!(["Persistent"]));
        }
    }

    /// Changes are counted, but a new driver has no generation yet.
    fn prepare_create(&self, object: &mut Value, _moment: Moment) {
        remove(child(object, "metadata"), "generation");
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn warnings(&self, object: &Value, _old: Option<&Value>) -> Vec<String> {
        let spec = &object["spec"];
        let asks = items(spec, "tokenRequests").next().is_some();
        match asks && spec.get("serviceAccountTokenInSecrets").is_none_or(Value::is_null) {
            true => vec![TOKENS_IN_SECRETS.to_owned()],
            false => Vec::new(),
        }
    }

    fn validate(&self, object: &Value) -> Errors {
        let (mut errors, path) = (Errors::new(), Path::new("spec"));
        let spec = object.get("spec").unwrap_or(&Value::Null);
        if let Some(policy) = at(spec, "fsGroupPolicy").and_then(Value::as_str) {
            let policies = ["File", "None", "ReadWriteOnceWithFSType"];
            supported(&mut errors, &path.child("fsGroupPolicy"), policy, &policies);
        }
        validate_token_requests(&mut errors, spec, &path.child("tokenRequests"));
        for mode in texts(spec, "volumeLifecycleModes") {
            supported(&mut errors, &path.child("volumeLifecycleModes"), mode, &["Persistent", "Ephemeral"]);
        }
        if let Some(period) = at(spec, "nodeAllocatableUpdatePeriodSeconds").and_then(Value::as_i64)
            && period < 10
        {
            let path = path.child("nodeAllocatableUpdatePeriodSeconds");
            errors.push(Error::invalid(&path, period, "must be greater than or equal to 10 seconds"));
        }
        if let Some(in_secrets) = at(spec, "serviceAccountTokenInSecrets")
            && items(spec, "tokenRequests").next().is_none()
        {
            let detail = "serviceAccountTokenInSecrets is set but no tokenRequests are specified";
            errors.push(Error::invalid(&path.child("serviceAccountTokenInSecrets"), in_secrets.clone(), detail));
        }
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let (mut errors, path) = (self.validate(object), Path::new("spec"));
        for (field, shown) in [("attachRequired", "attachedRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")]
        {
            let (new, old) = (object["spec"].get(field), old["spec"].get(field));
            crate::rules::immutable(&mut errors, &path.child(shown), new, old);
        }
        errors
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let spec = &object["spec"];
        let flag = |field: &str, absent: bool| Value::from(spec.get(field).and_then(Value::as_bool).unwrap_or(absent));
        let tokens: Vec<&str> = items(spec, "tokenRequests").map(|request| text(request, "audience")).collect();
        let tokens = if spec.get("tokenRequests").is_some() { tokens.join(",") } else { "<unset>".to_owned() };
        let modes: Vec<&str> = items(spec, "volumeLifecycleModes").filter_map(Value::as_str).collect();
        vec![
            columns::name(object),
            flag("attachRequired", true),
            flag("podInfoOnMount", false),
            flag("storageCapacity", false),
            Value::from(tokens),
            flag("requiresRepublish", false),
            columns::or_none(Some(&modes.join(","))),
            columns::age(object, now),
        ]
    }
}

const TOKENS_IN_SECRETS: &str = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to \
                                 prevent possible logging of tokens in volume attributes";

fn validate_token_requests(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let mut audiences = BTreeSet::new();
    for (index, request) in items(spec, "tokenRequests").enumerate() {
        let path = path.index(index);
        let audience = text(request, "audience");
        if !audiences.insert(audience) {
            errors.push(Error::duplicate(&path.child("audience"), audience));
            continue;
        }
        let Some(seconds) = at(request, "expirationSeconds").and_then(Value::as_i64) else { continue };
        let path = path.child("expirationSeconds");
        if seconds < 600 {
            errors.push(Error::invalid(&path, seconds, "may not specify a duration less than 10 minutes"));
        }
        if seconds > 1 << 32 {
            errors.push(Error::invalid(&path, seconds, "may not specify a duration larger than 2^32 seconds"));
        }
    }
}
