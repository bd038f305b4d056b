//! One mutation: an expression that makes a patch, and the patch applied.

use serde_json::{Map, Value as Json, json};
use windlass_api::{GroupVersionKind, Status};
use windlass_cel::admission::{Declarations, Environment, apply_configuration, compile_expression, json_patch};
use windlass_cel::{Constructed, Map as CelMap, Mode, RUNTIME_BUDGET, Type, Value};
use windlass_machinery::schema::TypeRef;
use windlass_machinery::tree::{remove, text};
use windlass_machinery::{Schema, decode, managed, rfc6902};
use windlass_resources::Resource;

use crate::expressions::{Inputs, Variables, Written, evaluate};
use crate::request::with_type;
use crate::review::{Cluster, Served};

/// A mutation, compiled.
pub(super) struct Mutation {
    patch_type: PatchType,
    expression: Written,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PatchType {
    ApplyConfiguration,
    JsonPatch,
}

/// Why an object cannot be changed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Of the policy, which says what comes of it.
    Policy(String),
    /// Of the server: the write ends with it.
    Server(Status),
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Policy(why)
    }
}

impl Mutation {
    /// Compiles an entry of `mutations`; `None` if it has no patch of its type.
    pub(super) fn compile(mutation: &Json, environment: &Environment, declarations: Declarations) -> Option<Self> {
        let (patch_type, patch, of): (_, _, Type) = match text(mutation, "patchType") {
            "JSONPatch" => (PatchType::JsonPatch, mutation.get("jsonPatch")?, json_patch()),
            "ApplyConfiguration" => {
                (PatchType::ApplyConfiguration, mutation.get("applyConfiguration")?, apply_configuration())
            }
            _ => return None,
        };
        let source = text(patch, "expression").to_owned();
        let compiled = compile_expression(&environment.patch_env(Mode::Stored, declarations), &source, &[of]);
        Some(Self { patch_type, expression: Written { source, compiled } })
    }

    /// Changes an object of a kind.
    pub(super) fn apply(
        &self,
        object: &Json,
        kind: &GroupVersionKind,
        inputs: &Inputs<'_>,
        variables: &Variables,
        cluster: &dyn Cluster,
    ) -> Result<Json, Failure> {
        let target = Target::of(kind, cluster)?;
        // Upstream says so without the words that it has for other expressions.
        self.expression.compiled.as_ref().map_err(ToString::to_string)?;
        let no_room = || Err("no thread for expressions that nest so deep".to_owned());
        let patch = variables.with(inputs, |scope| {
            let mut budget = RUNTIME_BUDGET;
            let value = evaluate(&self.expression, scope, &mut budget).map_err(|spent| spent.to_string())??;
            match self.patch_type {
                PatchType::ApplyConfiguration => configuration(&value),
                PatchType::JsonPatch => operations(&value),
            }
        });
        let patch = patch.unwrap_or_else(no_room)?;
        match self.patch_type {
            PatchType::ApplyConfiguration => target.merge(object, &patch),
            PatchType::JsonPatch => target.patch(object, &patch),
        }
    }
}

/// The kind of what is changed.
struct Target<'k> {
    kind: &'k GroupVersionKind,
    /// `None` for a kind that only a subresource speaks.
    served: Option<Served>,
}

impl<'k> Target<'k> {
    fn of(kind: &'k GroupVersionKind, cluster: &dyn Cluster) -> Result<Self, Failure> {
        let served = cluster.served(kind);
        let is_known = || Schema::object_type(&kind.group, &kind.version, &kind.kind).is_some();
        if served.is_none() && !is_known() {
            return Err(Failure::Server(Status::service_unavailable(format!(
                "Resource kind {}/{}, Kind={} not found. There can be a delay between when CustomResourceDefinitions are created and when they are available.",
                kind.group, kind.version, kind.kind
            ))));
        }
        Ok(Self { kind, served })
    }

    fn resource(&self) -> Option<&Resource> {
        self.served.as_ref().map(|served| (**served).as_ref())
    }

    /// Does something with the type of the objects.
    fn types(&self) -> Option<TypeRef<'_>> {
        self.resource().map(Resource::object_type).or_else(|| {
            let id = Schema::object_type(&self.kind.group, &self.kind.version, &self.kind.kind)?;
            Some(TypeRef { schema: Schema::builtin(), id })
        })
    }

    /// Lays an apply configuration over the object.
    fn merge(&self, object: &Json, configuration: &Json) -> Result<Json, Failure> {
        let Some(types) = self.types() else { return Ok(object.clone()) };
        let merged = managed::patch(types, object, configuration);
        let merged = merged.map_err(|error| format!("error applying patch: {error}"))?;
        let decoded = decode::from_value(types.schema, types.id, merged).map_err(|error| error.to_string())?;
        Ok(self.with_defaults(decoded.value))
    }

    /// Applies a JSON patch to the object. One whose test fails changes nothing.
    fn patch(&self, object: &Json, operations: &Json) -> Result<Json, Failure> {
        let mut patched = with_type(object.clone(), self.kind);
        match rfc6902::apply(&mut patched, operations) {
            Err(error) if error.is_failed_test() => return Ok(object.clone()),
            Err(error) => return Err(Failure::Policy(format!("JSON Patch: {error}"))),
            Ok(()) => {}
        }
        let Some(types) = self.types() else { return Ok(object.clone()) };
        let decoded = decode::from_value(types.schema, types.id, patched)
            .map_err(|error| Failure::Server(Status::internal(error)))?;
        let is_custom = self.resource().is_some_and(Resource::is_custom);
        if !decoded.problems.is_empty() && !is_custom {
            let problems: Vec<String> = decoded.problems.iter().map(ToString::to_string).collect();
            let why = format!("strict decoding error: {}", problems.join(", "));
            return Err(Failure::Server(Status::internal(why)));
        }
        Ok(self.with_defaults(decoded.value))
    }

    fn with_defaults(&self, mut object: Json) -> Json {
        remove(&mut object, "kind");
        remove(&mut object, "apiVersion");
        if let Some(resource) = self.resource() {
            resource.strategy.set_defaults(&mut object);
        }
        object
    }
}

/// An apply configuration as it is laid over an object, whose kind is known already.
fn configuration(value: &Value<'_>) -> Result<Json, String> {
    let Value::Object(object) = value else {
        return Err(format!("unsupported return type from ApplyConfiguration expression: {}", value.type_name()));
    };
    check_names(object)?;
    let mut configuration = value.to_json().map_err(|error| error.to_string())?;
    remove(&mut configuration, "kind");
    remove(&mut configuration, "apiVersion");
    Ok(configuration)
}

/// A JSON patch as a document.
fn operations(value: &Value<'_>) -> Result<Json, String> {
    const NO_LIST: &str = "type mismatch: JSONPatchType.expression should evaluate to array";
    let Value::List(list) = value else { return Err(NO_LIST.to_owned()) };
    let mut operations = Vec::with_capacity(list.len().min(rfc6902::OPERATIONS_MAX));
    for item in list.iter().take(rfc6902::OPERATIONS_MAX + 1) {
        let item = item.map_err(|error| error.to_string())?;
        let Value::Object(operation) = &item else { return Err(format!("{NO_LIST} of JSONPatch")) };
        operations.push(one_operation(operation)?);
    }
    Ok(Json::Array(operations))
}

fn one_operation(operation: &Constructed<'_>) -> Result<Json, String> {
    let mut written = Map::from_iter([("op".to_owned(), json!("")), ("path".to_owned(), json!(""))]);
    for (name, value) in operation.fields() {
        if name == "from" && value.as_str() == Some("") {
            continue;
        }
        if let (Value::Object(object), "value") = (value, name) {
            check_names(object)?;
        }
        let failed =
            |error| format!("JSONPath valueExpression evaluated to a type that could not marshal to JSON: {error}");
        written.insert(name.to_owned(), value.to_json().map_err(failed)?);
    }
    Ok(Json::Object(written))
}

/// Whether the parts of an object have the names that the way to them has: `spec` of an `Object` is an `Object.spec`.
fn check_names(object: &Constructed<'_>) -> Result<(), String> {
    let mut mismatches = Vec::new();
    of_object(object, object.name(), &mut mismatches);
    if mismatches.is_empty() { Ok(()) } else { Err(format!("type mismatch: {}", mismatches.join("\n"))) }
}

fn of_object(object: &Constructed<'_>, expected: &str, mismatches: &mut Vec<String>) {
    if object.name() != expected {
        let found = object.name();
        mismatches.push(format!(
            "unexpected type name {found:?}, expected {expected:?}, which matches field name path from root Object type"
        ));
    }
    for (name, value) in object.fields() {
        of_value(value, &format!("{expected}.{name}"), mismatches);
    }
}

/// Lists and maps have no names. Values nest only as deep as expressions may make them.
fn of_value(value: &Value<'_>, expected: &str, mismatches: &mut Vec<String>) {
    match value {
        Value::Object(object) => of_object(object, expected, mismatches),
        Value::List(list) => list.iter().flatten().for_each(|item| of_value(&item, expected, mismatches)),
        Value::Map(CelMap::Json { .. } | CelMap::Fields(_)) => {}
        Value::Map(map) => {
            let values = map.keys().into_iter().filter_map(|key| map.find(&key)?.ok());
            values.for_each(|value| of_value(&value, expected, mismatches));
        }
        _ => {}
    }
}
