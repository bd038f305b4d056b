//! CSIDriver: what a storage driver can do.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_machinery::tree::{child, items, put, remove, set, text};

use crate::columns;
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

    fn warnings(&self, object: &Value) -> Vec<String> {
        let spec = &object["spec"];
        let asks = items(spec, "tokenRequests").next().is_some();
        match asks && spec.get("serviceAccountTokenInSecrets").is_none_or(Value::is_null) {
            true => vec![TOKENS_IN_SECRETS.to_owned()],
            false => Vec::new(),
        }
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
