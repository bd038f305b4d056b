//! What a kind is: a value of the one type [`Resource`], with a [`Strategy`] where it differs from others.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::Errors;
use windlass_api::{GroupResource, GroupVersion, GroupVersionKind, GroupVersionResource, names};
use windlass_machinery::schema::{TypeId, TypeRef};
use windlass_machinery::{Schema, decode};

use crate::allocation::Allocation;
use crate::columns::{Column, default_cells, default_columns};
use crate::definition::{CustomSchema, Forms};
use crate::first::{Beginnings, First};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Namespaced,
    Cluster,
}

/// What may be done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbs {
    /// Everything.
    All,
    /// Everything, but nobody deletes a whole collection (Namespace).
    AllButDeleteCollection,
    /// A question: it is created, answered at once, and not stored.
    Ask(Question),
    /// Computed, never written (ComponentStatus).
    ReadOnly,
    /// What is left to do with custom resources whose definition is being deleted. Changes are not refused, but nobody is told of them.
    OfTerminating,
}

/// What the API server is asked by a kind that is created to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Assigns a pod to a node; the old form of the pod's subresource.
    Binding,
    /// Whose is a token?
    Token,
    /// Who am I?
    Identity,
    /// May somebody do something?
    Access,
    /// May I do something?
    OwnAccess,
    /// What may I do in a namespace?
    OwnRules,
}

/// What an update of the status may change of the metadata. The owners it never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusMetadata {
    All,
    AllButLabels,
    Nothing,
}

impl StatusMetadata {
    /// The trees of an object that an update of its status leaves as they are, as paths of names.
    pub fn kept(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::All => &[&["spec"], &["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"]],
            Self::AllButLabels => &[
                &["spec"],
                &["metadata", "deletionTimestamp"],
                &["metadata", "ownerReferences"],
                &["metadata", "labels"],
            ],
            Self::Nothing => &[&["spec"], &["metadata"]],
        }
    }
}

impl Verbs {
    /// As discovery names them.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::All => &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            Self::AllButDeleteCollection => &["create", "delete", "get", "list", "patch", "update", "watch"],
            Self::Ask(_) => &["create"],
            Self::ReadOnly => &["get", "list"],
            Self::OfTerminating => &["delete", "deletecollection", "get", "list", "watch"],
        }
    }

    /// The question that the kind is, if it is one.
    pub fn question(self) -> Option<Question> {
        match self {
            Self::Ask(question) => Some(question),
            _ => None,
        }
    }

    pub fn has(self, verb: &str) -> bool {
        let all = if self == Self::OfTerminating { Self::All } else { self };
        all.names().contains(&verb)
    }
}

/// More warnings than this are not sent for one request.
pub const WARNINGS_MAX: usize = 100;

/// A part of an object with a path, and mostly a kind, of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subresource {
    Status,
    /// `autoscaling/v1` Scale over `spec.replicas` and `status.replicas`.
    Scale,
    /// Assigns a pod to a node.
    Binding,
    /// Deletes a pod if its disruption budget allows.
    Eviction,
    EphemeralContainers,
    /// Changes resources of a running pod.
    Resize,
    Log,
    Exec,
    Attach,
    PortForward,
    Proxy,
    /// Issues a token for a service account.
    Token,
    /// Removes finalizers from a namespace's spec.
    Finalize,
    /// Approves or denies a certificate signing request.
    Approval,
}

/// A field that a field selector may name.
#[derive(Clone, Debug)]
pub struct SelectableField {
    pub name: Cow<'static, str>,
    /// JSON pointer into the object.
    pub pointer: Cow<'static, str>,
    /// What an absent field counts as.
    pub absent: Cow<'static, str>,
    /// The selectable field that counts instead when this one is empty; none when this is empty itself.
    pub instead: Cow<'static, str>,
}

/// A resource in a version: everything that the generic request path needs to know of it.
#[derive(Clone)]
pub struct Resource {
    pub kind: GroupVersionKind,
    pub plural: Cow<'static, str>,
    pub singular: Cow<'static, str>,
    pub short_names: Vec<Cow<'static, str>>,
    pub categories: Vec<Cow<'static, str>>,
    pub scope: Scope,
    pub verbs: Verbs,
    pub subresources: Vec<Subresource>,
    /// Where a custom resource has what its scale is about.
    pub scale: Option<ScalePaths>,
    /// Where the objects are stored; two resources with one table are two views of the same objects.
    pub table: Arc<str>,
    /// The structure of the objects.
    pub schema: SchemaRef,
    /// The forms of a custom resource, whose stored objects say in which one they are.
    pub forms: Option<Arc<Forms>>,
    pub list_kind: Cow<'static, str>,
    pub name_rule: fn(&str) -> Vec<String>,
    /// `metadata.generation` counts changes, by default of everything but metadata and status.
    pub counts_generations: bool,
    /// A new object may bring its status with it (Node: a kubelet registers with what it knows).
    pub takes_status_on_create: bool,
    /// Updates of an object that is not there create it.
    pub creates_on_update: bool,
    /// An update must say from which version it was made.
    pub updates_need_version: bool,
    /// A new object's finalizers must be standard ones or have a domain.
    pub qualifies_finalizers: bool,
    /// Deletion may wait for the object's processes to end.
    pub deletes_gracefully: bool,
    pub status_metadata: StatusMetadata,
    /// What everybody is told who makes use of the kind.
    pub deprecation: Option<Cow<'static, str>>,
    pub selectable: Vec<SelectableField>,
    pub columns: Vec<Column>,
    pub strategy: Arc<dyn Strategy>,
}

/// Where the structure of a resource's objects is described.
#[derive(Clone)]
pub enum SchemaRef {
    /// A type of upstream's.
    Builtin(TypeId),
    /// A version of a definition.
    Custom(Arc<CustomSchema>),
}

impl SchemaRef {
    /// The type of the objects.
    pub fn object_type(&self) -> TypeRef<'_> {
        match self {
            Self::Builtin(id) => TypeRef { schema: Schema::builtin(), id: *id },
            Self::Custom(schema) => schema.types(),
        }
    }
}

/// Where an object has what a Scale is about, as JSON pointers.
#[derive(Clone, Debug)]
pub struct ScalePaths {
    pub replicas: Cow<'static, str>,
    pub status_replicas: Cow<'static, str>,
    /// A label selector as text.
    pub selector: Option<Cow<'static, str>>,
}

/// What may be asked of the clock and of chance while an object is prepared.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub now: Timestamp,
}

/// What is said of a field selector where a kind has no fields to select by but those of all.
pub fn not_a_known_field(field: &str) -> String {
    format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
}

/// Where a kind differs from others. Objects are canonical trees of the kind's schema; every method has a default that does
/// nothing special. [`life`](crate::life) says in which order they are called, and where admission stands between them.
pub trait Strategy: Send + Sync + 'static {
    /// The objects of this kind that every cluster has from its first moment.
    fn first(&self, _beginnings: &Beginnings) -> Vec<First> {
        Vec::new()
    }

    /// Fills in what the client left out.
    fn set_defaults(&self, _object: &mut Value) {}

    /// Clears what a client may not set; the status is cleared already.
    fn prepare_create(&self, _object: &mut Value, _moment: Moment) {}

    /// Whether [`Strategy::set_requester`] wants to be told.
    fn names_requester(&self) -> bool {
        false
    }

    /// Notes who creates the object, given as a `UserInfo` of `authentication.k8s.io/v1`.
    fn set_requester(&self, _object: &mut Value, _user: &Value) {}

    /// Puts back what a client may not change; the status is put back already.
    fn prepare_update(&self, _object: &mut Value, _old: &Value, _moment: Moment) {}

    fn validate(&self, _object: &Value) -> Errors {
        Errors::new()
    }

    /// How a refusal begins of a deletion that means another object, where upstream asks before the store does.
    fn precondition_words(&self) -> Option<&'static str> {
        None
    }

    /// What is said of a field selector with another field than there are to select by, where upstream has words of the kind's own.
    fn unselectable(&self, _field: &str) -> Option<String> {
        None
    }

    /// Whether the metadata is looked at only when nothing else is wrong.
    fn metadata_comes_last(&self) -> bool {
        false
    }

    /// Adds what is looked at last, and depends on what is found already: of a new object, or with `old` of any update.
    fn validate_rules(&self, _object: &Value, _old: Option<&Value>, _found: &mut Errors) {}

    /// By default: whatever could be created.
    fn validate_update(&self, object: &Value, _old: &Value) -> Errors {
        self.validate(object)
    }

    /// Whether a change makes a new generation, for kinds that count them; by default when anything but metadata and status
    /// differs.
    fn is_new_generation(&self, object: &Value, old: &Value) -> bool {
        content_differs(object, old)
    }

    fn prepare_status(&self, _object: &mut Value, _old: &Value, _moment: Moment) {}

    fn validate_status(&self, _object: &Value, _old: &Value) -> Errors {
        Errors::new()
    }

    /// [`Strategy::validate_status`] for kinds whose status says times that must fit the present.
    fn validate_status_at(&self, object: &Value, old: &Value, _moment: Moment) -> Errors {
        self.validate_status(object, old)
    }

    /// Takes from `sent`, a whole object that came through a subresource other than the status, the part that the subresource
    /// is about. `object` is the current one.
    fn prepare_subresource(&self, _subresource: Subresource, _object: &mut Value, _sent: &Value, _moment: Moment) {}

    /// After a change through a subresource other than the status; by default what can be created is valid.
    fn validate_subresource(&self, _subresource: Subresource, object: &Value, _old: &Value) -> Errors {
        self.validate(object)
    }

    /// What a client should know although its request is fine; each becomes a `Warning` header. `old` is `None` for a new object.
    fn warnings(&self, _object: &Value, _old: Option<&Value>) -> Vec<String> {
        Vec::new()
    }

    /// How objects of the kind take addresses and ports, if they do.
    fn allocation(&self) -> Option<&dyn Allocation> {
        None
    }

    /// The rights that an object gives away, if it does.
    fn grants<'a>(&self, _object: &'a Value) -> Option<Grants<'a>> {
        None
    }

    /// What the writer of an object must be able to read, if that has changed. Asked of valid objects.
    fn reads<'a>(&self, _object: &'a Value, _old: Option<&Value>) -> Option<Reads<'a>> {
        None
    }

    /// The signer of certificates for whom the writer of a status must have the right to `sign`, if anything has changed that needs it.
    /// Asked of valid statuses.
    fn signs<'a>(&self, _object: &Value, _old: &'a Value) -> Option<&'a str> {
        None
    }

    /// The group in refusals of objects: that of the kind, unless upstream keeps the objects as a kind of another group.
    fn refusing_group<'a>(&self, group: &'a str) -> &'a str {
        group
    }

    /// The row of `kubectl get`: as many cells as the resource has columns.
    fn cells(&self, object: &Value, _now: Timestamp) -> Vec<Value> {
        default_cells(object)
    }

    /// For how long an object lives after it was written, in seconds; `None` is for ever.
    fn time_to_live_seconds(&self) -> Option<i64> {
        None
    }

    /// The grace period of a deletion, in seconds, when the client names none (`asked` is what it named).
    fn deletion_grace_seconds(&self, _object: &Value, asked: Option<i64>) -> i64 {
        asked.unwrap_or(0)
    }

    /// Why no object of the kind is to be created now, if none is.
    fn refuses_creation(&self) -> Option<&'static str> {
        None
    }

    /// Why an object of this name is not to be deleted, if it is not.
    fn refuses_deletion(&self, _name: &str) -> Option<&'static str> {
        None
    }

    /// What a client should know that deletes without saying what becomes of dependents.
    fn deletion_warning(&self) -> Option<&'static str> {
        None
    }

    /// Changes an object whose deletion begins, and may hold it back.
    fn begin_deletion(&self, _object: &mut Value, _moment: Moment) {}

    /// Whether an object stays until what is in it has gone (namespaces, definitions). Its deletion has no grace period and makes no new
    /// generation.
    fn waits_for_contents(&self) -> bool {
        false
    }

    /// Whether an object that is being deleted has to stay although it has no finalizers left.
    fn is_deletion_pending(&self, _object: &Value) -> bool {
        false
    }

    /// Whether dependents are orphaned when the client says nothing.
    fn orphans_by_default(&self) -> bool {
        false
    }

    /// Whether a deletion answers with the object instead of a Status.
    fn returns_deleted(&self) -> bool {
        false
    }

    /// Turns a stored object into this version; for a second view of a table.
    fn to_served(&self, _object: &mut Value) {}

    /// Turns an object of this version into what is stored.
    fn to_stored(&self, _object: &mut Value) {}

    /// Whether `to_served` and `to_stored` do nothing to an object that was written at this revision.
    fn is_stored_form(&self, _revision: u64) -> bool {
        true
    }
}

/// Whether anything but metadata and status differs.
pub(crate) fn content_differs(object: &Value, old: &Value) -> bool {
    content(object).ne(content(old))
}

/// Everything that a generation is about.
fn content(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(field, _)| !matches!(field.as_str(), "metadata" | "status" | "kind" | "apiVersion"))
}

/// Rights that an object gives away; its writer must have them.
#[derive(Clone, Copy, Debug)]
pub enum Grants<'a> {
    /// A list of RBAC rules. A role that aggregates others gathers whatever there will be.
    Rules { rules: &'a Value, aggregates: bool },
    /// Those of the role that a `roleRef` names.
    Role(&'a Value),
}

/// What the writer of an admission policy or of a binding must be able to read, for others see what comes of it.
#[derive(Clone, Copy, Debug)]
pub enum Reads<'a> {
    /// All objects of a policy's `paramKind`.
    Kind(&'a Value),
    /// The parameters that a binding's `paramRef` chooses, of the kind that its policy says.
    Params { policies: &'static str, policy: &'a str, reference: &'a Value },
}

/// A kind without any difference.
struct Plain;

impl Strategy for Plain {}

impl Resource {
    /// A namespaced kind of the built-in API. The type must stand in the schema; a test makes every resource.
    pub fn namespaced(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Self {
        let id = Schema::object_type(group, version, kind)
            .unwrap_or_else(|| panic!("the table of types has no {group}/{version} {kind}"));
        let table = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        Self {
            kind: GroupVersionKind::of(group, version, kind),
            plural: plural.into(),
            singular: kind.to_lowercase().into(),
            short_names: Vec::new(),
            categories: Vec::new(),
            scope: Scope::Namespaced,
            verbs: Verbs::All,
            subresources: Vec::new(),
            table: table.into(),
            scale: None,
            schema: SchemaRef::Builtin(id),
            forms: None,
            list_kind: format!("{kind}List").into(),
            name_rule: names::dns1123_subdomain,
            counts_generations: false,
            takes_status_on_create: false,
            creates_on_update: false,
            updates_need_version: false,
            qualifies_finalizers: true,
            deletes_gracefully: false,
            status_metadata: StatusMetadata::All,
            deprecation: None,
            selectable: Vec::new(),
            columns: default_columns(),
            strategy: Arc::new(Plain),
        }
    }

    /// A kind outside of namespaces.
    pub fn cluster(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Self {
        Self { scope: Scope::Cluster, ..Self::namespaced(group, version, kind, plural) }
    }

    pub fn short_names(mut self, names: &[&'static str]) -> Self {
        self.short_names = names.iter().map(|name| Cow::Borrowed(*name)).collect();
        self
    }

    pub fn categories(mut self, names: &[&'static str]) -> Self {
        self.categories = names.iter().map(|name| Cow::Borrowed(*name)).collect();
        self
    }

    pub fn subresources(mut self, subresources: &[Subresource]) -> Self {
        self.subresources = subresources.to_vec();
        self
    }

    pub fn verbs(mut self, verbs: Verbs) -> Self {
        self.verbs = verbs;
        self
    }

    pub fn name_rule(mut self, rule: fn(&str) -> Vec<String>) -> Self {
        self.name_rule = rule;
        self
    }

    pub fn counts_generations(mut self) -> Self {
        self.counts_generations = true;
        self
    }

    pub fn takes_status_on_create(mut self) -> Self {
        self.takes_status_on_create = true;
        self
    }

    pub fn creates_on_update(mut self) -> Self {
        self.creates_on_update = true;
        self
    }

    pub fn updates_need_version(mut self) -> Self {
        self.updates_need_version = true;
        self
    }

    /// Any finalizer will do whose name is valid.
    pub fn takes_any_finalizer(mut self) -> Self {
        self.qualifies_finalizers = false;
        self
    }

    pub fn status_metadata(mut self, changes: StatusMetadata) -> Self {
        self.status_metadata = changes;
        self
    }

    pub fn deprecated(mut self, warning: &'static str) -> Self {
        self.deprecation = Some(Cow::Borrowed(warning));
        self
    }

    pub fn deletes_gracefully(mut self) -> Self {
        self.deletes_gracefully = true;
        self
    }

    pub fn stored_as(mut self, table: &str) -> Self {
        self.table = table.into();
        self
    }

    /// Fields for field selectors as `(name, JSON pointer)`.
    pub fn selectable(mut self, fields: &[(&'static str, &'static str)]) -> Self {
        let fields = fields.iter().map(|(name, pointer)| SelectableField {
            name: Cow::Borrowed(name),
            pointer: Cow::Borrowed(pointer),
            absent: Cow::Borrowed(""),
            instead: Cow::Borrowed(""),
        });
        self.selectable.extend(fields);
        self
    }

    /// A field for field selectors that counts as `absent` when it is not there.
    pub fn selectable_or(mut self, name: &'static str, pointer: &'static str, absent: &'static str) -> Self {
        let (name, pointer, absent) = (name.into(), pointer.into(), absent.into());
        self.selectable.push(SelectableField { name, pointer, absent, instead: Cow::Borrowed("") });
        self
    }

    /// A field for field selectors that counts as another one of them when it is empty.
    pub fn selectable_as(mut self, name: &'static str, pointer: &'static str, instead: &'static str) -> Self {
        let (name, pointer, instead) = (name.into(), pointer.into(), instead.into());
        self.selectable.push(SelectableField { name, pointer, absent: Cow::Borrowed(""), instead });
        self
    }

    /// Whether its tables have more columns than those of any kind.
    pub fn has_own_columns(&self) -> bool {
        let general = ["Name", "Created At"];
        self.is_custom() || self.columns.iter().map(|column| &*column.name).ne(general)
    }

    pub fn columns(mut self, columns: Vec<Column>) -> Self {
        self.columns = columns;
        self
    }

    pub fn strategy(mut self, strategy: impl Strategy) -> Self {
        self.strategy = Arc::new(strategy);
        self
    }

    /// The status of an object that has just been made.
    pub fn empty_status(&self) -> Value {
        let TypeRef { schema, id } = self.object_type();
        decode::empty(schema, id).get("status").cloned().unwrap_or_default()
    }

    /// The type of the objects, and its schema.
    pub fn object_type(&self) -> TypeRef<'_> {
        self.schema.object_type()
    }

    /// Whether users have defined it.
    pub fn is_custom(&self) -> bool {
        matches!(self.schema, SchemaRef::Custom(_))
    }

    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    pub fn has(&self, subresource: Subresource) -> bool {
        self.subresources.contains(&subresource)
    }

    pub fn group_version(&self) -> GroupVersion {
        self.kind.group_version()
    }

    pub fn group_resource(&self) -> GroupResource {
        GroupResource { group: self.kind.group.clone(), resource: self.plural.clone() }
    }

    pub fn group_version_resource(&self) -> GroupVersionResource {
        GroupVersionResource {
            group: self.kind.group.clone(),
            version: self.kind.version.clone(),
            resource: self.plural.clone(),
        }
    }
}

impl std::fmt::Debug for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Resource({})", self.group_version_resource())
    }
}

impl Subresource {
    const ALL: [Self; 14] = [
        Self::Status,
        Self::Scale,
        Self::Binding,
        Self::Eviction,
        Self::EphemeralContainers,
        Self::Resize,
        Self::Log,
        Self::Exec,
        Self::Attach,
        Self::PortForward,
        Self::Proxy,
        Self::Token,
        Self::Finalize,
        Self::Approval,
    ];

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|subresource| subresource.name() == name)
    }

    /// The last segment of its path.
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Scale => "scale",
            Self::Binding => "binding",
            Self::Eviction => "eviction",
            Self::EphemeralContainers => "ephemeralcontainers",
            Self::Resize => "resize",
            Self::Log => "log",
            Self::Exec => "exec",
            Self::Attach => "attach",
            Self::PortForward => "portforward",
            Self::Proxy => "proxy",
            Self::Token => "token",
            Self::Finalize => "finalize",
            Self::Approval => "approval",
        }
    }

    /// The kind that it speaks, where that is not `own`, the object's. Clients look for one operation of a kind to learn what all of
    /// them take, so a proxy may not pass for one of the object.
    pub fn kind(self, own: &GroupVersionKind) -> Option<GroupVersionKind> {
        Some(match self {
            Self::Proxy => match &*own.kind {
                "Node" => GroupVersionKind::of("", "v1", "NodeProxyOptions"),
                "Service" => GroupVersionKind::of("", "v1", "ServiceProxyOptions"),
                _ => GroupVersionKind::of("", "v1", "PodProxyOptions"),
            },
            Self::Scale => GroupVersionKind::of("autoscaling", "v1", "Scale"),
            Self::Binding => GroupVersionKind::of("", "v1", "Binding"),
            Self::Eviction => GroupVersionKind::of("policy", "v1", "Eviction"),
            Self::Exec => GroupVersionKind::of("", "v1", "PodExecOptions"),
            Self::Attach => GroupVersionKind::of("", "v1", "PodAttachOptions"),
            Self::PortForward => GroupVersionKind::of("", "v1", "PodPortForwardOptions"),
            Self::Token => GroupVersionKind::of("authentication.k8s.io", "v1", "TokenRequest"),
            _ => return None,
        })
    }

    /// Whether it is a connection to a node, a pod or a Service, and no part of a stored object.
    pub fn is_connection(self) -> bool {
        self == Self::Log || self == Self::Proxy || self.is_session()
    }

    /// Whether it is a session in which both sides speak.
    pub fn is_session(self) -> bool {
        matches!(self, Self::Exec | Self::Attach | Self::PortForward)
    }

    /// As discovery lists them.
    pub fn verbs(self) -> &'static [&'static str] {
        match self {
            Self::Status | Self::Scale | Self::EphemeralContainers | Self::Resize | Self::Approval => {
                &["get", "patch", "update"]
            }
            Self::Binding | Self::Eviction | Self::Token => &["create"],
            Self::Log => &["get"],
            Self::Exec | Self::Attach | Self::PortForward => &["create", "get"],
            Self::Proxy => &["create", "delete", "get", "patch", "update"],
            Self::Finalize => &["update"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_connections() {
        let kind = |own: &'static str, part: Subresource| {
            let kind = part.kind(&GroupVersionKind::of("", "v1", own))?;
            (kind.api_version() == "v1").then(|| kind.kind.into_owned())
        };
        for (own, part, expected) in [
            ("Pod", Subresource::Exec, Some("PodExecOptions")),
            ("Pod", Subresource::Attach, Some("PodAttachOptions")),
            ("Pod", Subresource::PortForward, Some("PodPortForwardOptions")),
            ("Pod", Subresource::Proxy, Some("PodProxyOptions")),
            ("Service", Subresource::Proxy, Some("ServiceProxyOptions")),
            ("Node", Subresource::Proxy, Some("NodeProxyOptions")),
            ("Pod", Subresource::Log, None),
        ] {
            assert_eq!(kind(own, part).as_deref(), expected, "{own} {part:?}");
        }
        for part in Subresource::ALL {
            assert_eq!(Subresource::named(part.name()), Some(part));
        }
    }
}
