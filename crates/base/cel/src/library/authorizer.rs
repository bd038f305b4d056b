//! Authorization: `authorizer.group('apps').resource('deployments').namespace('ns').check('create').allowed()`.
//!
//! Whoever runs an expression supplies the decisions ([`Authorizer`]).

use std::sync::Arc;

use windlass_api::names;

use crate::error::Error;
use crate::functions::{Declared, declared};
use crate::kinds::authorizer::{Attributes, Authorizer, Check, Decision, ResourceAttributes, Subject, Target};
use crate::value::Value;

type Outcome<'a> = Result<Value<'a>, Error>;

impl<'a> Value<'a> {
    /// The value of the variable `authorizer`.
    pub fn authorizer(authorizer: &'a dyn Authorizer) -> Self {
        let subject = Subject { authorizer, service_account: None };
        Self::Check(Arc::new(Check::Authorizer(subject)))
    }

    /// The value of the variable `authorizer.requestResource`.
    pub fn resource_check(authorizer: &'a dyn Authorizer, resource: Arc<ResourceAttributes>) -> Self {
        let subject = Subject { authorizer, service_account: None };
        Self::Check(Arc::new(Check::Resource(subject, resource)))
    }
}

pub(super) const FUNCTIONS: &[Declared] = &[
    declared("authorizer_path", "path", "Authorizer.(string) -> PathCheck", path),
    declared("authorizer_group", "group", "Authorizer.(string) -> GroupCheck", group),
    declared(
        "authorizer_serviceaccount",
        "serviceAccount",
        "Authorizer.(string, string) -> Authorizer",
        service_account,
    ),
    declared("groupcheck_resource", "resource", "GroupCheck.(string) -> ResourceCheck", resource),
    declared("resourcecheck_subresource", "subresource", "ResourceCheck.(string) -> ResourceCheck", |args| {
        with(args, |resource, text| resource.subresource = text)
    }),
    declared("resourcecheck_namespace", "namespace", "ResourceCheck.(string) -> ResourceCheck", |args| {
        with(args, |resource, text| resource.namespace = text)
    }),
    declared("resourcecheck_name", "name", "ResourceCheck.(string) -> ResourceCheck", |args| {
        with(args, |resource, text| resource.name = text)
    }),
    declared("pathcheck_check", "check", "PathCheck.(string) -> Decision", check),
    declared("resourcecheck_check", "check", "ResourceCheck.(string) -> Decision", check),
    declared("decision_errored", "errored", "Decision.() -> bool", |args| {
        decision(args, |decision| Value::Bool(decision.error.is_some()))
    }),
    declared("decision_error", "error", "Decision.() -> string", |args| {
        decision(args, |decision| Value::string(decision.error.clone().unwrap_or_default()))
    }),
    declared("decision_allowed", "allowed", "Decision.() -> bool", |args| {
        decision(args, |decision| Value::Bool(decision.allowed))
    }),
    declared("decision_reason", "reason", "Decision.() -> string", |args| {
        decision(args, |decision| Value::string(decision.reason.as_str()))
    }),
];

pub(super) const SELECTORS: &[Declared] = &[
    declared("authorizer_fieldselector", "fieldSelector", "ResourceCheck.(string) -> ResourceCheck", |args| {
        with(args, |resource, text| resource.field_selector = text)
    }),
    declared("authorizer_labelselector", "labelSelector", "ResourceCheck.(string) -> ResourceCheck", |args| {
        with(args, |resource, text| resource.label_selector = text)
    }),
];

fn checked<'a>(check: Check<'a>) -> Value<'a> {
    Value::Check(Arc::new(check))
}

/// The check that a function is called on, and its text.
fn check_and_text<'v, 'a>(args: &'v [Value<'a>]) -> Result<(&'v Check<'a>, &'v str), Error> {
    match args {
        [Value::Check(check), Value::String(text)] => Ok((check, text.as_str())),
        _ => Err(Error::NoSuchOverload),
    }
}

fn path<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (Check::Authorizer(subject), path) = check_and_text(args)? else { return Err(Error::NoSuchOverload) };
    if path.trim().is_empty() {
        return Err(Error::Argument("path must not be empty".to_owned()));
    }
    Ok(checked(Check::Path(subject.clone(), path.to_owned())))
}

fn group<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (Check::Authorizer(subject), group) = check_and_text(args)? else { return Err(Error::NoSuchOverload) };
    Ok(checked(Check::Group(subject.clone(), group.to_owned())))
}

fn service_account<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Check(check), Value::String(namespace), Value::String(name)] = args else {
        return Err(Error::NoSuchOverload);
    };
    let Check::Authorizer(subject) = &**check else { return Err(Error::NoSuchOverload) };
    if !names::dns1123_subdomain(name.as_str()).is_empty() {
        return Err(Error::Argument("Invalid service account name".to_owned()));
    }
    if !names::dns1123_label(namespace.as_str()).is_empty() {
        return Err(Error::Argument("Invalid service account namespace".to_owned()));
    }
    let service_account = Some((namespace.as_str().to_owned(), name.as_str().to_owned()));
    Ok(checked(Check::Authorizer(Subject { authorizer: subject.authorizer, service_account })))
}

fn resource<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (Check::Group(subject, group), resource) = check_and_text(args)? else { return Err(Error::NoSuchOverload) };
    if resource.trim().is_empty() {
        return Err(Error::Argument("resource must not be empty".to_owned()));
    }
    let resource = ResourceAttributes { group: group.clone(), resource: resource.to_owned(), ..Default::default() };
    Ok(checked(Check::Resource(subject.clone(), Arc::new(resource))))
}

fn with<'a>(args: &[Value<'a>], set: fn(&mut ResourceAttributes, String)) -> Outcome<'a> {
    let (Check::Resource(subject, resource), text) = check_and_text(args)? else { return Err(Error::NoSuchOverload) };
    let mut resource = ResourceAttributes::clone(resource);
    set(&mut resource, text.to_owned());
    Ok(checked(Check::Resource(subject.clone(), Arc::new(resource))))
}

fn check<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (check, verb) = check_and_text(args)?;
    let (subject, target) = match check {
        Check::Path(subject, path) => (subject, Target::Path(path.clone())),
        Check::Resource(subject, resource) => (subject, Target::Resource(ResourceAttributes::clone(resource))),
        _ => return Err(Error::NoSuchOverload),
    };
    let attributes = Attributes { service_account: subject.service_account.clone(), verb: verb.to_owned(), target };
    Ok(checked(Check::Decision(subject.authorizer.authorize(&attributes))))
}

fn decision<'a>(args: &[Value<'a>], part: fn(&Decision) -> Value<'a>) -> Outcome<'a> {
    match args {
        [Value::Check(check)] => match &**check {
            Check::Decision(decision) => Ok(part(decision)),
            _ => Err(Error::NoSuchOverload),
        },
        _ => Err(Error::NoSuchOverload),
    }
}
