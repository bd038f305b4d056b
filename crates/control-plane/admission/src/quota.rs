//! ResourceQuota: what is created, or grows, is charged to the quotas of its namespace, and refused when one of them is exceeded.
//!
//! The charge is written in the same transaction as the object: nothing is there that was not charged, and nothing is charged that
//! is not there. Writes to one namespace are charged one after the other; a controller that writes a quota meanwhile makes the
//! transaction fail, and the charge is computed anew.
//!
//! Source: upstream `apiserver/pkg/admission/plugin/resourcequota`, which writes the charge before the object.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard};
use windlass_api::{Status, Timestamp};
use windlass_machinery::tree::{child, put, text};
use windlass_quota::{Amounts, Evaluator, amounts, pretty, scopes_of, to_value};

use crate::review::{Cluster, Operation, Review};

const TABLE: &str = "resourcequotas";
/// Namespaces share these, so that their number is bounded.
const LOCKS: usize = 64;

pub(crate) struct ResourceQuota {
    locks: [Arc<Mutex<()>>; LOCKS],
    hasher: std::hash::RandomState,
}

impl Default for ResourceQuota {
    fn default() -> Self {
        #[expect(clippy::disallowed_methods, reason = "nobody can choose a lock to share with another namespace")]
        let hasher = std::hash::RandomState::new();
        Self { locks: std::array::from_fn(|_| Arc::default()), hasher }
    }
}

/// What quotas are charged for a write. It belongs into the transaction of the write, and is kept until that has ended: until then
/// no other write to the namespace is charged.
#[derive(Default)]
pub struct Charge {
    pub quotas: Vec<ChargedQuota>,
    _turn: Option<OwnedMutexGuard<()>>,
}

/// A quota before and after a charge.
pub struct ChargedQuota {
    pub old: Arc<Value>,
    pub new: Value,
}

impl ChargedQuota {
    /// Where quotas are stored.
    pub const TABLE: &str = TABLE;
}

impl ResourceQuota {
    /// What the write is charged; a refusal when it exceeds a quota.
    pub(crate) async fn charge(&self, review: &Review<'_>, cluster: &dyn Cluster) -> Result<Charge, Status> {
        let evaluator = Evaluator::of(&review.resource.group_resource()).filter(|_| !review.namespace.is_empty());
        let (Some(evaluator), Some(object)) = (evaluator, review.object.as_deref()) else {
            return Ok(Charge::default());
        };
        match (review.operation, review.old) {
            (Operation::Create, _) if review.subresource.is_empty() => {}
            (Operation::Update, Some(old)) if evaluator.is_changed_by(review.subresource, object, old) => {}
            _ => return Ok(Charge::default()),
        }
        if !cluster.has_objects(TABLE, review.namespace) {
            return Ok(Charge::default());
        }
        let turn = self.lock_of(review.namespace).clone().lock_owned().await;
        let write = Write { evaluator, object, old: review.old, is_status: review.subresource == "status" };
        let mut quotas = Vec::new();
        for quota in cluster.objects(TABLE, review.namespace) {
            if let Some(used) = write.charged(&quota).map_err(|why| review.forbidden(why))? {
                let mut new = Value::clone(&quota);
                put(child(&mut new, "status"), "used", to_value(&used));
                quotas.push(ChargedQuota { old: quota, new });
            }
        }
        Ok(Charge { quotas, _turn: Some(turn) })
    }

    fn lock_of(&self, namespace: &str) -> &Arc<Mutex<()>> {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(namespace.as_bytes());
        &self.locks[usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or(0)]
    }
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
        let evaluator = Evaluator::of(&GroupResource::of("", resource)).unwrap();
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
