//! A ClusterRole with an aggregation rule has the rules of all roles that it selects.

use serde::Deserialize;
use serde_json::{Value, json};
use windlass_api::resource::CLUSTER_ROLES;
use windlass_api::{Meta, ObjectKey, Status};
use windlass_client::{OBJECT, Outcome, WorkQueue};

use crate::context::Context;
use crate::write::modify;

const NAME: &str = "clusterrole-aggregation-controller";
const WORKERS: usize = 5;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClusterRole {
    metadata: Meta,
    rules: Option<Vec<Value>>,
    aggregation_rule: Option<AggregationRule>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AggregationRule {
    cluster_role_selectors: Vec<Value>,
}

pub(crate) async fn run(context: Context) {
    let client = context.client(NAME);
    let roles = context.informer(&CLUSTER_ROLES);
    let queue = WorkQueue::new();
    roles.synced().await;
    let (changed, all) = (queue.clone(), roles.clone());
    roles.subscribe(move |_| {
        let aggregated = |object: &windlass_client::Object| {
            object.decode::<ClusterRole>().is_ok_and(|role| role.aggregation_rule.is_some())
        };
        all.list("").into_iter().filter(aggregated).for_each(|role| changed.add(role.key));
    });
    let sync = async |key: ObjectKey| -> Result<Outcome, Status> {
        let Some(role) = roles.read::<ClusterRole>(&key) else { return Ok(Outcome::Done) };
        let others: Vec<ClusterRole> = roles.list("").into_iter().filter_map(|object| object.decode().ok()).collect();
        if let Some(rules) = aggregate(&role, &others)? {
            let patch = json!({"metadata": {"uid": role.metadata.uid}, "rules": rules});
            modify(&client, &roles, &CLUSTER_ROLES, &key, OBJECT, &patch).await?;
        }
        Ok(Outcome::Done)
    };
    queue.run(NAME, WORKERS, sync).await;
}

/// The rules that the role should have, in the order of its selectors and then of the roles' names; `None` when it has them.
fn aggregate(role: &ClusterRole, others: &[ClusterRole]) -> Result<Option<Vec<Value>>, Status> {
    let Some(aggregation) = &role.aggregation_rule else { return Ok(None) };
    let mut rules: Vec<Value> = Vec::new();
    for selector in &aggregation.cluster_role_selectors {
        let selector = crate::selector_of_structure(selector)?;
        let is_selected = |other: &&ClusterRole| {
            other.metadata.name != role.metadata.name && selector.matches(&other.metadata.labels)
        };
        for rule in others.iter().filter(is_selected).flat_map(|other| other.rules.iter().flatten()) {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
    }
    Ok((role.rules.as_deref().unwrap_or_default() != rules).then_some(rules))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gathers_rules() {
        let role = |value: Value| serde_json::from_value::<ClusterRole>(value).unwrap();
        let selected = json!({"to": "admin"});
        let others = [
            role(
                json!({"metadata": {"name": "a", "labels": selected}, "rules": [{"verbs": ["get"]}, {"verbs": ["list"]}]}),
            ),
            role(
                json!({"metadata": {"name": "b", "labels": selected}, "rules": [{"verbs": ["get"]}, {"verbs": ["watch"]}]}),
            ),
            role(json!({"metadata": {"name": "c"}, "rules": [{"verbs": ["delete"]}]})),
        ];
        let mut admin = role(json!({"metadata": {"name": "admin", "labels": selected},
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": selected}]}}));
        let expected = vec![json!({"verbs": ["get"]}), json!({"verbs": ["list"]}), json!({"verbs": ["watch"]})];
        assert_eq!(aggregate(&admin, &others).unwrap(), Some(expected.clone()));
        admin.rules = Some(expected);
        assert_eq!(aggregate(&admin, &others).unwrap(), None);
        assert_eq!(aggregate(&others[0], &others).unwrap(), None);
    }
}
