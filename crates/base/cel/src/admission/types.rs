//! The types of `request`, `namespaceObject` and `variables`.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use parking_lot::RwLock;

use crate::types::{Object, Type};

/// An object whose fields are known one by one.
#[derive(Debug)]
struct Fields {
    name: &'static str,
    fields: BTreeMap<String, Type>,
}

impl Object for Fields {
    fn name(&self) -> &str {
        self.name
    }

    fn field(&self, name: &str) -> Option<Type> {
        self.fields.get(name).cloned()
    }
}

pub(crate) fn object<const N: usize>(name: &'static str, fields: [(&str, Type); N]) -> Type {
    let fields = fields.into_iter().map(|(field, of)| (field.to_owned(), of)).collect();
    Type::Object(Arc::new(Fields { name, fields }))
}

/// The object with a field for each variable of a policy. It grows while they are compiled, one after the other.
#[derive(Debug, Default)]
pub(super) struct Variables(RwLock<BTreeMap<String, Type>>);

impl Variables {
    pub(super) fn add(&self, name: &str, of: Type) {
        self.0.write().insert(name.to_owned(), of);
    }
}

impl Object for Variables {
    fn name(&self) -> &str {
        "kubernetes.variables"
    }

    fn field(&self, name: &str) -> Option<Type> {
        self.0.read().get(name).cloned()
    }
}

pub(crate) fn texts() -> Type {
    Type::list(Type::String)
}

/// A user.
pub(crate) static USER: LazyLock<Type> = LazyLock::new(|| {
    object(
        "kubernetes.UserInfo",
        [
            ("username", Type::String),
            ("uid", Type::String),
            ("groups", texts()),
            ("extra", Type::map(Type::String, texts())),
        ],
    )
});

/// What an expression sees of an AdmissionRequest. The objects are variables of their own.
pub(super) static REQUEST: LazyLock<Type> = LazyLock::new(|| {
    let kind = object(
        "kubernetes.GroupVersionKind",
        [("group", Type::String), ("version", Type::String), ("kind", Type::String)],
    );
    let resource = object(
        "kubernetes.GroupVersionResource",
        [("group", Type::String), ("version", Type::String), ("resource", Type::String)],
    );
    object(
        "kubernetes.AdmissionRequest",
        [
            ("kind", kind.clone()),
            ("resource", resource.clone()),
            ("subResource", Type::String),
            ("requestKind", kind),
            ("requestResource", resource),
            ("requestSubResource", Type::String),
            ("name", Type::String),
            ("namespace", Type::String),
            ("operation", Type::String),
            ("userInfo", USER.clone()),
            ("dryRun", Type::Bool),
            ("options", Type::Dyn),
        ],
    )
});

/// What an expression sees of a Namespace; neither its managed fields nor its owners.
pub(super) static NAMESPACE: LazyLock<Type> = LazyLock::new(|| {
    let labels = || Type::map(Type::String, Type::String);
    let metadata = object(
        "kubernetes.NamespaceMetadata",
        [
            ("name", Type::String),
            ("generateName", Type::String),
            ("namespace", Type::String),
            ("labels", labels()),
            ("annotations", labels()),
            // So upstream spells it; the field of the object has another name.
            ("UID", Type::String),
            ("creationTimestamp", Type::Timestamp),
            ("deletionGracePeriodSeconds", Type::Int),
            ("deletionTimestamp", Type::Timestamp),
            ("generation", Type::Int),
            ("resourceVersion", Type::String),
            ("finalizers", texts()),
        ],
    );
    let condition = object(
        "kubernetes.NamespaceCondition",
        [
            ("status", Type::String),
            ("type", Type::String),
            ("lastTransitionTime", Type::Timestamp),
            ("message", Type::String),
            ("reason", Type::String),
        ],
    );
    let spec = object("kubernetes.NamespaceSpec", [("finalizers", texts())]);
    let status = object("kubernetes.NamespaceStatus", [("conditions", Type::list(condition)), ("phase", Type::String)]);
    object("kubernetes.Namespace", [("metadata", metadata), ("spec", spec), ("status", status)])
});
