//! Checks the types in ValidatingAdmissionPolicies: what their expressions do not agree on with the schemas of the kinds that they are about
//! stands in their status. It is a help for authors; policies work all the same.
//!
//! [`kinds`] says which kinds a policy is about, [`schemas`] what is known of them, and [`check`] what is wrong. A policy is checked once for
//! each of its generations, whatever becomes of the kinds.
//!
//! Source: upstream `pkg/controller/validatingadmissionpolicystatus`, apiserver `pkg/admission/plugin/policy/validating/typechecking.go`.

mod check;
mod kinds;
mod schemas;

use std::sync::Arc;

use serde_json::{Value, json};
use windlass_api::fields::FieldSelector;
use windlass_api::resource::{CUSTOM_RESOURCE_DEFINITIONS, VALIDATING_ADMISSION_POLICIES};
use windlass_api::{GroupVersionKind, ObjectKey, Status};
use windlass_cel::Type;
use windlass_cel::admission::KnownTypes;
use windlass_client::{ApiResource, Client, Informer, Options, Outcome, PatchType, Request, STATUS, Verb, WorkQueue};
use windlass_machinery::tree::number;

use self::check::{Checked, warnings};
use self::kinds::{kinds_of, param_kind};
use self::schemas::{builtin_type, custom_type};
use crate::context::Context;

const NAME: &str = "validatingadmissionpolicy-status-controller";
const WORKERS: usize = 5;

struct Controller {
    client: Client,
    /// Asks which kinds there are, and how they are defined.
    manager: Client,
    policies: Arc<Informer>,
}

pub(crate) async fn run(context: Context) {
    let controller = Controller {
        client: context.client(NAME),
        manager: context.manager.clone(),
        policies: context.informer(&VALIDATING_ADMISSION_POLICIES),
    };
    let queue = WorkQueue::new();
    let changed = queue.clone();
    controller.policies.subscribe(move |change| changed.add(change.object().key.clone()));
    controller.policies.synced().await;
    queue.run(NAME, WORKERS, async |key| controller.sync(key).await).await;
}

impl Controller {
    async fn sync(&self, key: ObjectKey) -> Result<Outcome, Status> {
        let Some(policy) = self.policies.read::<Value>(&key) else { return Ok(Outcome::Done) };
        let generation = number(&policy["metadata"], "generation");
        if generation <= number(&policy["status"], "observedGeneration") {
            return Ok(Outcome::Done);
        }
        let found = warnings(&policy["spec"], &self.checked(&policy["spec"]).await?);
        let checking = if found.is_empty() { json!({}) } else { json!({"expressionWarnings": found}) };
        self.apply(&key, json!({"observedGeneration": generation, "typeChecking": checking})).await
    }

    /// The kinds that a policy is about, with what is known of them.
    async fn checked(&self, spec: &Value) -> Result<Vec<Checked>, Status> {
        let resources = self.manager.resources().await?;
        let params = match param_kind(spec) {
            Some(kind) => self.type_of(&kind, &resources).await?.flatten(),
            None => None,
        };
        let mut checked = Vec::new();
        for kind in kinds_of(spec, &resources) {
            if let Some(object) = self.type_of(&kind, &resources).await? {
                checked.push(Checked { types: KnownTypes { object, params: params.clone() }, kind });
            }
        }
        Ok(checked)
    }

    /// The type of a kind; `None` if it is not known. What is asked is the server, for a cache may not have the definition yet.
    async fn type_of(
        &self,
        kind: &GroupVersionKind,
        resources: &[ApiResource],
    ) -> Result<Option<Option<Type>>, Status> {
        if let Some(known) = builtin_type(kind) {
            return Ok(Some(known));
        }
        let is_of = |served: &&ApiResource| {
            let resource = &served.resource;
            resource.group == kind.group && resource.version == kind.version && served.kind == kind.kind
        };
        let Some(served) = resources.iter().find(is_of) else { return Ok(None) };
        let fields = FieldSelector::equal("metadata.name", served.resource.group_resource().to_string());
        let options = Options { fields, ..Options::default() };
        let found = self.manager.list(&CUSTOM_RESOURCE_DEFINITIONS, "", options).await?;
        let Some(definition) = found.items.first() else { return Ok(None) };
        Ok(custom_type(kind, &definition.decode()?))
    }

    async fn apply(&self, key: &ObjectKey, status: Value) -> Result<Outcome, Status> {
        let policy = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": key.name}, "status": status});
        let mut request = Request::new(Verb::Patch(PatchType::Apply), &VALIDATING_ADMISSION_POLICIES)
            .name(key.name.as_str())
            .subresource(STATUS)
            .json(policy.to_string());
        request.options.field_manager = NAME.to_owned();
        request.options.force = Some(true);
        match self.client.call(request).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(Outcome::Done),
        }
    }
}
