//! A binding as it is compiled: where its policy applies, and with which parameters.

use serde_json::Value;
use windlass_api::labels::Selector;
use windlass_machinery::tree::{items, text};

use super::policy::matcher;
use crate::matching::Matcher;

/// A binding of a policy.
pub(crate) struct Binding {
    pub name: String,
    pub policy: String,
    /// `None` where the policy applies everywhere.
    pub matcher: Option<Result<Matcher, &'static str>>,
    pub params: Option<ParamRef>,
    /// What is done about a write that fails a validation.
    pub actions: Vec<Action>,
}

/// What is done about a write that fails a validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Deny,
    Warn,
    Audit,
}

/// The parameters that a binding chooses.
pub(crate) struct ParamRef {
    pub name: String,
    /// Empty for the namespace of the write.
    pub namespace: String,
    /// Where there is no name; or why it is no selector.
    pub selector: Option<Result<Selector, String>>,
    /// Without any parameters the write is refused.
    pub must_exist: bool,
}

impl Action {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Deny => "Deny",
            Self::Warn => "Warn",
            Self::Audit => "Audit",
        }
    }

    fn read(name: &str) -> Option<Self> {
        [Self::Deny, Self::Warn, Self::Audit].into_iter().find(|action| action.name() == name)
    }
}

impl Binding {
    pub(super) fn read(object: &Value) -> Self {
        let spec = &object["spec"];
        Self {
            name: text(&object["metadata"], "name").to_owned(),
            policy: text(spec, "policyName").to_owned(),
            matcher: spec.get("matchResources").filter(|resources| resources.is_object()).map(matcher),
            params: spec.get("paramRef").filter(|reference| reference.is_object()).map(ParamRef::read),
            actions: items(spec, "validationActions").filter_map(Value::as_str).filter_map(Action::read).collect(),
        }
    }
}

impl ParamRef {
    fn read(reference: &Value) -> Self {
        let structure = reference.get("selector").filter(|selector| selector.is_object());
        Self {
            name: text(reference, "name").to_owned(),
            namespace: text(reference, "namespace").to_owned(),
            selector: structure.map(|structure| {
                let structure = serde_json::from_value(structure.clone()).map_err(|error| error.to_string())?;
                Selector::from_structure(Some(&structure)).map_err(|error| error.to_string())
            }),
            must_exist: text(reference, "parameterNotFoundAction") == "Deny",
        }
    }
}
