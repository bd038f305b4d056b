//! One request on its way through the server: what verbs and subresources are functions of.

use std::sync::Arc;

use serde_json::{Value, json};
use windlass_admission::{Charge, Operation, OperationOptions, Reinvocation, Review, may_for_signer};
use windlass_api::field::{Error, Errors, Path};
use windlass_api::text::quoted;
use windlass_api::{GroupVersionKind, Status, time};
use windlass_auth::Attributes;
use windlass_client::{PatchType, Request, Verb};
use windlass_machinery::managed::{self, Change};
use windlass_machinery::schema::TypeRef;
use windlass_machinery::tree::{number, put};
use windlass_resources::life::{Checkpoints, Write};
use windlass_resources::{Moment, Subresource};
use windlass_store::Item;

use crate::auditing::record_request;
use crate::body::{BodyKind, decode_body};
use crate::context::Context;
use crate::gate::Gate;
use crate::registry::Served;
use crate::scale_view::{SCALE, put_replicas, scale_of};
use crate::storage::{Storage, stored};

/// What a request to the object itself may not change when its status has requests of its own.
const OF_OBJECT: &[&[&str]] = &[&["status"]];

/// An authorized request for a served resource.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub storage: &'a Arc<Storage>,
    pub gate: &'a Gate,
    pub context: &'a Context,
    pub served: &'a Arc<Served>,
    /// The subresource that the request names; `None` for the object itself.
    pub subresource: Option<Subresource>,
    /// The kind of what a subresource is asked with, while that is admitted; `None` for the resource's own.
    pub asks: Option<&'a GroupVersionKind>,
    pub request: &'a Request,
    /// Admission has had its say, about an object of the subresource.
    pub is_admitted: bool,
}

impl<'a> Call<'a> {
    /// The moment of the write, and what it is about.
    pub(crate) fn write(&self) -> Write<'a> {
        Write {
            resource: &self.served.resource,
            subresource: self.subresource,
            namespace: &self.request.namespace,
            moment: Moment { now: self.storage.clock.now() },
            chance: &self.storage.chance,
        }
    }

    /// The stored object that the request names, as it is stored.
    pub(crate) fn stored(&self) -> Result<Arc<Item>, Status> {
        stored(self.served, &self.request.namespace, &self.request.name)
    }

    /// The stored object that the request names, in the form that is asked for.
    pub(crate) async fn presented(&self) -> Result<Arc<Item>, Status> {
        self.present(self.stored()?).await
    }

    /// A stored object in the form that is asked for.
    pub(crate) async fn present(&self, item: Arc<Item>) -> Result<Arc<Item>, Status> {
        self.storage.present_one(self.served, item).await
    }

    pub(crate) fn key(&self) -> String {
        self.served.key(&self.request.namespace, &self.request.name)
    }

    /// The refusal of a request for an object that is not there.
    pub(crate) fn not_found(&self) -> Status {
        Status::not_found(&self.served.resource.group_resource(), &self.request.name)
    }

    /// The refusal of a request that was made from a version that is no longer the current one.
    pub(crate) fn stale(&self) -> Status {
        Status::stale(&self.served.resource.group_resource(), &self.request.name)
    }

    /// Refuses an update or an apply that would create its object to who may not create it.
    pub(crate) async fn authorize_creation(&self) -> Result<(), Status> {
        let request = self.request;
        let attributes = Attributes {
            group: &request.resource.group,
            version: &request.resource.version,
            resource: &request.resource.resource,
            namespace: &request.namespace,
            name: &request.name,
            ..Attributes::of(&self.context.user, Verb::Create.name())
        };
        self.gate.authorize(&attributes).await
    }

    /// Runs mutating admission for the Scale of an object, and takes from it what it is about.
    async fn admit_scale(&self, new: &mut Value, old: Option<&Value>) -> Result<(), Status> {
        let resource = &self.served.resource;
        let (mut scale, old) = (scale_of(resource, new), old.map(|old| scale_of(resource, old)));
        let before = number(&scale["spec"], "replicas");
        let operation = operation(old.as_ref());
        let mut review = Review { kind: &SCALE, ..self.admission_review(operation, Some(&mut scale), old.as_ref()) };
        self.gate.admission.admit(&mut review, self.gate).await?;
        let after = number(&scale["spec"], "replicas");
        if after != before {
            put_replicas(resource, new, after);
        }
        Ok(())
    }

    /// Runs validating admission for the Scale of an object.
    async fn review_scale(&self, new: &Value, old: Option<&Value>) -> Result<(), Status> {
        let resource = &self.served.resource;
        let (mut scale, old) = (scale_of(resource, new), old.map(|old| scale_of(resource, old)));
        let operation = operation(old.as_ref());
        let review = Review { kind: &SCALE, ..self.admission_review(operation, Some(&mut scale), old.as_ref()) };
        self.gate.admission.validate(&review, self.gate).await
    }

    /// What the quotas of the namespace are charged for a write, which belongs into its transaction.
    pub(crate) async fn charge(&self, new: &mut Value, old: Option<&Value>) -> Result<Charge, Status> {
        let review = self.admission_review(operation(old), Some(new), old);
        self.gate.admission.charge(&review, self.gate).await
    }

    /// The refusal of a write whose charges and addresses others were always quicker to change.
    pub(crate) fn contended(&self, name: &str) -> Status {
        let why = "what it takes and the quotas of its namespace keep changing; try again";
        Status::conflict(&self.served.resource.group_resource(), name, why)
    }

    /// The body as an object of the resource's kind.
    pub(crate) fn body(&self) -> Result<Value, Status> {
        self.body_as(BodyKind::of(self.served))
    }

    /// The body as an object of a kind that a subresource speaks.
    pub(crate) fn body_as(&self, kind: BodyKind<'_>) -> Result<Value, Status> {
        let object = decode_body(self.context, kind, &self.request.body, &self.request.options)?;
        if let Some(trail) = &self.context.trail {
            let resource = &self.served.resource;
            let set_defaults = |object: &mut Value| {
                if *kind.kind == resource.kind {
                    resource.strategy.set_defaults(object);
                }
            };
            record_request(trail, kind.kind, &object, set_defaults);
        }
        Ok(object)
    }

    /// What admission is asked about the request.
    pub(crate) fn admission_review<'b>(
        &'b self,
        operation: Operation,
        object: Option<&'b mut Value>,
        old: Option<&'b Value>,
    ) -> Review<'b> {
        Review {
            operation,
            kind: self.asks.unwrap_or(&self.served.resource.kind),
            resource: &self.request.resource,
            subresource: &self.request.subresource,
            namespace: &self.request.namespace,
            name: &self.request.name,
            user: &self.context.user,
            object,
            old,
            dry_run: self.request.options.dry_run,
            options: self,
            warnings: self.context,
            reinvocation: Reinvocation::default(),
        }
    }

    /// The change that the request makes, as field management sees it; `now` is RFC 3339.
    pub(crate) fn ownership_change<'b>(&'b self, now: &'b str) -> Change<'b> {
        let named = self.request.options.field_manager.as_str();
        let TypeRef { schema, id } = self.served.resource.object_type();
        Change {
            schema,
            id,
            manager: if named.is_empty() { self.context.default_manager() } else { named },
            api_version: &self.served.api_version,
            subresource: &self.request.subresource,
            now,
            reset: match self.subresource {
                None if self.served.resource.has(Subresource::Status) => OF_OBJECT,
                Some(Subresource::Status) => self.served.resource.status_metadata.kept(),
                _ => &[],
            },
        }
    }
}

/// The options of a creation or a change. Those of a deletion have a body of their own.
impl OperationOptions for Call<'_> {
    fn options(&self, operation: Operation) -> Value {
        let given = &self.request.options;
        let kind = if operation == Operation::Create { "CreateOptions" } else { "UpdateOptions" };
        let mut options = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
        if given.dry_run {
            put(&mut options, "dryRun", vec![Value::from("All")]);
        }
        for (field, text) in [("fieldManager", &given.field_manager), ("fieldValidation", &given.field_validation)] {
            if !text.is_empty() {
                put(&mut options, field, text.as_str());
            }
        }
        options
    }
}

fn operation(old: Option<&Value>) -> Operation {
    if old.is_some() { Operation::Update } else { Operation::Create }
}

impl Checkpoints for Call<'_> {
    fn requester(&self) -> Value {
        serde_json::to_value(&*self.context.user).unwrap_or_default()
    }

    /// An apply has recorded itself, and nobody manages what a binding does.
    fn record_ownership(&self, new: &mut Value, old: Option<&Value>) {
        let is_applied = self.request.verb == Verb::Patch(PatchType::Apply);
        if !is_applied && self.subresource != Some(Subresource::Binding) {
            // Upstream takes the record of a scale over into that of its object, and leaves the time behind.
            let is_of_scale = self.subresource == Some(Subresource::Scale);
            let now = if is_of_scale { String::new() } else { time::rfc3339(self.storage.clock.now()) };
            managed::update(&self.ownership_change(&now), old, new);
        }
    }

    async fn admit(&self, new: &mut Value, old: Option<&Value>) -> Result<(), Status> {
        if self.is_admitted {
            return Ok(());
        }
        if self.subresource == Some(Subresource::Scale) {
            return self.admit_scale(new, old).await;
        }
        let mut review = self.admission_review(operation(old), Some(new), old);
        self.gate.admission.admit(&mut review, self.gate).await
    }

    fn guard(&self, new: &Value, old: Option<&Value>) -> Result<(), Status> {
        self.gate.refuse_escalation(self.context, self.served, self.request, new, old)
    }

    fn unreadable(&self, new: &Value, old: Option<&Value>) -> Errors {
        let reads = self.served.resource.strategy.reads(new, old);
        reads.map(|reads| self.gate.unreadable(&self.context.user, reads)).unwrap_or_default()
    }

    fn unsigned(&self, signer: &str) -> Errors {
        let mut errors = Errors::new();
        let user = &self.context.user;
        if !may_for_signer(user, self.gate, "sign", signer) {
            let (name, signer) = (quoted(&user.name), quoted(signer));
            let detail = format!("User {name} is not permitted to \"sign\" for signer {signer}");
            errors.push(Error::forbidden(&Path::new("spec").child("signerName"), detail));
        }
        errors
    }

    async fn review(&self, new: &mut Value, old: Option<&Value>) -> Result<(), Status> {
        if self.is_admitted {
            return Ok(());
        }
        if self.subresource == Some(Subresource::Scale) {
            return self.review_scale(new, old).await;
        }
        let review = self.admission_review(operation(old), Some(new), old);
        self.gate.admission.validate(&review, self.gate).await
    }

    fn warn(&self, text: String) {
        self.context.warn(text);
    }
}
