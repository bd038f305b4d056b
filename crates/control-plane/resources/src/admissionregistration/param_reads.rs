//! What somebody who writes a policy or a binding must be able to read: the parameters that it is about.

use serde_json::Value;
use windlass_machinery::tree::text;

use crate::Reads;
use crate::rules::object_at;

/// The kind of a policy's parameters, unless the policy had it before.
pub(super) fn reads_of_policy<'a>(object: &'a Value, old: Option<&Value>) -> Option<Reads<'a>> {
    let kind = object_at(&object["spec"], "paramKind")?;
    let is_old = old.and_then(|old| old.pointer("/spec/paramKind")) == Some(kind);
    (!is_old).then_some(Reads::Kind(kind))
}

/// The parameters that a binding chooses, of the kind that its policy in the table `policies` has.
pub(super) fn reads_of_binding<'a>(object: &'a Value, policies: &'static str) -> Option<Reads<'a>> {
    let reference = object_at(&object["spec"], "paramRef")?;
    Some(Reads::Params { policies, policy: text(&object["spec"], "policyName"), reference })
}
