//! Priority: turns the name of a pod's priority class into its number.

use async_trait::async_trait;
use serde_json::Value;
use windlass_api::Status;
use windlass_machinery::tree::{child, number, put, set, text};

use super::created;
use crate::chain::Plugin;
use crate::review::{Cluster, Operation, Review};

const TABLE: &str = "priorityclasses.scheduling.k8s.io";

pub(super) struct Priority;

#[async_trait]
impl Plugin for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    async fn admit(&self, review: &mut Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let Some(pod) = created(review, "", "pods") else { return Ok(()) };
        let spec = child(pod, "spec");
        let name = text(spec, "priorityClassName").to_owned();
        let (class, value, preemption) = match name.as_str() {
            "" => default_class(cluster),
            _ => match cluster.object(TABLE, "", &name) {
                Some(class) => (name, number(&class, "value"), preemption_of(&class)),
                None => return Err(review.forbidden(format!("no PriorityClass with name {name} was found"))),
            },
        };
        if !class.is_empty() {
            put(spec, "priorityClassName", class);
        }
        if let Some(given) = spec.get("priority").and_then(Value::as_i64).filter(|given| *given != value) {
            let why = format!(
                "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
                 computed {value} from the given PriorityClass name"
            );
            return Err(review.forbidden(why));
        }
        put(spec, "priority", value);
        set(spec, "preemptionPolicy", preemption);
        Ok(())
    }

    async fn validate(&self, review: &Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        if !review.is_of("scheduling.k8s.io", "priorityclasses") || review.operation == Operation::Delete {
            return Ok(());
        }
        let Some(class) = review.object.as_deref() else { return Ok(()) };
        if class.get("globalDefault") != Some(&Value::Bool(true)) {
            return Ok(());
        }
        let own = text(&class["metadata"], "name");
        for other in cluster.objects(TABLE, "") {
            let name = text(&other["metadata"], "name");
            if other.get("globalDefault") == Some(&Value::Bool(true)) && name != own {
                let why = format!("PriorityClass {name} is already marked as default. Only one default can exist");
                return Err(review.forbidden(why));
            }
        }
        Ok(())
    }
}

fn preemption_of(class: &Value) -> String {
    match text(class, "preemptionPolicy") {
        "" => "PreemptLowerPriority".to_owned(),
        policy => policy.to_owned(),
    }
}

/// The class for pods that name none: the lowest of those that are marked, or nothing at priority 0.
fn default_class(cluster: &dyn Cluster) -> (String, i64, String) {
    let marked = cluster.objects(TABLE, "").into_iter().filter(|c| c.get("globalDefault") == Some(&Value::Bool(true)));
    match marked.min_by_key(|class| number(class, "value")) {
        Some(class) => (text(&class["metadata"], "name").to_owned(), number(&class, "value"), preemption_of(&class)),
        None => (String::new(), 0, "PreemptLowerPriority".to_owned()),
    }
}
