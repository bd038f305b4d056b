//! ResourceQuota: what is created, or grows, is charged to the quotas of its namespace, and refused when one of them is exceeded.
//!
//! The charge is written before the object: two requests at once never share what is left for one. When the object is then not
//! written after all, the quota's controller counts again and gives the charge back. Requests of one namespace are charged one
//! after the other; a controller that writes the status meanwhile makes the charge be computed anew.
//!
//! Source: upstream `apiserver/pkg/admission/plugin/resourcequota`.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::Mutex;
use windlass_api::{Status, Timestamp};
use windlass_machinery::tree::{child, put, text};
use windlass_quota::{Amounts, Evaluator, amounts, pretty, scopes_of, to_value};

use super::forbidden;
use crate::chain::Plugin;
use crate::review::{Cluster, Operation, Review};

const TABLE: &str = "resourcequotas";
/// Namespaces share these, so that their number is bounded.
const LOCKS: usize = 64;
/// How often a charge is computed anew when somebody else has just written the quota.
const ATTEMPTS: usize = 16;

pub(super) struct ResourceQuota {
    locks: [Mutex<()>; LOCKS],
    hasher: std::hash::RandomState,
}

impl Default for ResourceQuota {
    fn default() -> Self {
        Self { locks: std::array::from_fn(|_| Mutex::new(())), hasher: std::hash::RandomState::new() }
    }
}

#[async_trait]
impl Plugin for ResourceQuota {
    fn name(&self) -> &'static str {
        "ResourceQuota"
    }

    async fn validate(&self, review: &Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        if review.namespace.is_empty() || is_ignored(review) {
            return Ok(());
        }
        let evaluator = Evaluator::of(&review.resource.group_resource());
        let Some(object) = review.object.as_deref() else { return Ok(()) };
        match (review.operation, review.old) {
            (Operation::Create, _) if review.subresource.is_empty() => {}
            (Operation::Update, Some(old)) if evaluator.is_changed_by(review.subresource, object, old) => {}
            _ => return Ok(()),
        }
        if cluster.objects(TABLE, review.namespace).is_empty() {
            return Ok(());
        }
        let _turn = self.lock_of(review.namespace).lock().await;
        let write = Write { evaluator, object, old: review.old, is_status: review.subresource == "status" };
        self.charge(review, &write, cluster).await
    }
}

/// Events come and go in masses and are bounded in other ways; reviews are not stored.
fn is_ignored(review: &Review<'_>) -> bool {
    let (group, resource) = (&*review.resource.group, &*review.resource.resource);
    resource == "events" || matches!(group, "authorization.k8s.io" | "authentication.k8s.io")
}

impl ResourceQuota {
    fn lock_of(&self, namespace: &str) -> &Mutex<()> {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(namespace.as_bytes());
        &self.locks[usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or(0)]
    }

    /// First every quota is asked, then the charges are written: a refusal charges nobody.
    async fn charge(&self, review: &Review<'_>, write: &Write<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let mut charged: Vec<String> = Vec::new();
        for _ in 0..ATTEMPTS {
            let mut charges = Vec::new();
            for quota in cluster.objects(TABLE, review.namespace) {
                if charged.iter().any(|name| name == text(&quota["metadata"], "name")) {
                    continue;
                }
                if let Some(used) = write.charged(&quota).map_err(|why| forbidden(review, why))? {
                    charges.push((quota, used));
                }
            }
            if review.dry_run {
                return Ok(());
            }
            let mut is_done = true;
            for (quota, used) in charges {
                let name = text(&quota["metadata"], "name").to_owned();
                if write_used(cluster, &quota, &used).await? {
                    charged.push(name);
                } else {
                    is_done = false;
                }
            }
            if is_done {
                return Ok(());
            }
        }
        let quotas = windlass_api::GroupResource::of("", TABLE);
        Err(Status::conflict(&quotas, "", "the quotas of the namespace are changing; try again"))
    }
}

/// Writes what is used, unless the quota has changed meanwhile.
async fn write_used(cluster: &dyn Cluster, quota: &Arc<Value>, used: &Amounts) -> Result<bool, Status> {
    let mut new = Value::clone(quota);
    put(child(&mut new, "status"), "used", to_value(used));
    cluster.replace(TABLE, quota, new).await
}

/// What is to be written, as quotas see it.
struct Write<'a> {
    evaluator: Evaluator,
    object: &'a Value,
    /// `None` for a creation.
    old: Option<&'a Value>,
    /// What has happened already is charged even beyond the bounds.
    is_status: bool,
}

impl Write<'_> {
    /// What of the quota is used after the write; `None` when that changes nothing, and why not when the write exceeds it.
    fn charged(&self, quota: &Value) -> Result<Option<Amounts>, String> {
        let (name, status) = (text(&quota["metadata"], "name"), &quota["status"]);
        let hard = amounts(status.get("hard"));
        let counted: Vec<&str> = hard.keys().map(String::as_str).filter(|name| self.evaluator.counts(name)).collect();
        let scopes = scopes_of(&quota["spec"]);
        if counted.is_empty() || !self.evaluator.is_in_scope(&scopes, self.object) {
            return Ok(None);
        }
        self.evaluator.check_said(self.object, &counted).map_err(|why| format!("failed quota: {name}: {why}"))?;
        let used = amounts(status.get("used"));
        if counted.iter().any(|name| !used.contains_key(*name)) {
            return Err(format!("status unknown for quota: {name}, resources: {}", counted.join(",")));
        }
        let mut asked = self.usage(self.object);
        let negative: Vec<&str> =
            asked.iter().filter(|(_, q)| q.is_negative()).map(|(name, _)| name.as_str()).collect();
        if !negative.is_empty() {
            return Err(format!("quota usage is negative for resource(s): {}", negative.join(",")));
        }
        // What the object counted already is not charged again; what it gives back is for the controller to count.
        if let Some(old) = self.old.filter(|old| self.evaluator.is_in_scope(&scopes, old)) {
            let before = self.usage(old);
            for (name, quantity) in &mut asked {
                *quantity -= before.get(name).copied().unwrap_or_default();
            }
        }
        asked.retain(|name, quantity| hard.contains_key(name) && !quantity.is_zero() && !quantity.is_negative());
        if asked.is_empty() {
            return Ok(None);
        }
        let mut after = used.clone();
        for (name, quantity) in &asked {
            *after.entry(name.clone()).or_default() += *quantity;
        }
        let exceeded: Vec<&String> = asked.keys().filter(|name| after[*name] > hard[*name]).collect();
        if exceeded.is_empty() || self.is_status {
            return Ok(Some(after));
        }
        let of = |all: &Amounts| {
            pretty(&all.iter().filter(|(n, _)| exceeded.contains(n)).map(|(n, q)| (n.clone(), *q)).collect())
        };
        Err(format!("exceeded quota: {name}, requested: {}, used: {}, limited: {}", of(&asked), of(&used), of(&hard)))
    }

    /// A pod that hangs after its deletion is still charged here: only the controller, which has a clock, lets it go.
    fn usage(&self, object: &Value) -> Amounts {
        self.evaluator.usage(object, Timestamp::MIN)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use windlass_api::GroupResource;

    use super::*;

    fn quota(hard: Value, used: Value, scopes: Value) -> Value {
        json!({"metadata": {"name": "q"}, "spec": {"scopes": scopes}, "status": {"hard": hard, "used": used}})
    }

    fn check(resource: &'static str, quota: &Value, object: &Value, old: Option<&Value>) -> Result<String, String> {
        let evaluator = Evaluator::of(&GroupResource::of("", resource));
        let write = Write { evaluator, object, old, is_status: false };
        Ok(write.charged(quota)?.map_or_else(|| "nothing".to_owned(), |used| pretty(&used)))
    }

    #[test]
    fn charges_pods() {
        let pod = |cpu: &str| json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}});
        let full =
            quota(json!({"cpu": "2", "pods": "2", "secrets": "1"}), json!({"cpu": "500m", "pods": "1"}), json!([]));
        let scoped = quota(json!({"pods": "2"}), json!({"pods": "1"}), json!(["BestEffort"]));
        let unknown = quota(json!({"cpu": "2"}), json!({}), json!([]));
        let cases = [
            (&full, pod("1"), Ok("cpu=1500m,pods=2")),
            (&full, pod("2"), Err("exceeded quota: q, requested: cpu=2, used: cpu=500m, limited: cpu=2")),
            (&full, json!({"spec": {"containers": [{"name": "c"}]}}), Err("failed quota: q: must specify cpu for: c")),
            (&scoped, pod("1"), Ok("nothing")),
            (&scoped, json!({"spec": {"containers": [{"name": "c"}]}}), Ok("pods=2")),
            (&unknown, pod("1"), Err("status unknown for quota: q, resources: cpu")),
        ];
        for (quota, pod, expected) in cases {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(check("pods", quota, &pod, None), expected, "{pod}");
        }
        let resized = check("pods", &full, &pod("1"), Some(&pod("250m")));
        assert_eq!(resized.unwrap(), "cpu=1250m,pods=1");
        assert_eq!(check("pods", &full, &pod("1"), Some(&pod("3"))).unwrap(), "nothing");
    }

    #[test]
    fn charges_objects() {
        let full = quota(
            json!({"count/secrets": "2", "secrets": "2"}),
            json!({"count/secrets": "2", "secrets": "1"}),
            json!([]),
        );
        let refused = "exceeded quota: q, requested: count/secrets=1, used: count/secrets=2, limited: count/secrets=2";
        assert_eq!(check("secrets", &full, &json!({}), None).unwrap_err(), refused);
        assert_eq!(check("configmaps", &full, &json!({}), None).unwrap(), "nothing");
    }

    #[test]
    fn what_happened_is_charged() {
        let claim = |given: &str| json!({"spec": {"resources": {"requests": {"storage": "1Gi"}}}, "status": {"allocatedResources": {"storage": given}}});
        let quota = quota(json!({"requests.storage": "2Gi"}), json!({"requests.storage": "1Gi"}), json!([]));
        let evaluator = Evaluator::PersistentVolumeClaims;
        let write = Write { evaluator, object: &claim("3Gi"), old: Some(&claim("1Gi")), is_status: true };
        assert_eq!(pretty(&write.charged(&quota).unwrap().unwrap()), "requests.storage=3Gi");
    }
}
