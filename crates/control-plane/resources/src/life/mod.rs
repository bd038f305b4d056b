//! The life of a write: the steps that an object takes between the body that a client sends and the store.
//!
//! The order is upstream's, for every kind, and for create, update, patch, apply and subresources alike:
//!
//! 1. **decode**: the body becomes a tree of the kind's schema; fields that the schema does not know are pruned
//!    ([`windlass_machinery::decode`]). A patch is applied to the current object first, and its result is decoded.
//! 2. **default** ([`Strategy::set_defaults`](crate::Strategy::set_defaults)).
//! 3. **own**: the fields that the client sets or changes become its manager's. What later steps add belongs to nobody.
//! 4. **admit, mutating**: admission sees the object as the client sent it, with defaults, and may change it.
//! 5. **guard**: nobody gives away rights that they do not have.
//! 6. **prepare**: the server sets what it alone decides, and puts back what this endpoint does not change.
//! 7. **validate**: the object as it would be stored, and what it refers to; then warnings.
//! 8. **admit, validating**: admission may only refuse.
//! 9. **convert** to the stored form ([`Strategy::to_stored`](crate::Strategy::to_stored)), when the store is written: in one
//!    transaction with what the object takes from a stock (addresses, ports) and with the quotas that it is charged to.
//!
//! A deletion has no body and few steps: [`delete()`] marks the object, or says that it goes now, and so does the update that lets go of
//! it last ([`is_released`]).
//!
//! What subresources create and nobody stores is asked ([`ask()`]): it is admitted, prepared and validated in the same order.
//!
//! This module is pure: it knows the kind and its strategy, and what needs the rest of the cluster (steps 3, 4, 5, 7 and 8) comes in as
//! [`Checkpoints`]. The verbs of the API server run it, and so does the golden corpus that replays upstream's answers.
//! Source: apiserver `endpoints/handlers/{create,update,patch}.go`, `registry/generic/registry/store.go`, `registry/rest/`.

mod ask;
mod create;
mod delete;
mod update;

pub use ask::ask;
pub use create::{check_namespace, create};
pub use delete::{Dependents, Wishes, delete, is_released};
pub use update::{takes_whole_object, update};

use std::future::Future;

use serde_json::Value;
use windlass_api::field::Errors;
use windlass_api::{Chance, Status};
use windlass_machinery::tree::{text, weight};

use crate::{Moment, Resource, Subresource, metadata};

/// What a write is about.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    pub resource: &'a Resource,
    /// `None` for the object itself.
    pub subresource: Option<Subresource>,
    /// The namespace of the request; empty for cluster-scoped kinds.
    pub namespace: &'a str,
    pub moment: Moment,
    /// Where generated names and uids come from.
    pub chance: &'a Chance,
}

/// The steps of a write that need more than the kind: the rest of the cluster, and who asks.
pub trait Checkpoints: Sync {
    /// The user of the request, as a `UserInfo` of `authentication.k8s.io/v1`.
    fn requester(&self) -> Value;

    /// Records in `metadata.managedFields` whose the fields of `new` are.
    fn record_ownership(&self, new: &mut Value, old: Option<&Value>);

    /// Runs mutating admission.
    fn admit(&self, new: &mut Value, old: Option<&Value>) -> impl Future<Output = Result<(), Status>> + Send;

    /// Refuses an object that gives away rights that the user does not have.
    fn guard(&self, new: &Value, old: Option<&Value>) -> Result<(), Status>;

    /// What a valid object refers to although its writer may not read it.
    fn unreadable(&self, _new: &Value, _old: Option<&Value>) -> Errors {
        Errors::new()
    }

    /// What is wrong if the user may not sign for a signer of certificates.
    fn unsigned(&self, _signer: &str) -> Errors {
        Errors::new()
    }

    /// Runs validating admission. It changes nothing; `new` is mutable because one type of review serves both kinds of admission.
    fn review(&self, new: &mut Value, old: Option<&Value>) -> impl Future<Output = Result<(), Status>> + Send;

    /// Tells the client something although its request is fine.
    fn warn(&self, text: String);
}

/// What an object may weigh ([`weight`]) that comes from a client, and one that defaults and admission have added to. Every step takes
/// many times its memory.
pub const RECEIVED_WEIGHT_MAX: usize = 16 << 20;
const COMPLETED_WEIGHT_MAX: usize = 32 << 20;

/// The words of the refusal.
pub const TOO_MANY_VALUES: &str = "the object has too many values";

/// Refuses an object that weighs more than it may.
pub fn bound(object: &Value, max: usize) -> Result<(), Status> {
    if weight(object, max) < max { Ok(()) } else { Err(Status::too_large(TOO_MANY_VALUES)) }
}

impl Write<'_> {
    fn invalid_unless_empty(&self, object: &Value, errors: &Errors) -> Result<(), Status> {
        if errors.is_empty() {
            return Ok(());
        }
        let kind = &self.resource.kind;
        let group = self.resource.strategy.refusing_group(&kind.group);
        Err(Status::invalid(group, &kind.kind, text(&object["metadata"], "name"), errors))
    }
}

const AFTER_ADMISSION: &str = " after mutating admission happens";

/// Removes repeated owner references and warns in upstream's words; `when` continues the first part of its sentence.
fn deduplicate_owners(object: &mut Value, when: &str, checkpoints: &impl Checkpoints) {
    let repeated = metadata::deduplicate_owners(object);
    if !repeated.is_empty() {
        checkpoints.warn(format!(
            ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, and may \
             reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: [{}]",
            repeated.join(" ")
        ));
    }
}
