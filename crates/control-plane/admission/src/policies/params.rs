//! The parameters that a binding chooses for a write.

use std::sync::Arc;

use serde_json::Value;
use windlass_api::GroupVersionKind;

use super::binding::ParamRef;
use super::policy::ParamKind;
use crate::matching::LabelsOf;
use crate::review::{Cluster, Review, Served};

/// Parameters, or none where the expressions of the policy are evaluated without.
pub(super) type Params = Vec<Option<Arc<Value>>>;

impl ParamKind {
    /// The kind as it is served.
    pub(super) fn served(&self, cluster: &dyn Cluster) -> Result<Served, String> {
        let GroupVersionKind { group, version, kind } = &self.kind;
        let unknown = || format!("failed to find resource referenced by paramKind: '{group}/{version}, Kind={kind}'");
        cluster.served(&self.kind).ok_or_else(unknown)
    }
}

/// Finds the parameters of the binding. None at all means that the write is not looked at.
pub(super) async fn collect(
    kind: Option<(&ParamKind, &Served)>,
    reference: Option<&ParamRef>,
    review: &Review<'_>,
    cluster: &dyn Cluster,
) -> Result<Params, String> {
    let (Some((kind, served)), Some(reference)) = (kind, reference) else { return Ok(vec![None]) };
    let is_namespaced = (**served).as_ref().is_namespaced();
    let namespace = match (is_namespaced, &*reference.namespace) {
        (true, "") if review.object_namespace().is_empty() => {
            return Err(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources".to_owned()
            );
        }
        (true, "") => review.object_namespace(),
        (true, namespace) => namespace,
        (false, "") => "",
        (false, _) => return Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned()),
    };
    let found: Params = match (&*reference.name, &reference.selector) {
        ("", None) => return Err("one of name or selector must be provided".to_owned()),
        ("", Some(Err(why))) => return Err(why.clone()),
        ("", Some(Ok(selector))) => {
            let all = cluster.objects_of(&kind.kind, namespace).await;
            all.into_iter().filter(|object| selector.matches(&LabelsOf(object))).map(Some).collect()
        }
        (_, Some(_)) => return Err("paramRef.name and paramRef.selector are mutually exclusive".to_owned()),
        (name, None) => cluster.object_of(&kind.kind, namespace, name).await.into_iter().map(Some).collect(),
    };
    if found.is_empty() && reference.must_exist {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned());
    }
    Ok(found)
}
