//! Token: a token for a service account, bound to a pod, node or secret if asked.
//!
//! Source: upstream `pkg/registry/core/serviceaccount/storage/token.go`.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::{GroupResource, GroupVersionKind, Status, time};
use windlass_auth::authentication::{Bound, Grant};
use windlass_machinery::names;
use windlass_machinery::tree::{child, items, number, put, remove, set, text};
use windlass_resources::life::{self, check_namespace};

use crate::body::BodyKind;
use crate::call::Call;
use crate::outcome::Outcome;
use crate::storage::{Storage, tree};

const TOKEN_REQUEST: GroupVersionKind = GroupVersionKind::of("authentication.k8s.io", "v1", "TokenRequest");
const SECONDS_DEFAULT: i64 = 3600;
const SECONDS_MIN: i64 = 600;
const SECONDS_MAX: i64 = 1 << 32;

pub(super) async fn issue_token(call: &Call<'_>) -> Result<Outcome, Status> {
    let (request, tokens) = (call.request, &call.gate.tokens);
    let mut object = call.body_as(BodyKind::builtin(&TOKEN_REQUEST)?)?;
    check_namespace(&object, &request.namespace)?;
    set(child(&mut object, "spec"), "expirationSeconds", SECONDS_DEFAULT);
    let now = call.storage.clock.now();
    life::ask(&mut object, &Call { asks: Some(&TOKEN_REQUEST), ..*call }, |object| prepare(call, object, now)).await?;
    let spec = &object["spec"];
    let seconds = number(spec, "expirationSeconds");
    let mut grant = Grant {
        issuer: tokens.issuer(),
        audiences: items(spec, "audiences").filter_map(Value::as_str).map(str::to_owned).collect(),
        namespace: &request.namespace,
        account: Bound { name: request.name.clone(), uid: text(&object["metadata"], "uid").to_owned() },
        pod: None,
        node: None,
        secret: None,
        now,
        seconds,
        id: names::new_uid(&call.storage.chance),
    };
    call.context.annotate("authentication.kubernetes.io/issued-credential-id", format!("JTI={}", grant.id));
    bind_token(call.storage, &mut grant, &spec["boundObjectRef"])?;
    let token = tokens.sign(grant)?;
    let status = child(&mut object, "status");
    put(status, "token", token);
    put(
        status,
        "expirationTimestamp",
        time::rfc3339(now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)),
    );
    Ok(Outcome::tree(TOKEN_REQUEST, object).created())
}

/// Says for which account a token is asked, and refuses a request that is about another one, or wrong.
fn prepare(call: &Call<'_>, object: &mut Value, now: Timestamp) -> Result<(), Status> {
    let request = call.request;
    let metadata = &object["metadata"];
    let said = |field: &str, wanted: &str| {
        let said = text(metadata, field);
        if said.is_empty() || said == wanted {
            return Ok(());
        }
        let detail = format!("must match the service account {field} if specified");
        let errors = Error::invalid(&Path::new("metadata").child(field), said, detail).into();
        Err(Status::invalid("authentication.k8s.io", "TokenRequest", &request.name, &errors))
    };
    said("name", &request.name)?;
    said("namespace", &request.namespace)?;
    let account = tree(call.served, &*call.stored()?)?;
    let uid = text(&account["metadata"], "uid");
    let wanted = text(metadata, "uid");
    if !wanted.is_empty() && wanted != uid {
        let resource = GroupResource::of("authentication.k8s.io", "TokenRequest");
        let why =
            format!("the UID in the token request ({wanted}) does not match the UID of the service account ({uid})");
        return Err(Status::conflict(&resource, &request.name, why));
    }
    let metadata = child(object, "metadata");
    put(metadata, "name", request.name.as_str());
    put(metadata, "namespace", request.namespace.as_str());
    put(metadata, "uid", uid);
    put(metadata, "creationTimestamp", time::rfc3339(now));
    drop(remove(object, "status"));
    let spec = child(object, "spec");
    if items(spec, "audiences").next().is_none() {
        put(spec, "audiences", vec![Value::from(call.gate.tokens.issuer())]);
    }
    validate(spec)
}

/// Ties the token to the object that the request names: it must be there, and a pod must run as this account.
fn bind_token(storage: &Storage, grant: &mut Grant<'_>, reference: &Value) -> Result<(), Status> {
    if !reference.is_object() {
        return Ok(());
    }
    let name = text(reference, "name");
    let find = |table: &'static str, namespace: &str| {
        let resource = GroupResource::of("", table);
        let object = storage.object(table, namespace, name).ok_or_else(|| Status::not_found(&resource, name))?;
        let uid = text(&object["metadata"], "uid").to_owned();
        let wanted = text(reference, "uid");
        if !wanted.is_empty() && wanted != uid {
            let why = format!(
                "the UID in the bound object reference ({wanted}) does not match the UID in record. The object might have been deleted and then recreated"
            );
            return Err(Status::conflict(&resource, name, why));
        }
        Ok((Bound { name: name.to_owned(), uid }, object))
    };
    match (text(reference, "apiVersion"), text(reference, "kind")) {
        ("v1" | "", "Pod") => {
            let (bound, pod) = find("pods", grant.namespace)?;
            let account = text(&pod["spec"], "serviceAccountName");
            if account != grant.account.name {
                return Err(Status::bad_request(format!(
                    "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                    grant.account.name
                )));
            }
            let node = text(&pod["spec"], "nodeName");
            if !node.is_empty() {
                let uid = storage.object("nodes", "", node);
                let uid = uid.map(|node| text(&node["metadata"], "uid").to_owned()).unwrap_or_default();
                grant.node = Some(Bound { name: node.to_owned(), uid });
            }
            grant.pod = Some(bound);
        }
        ("v1" | "", "Secret") => grant.secret = Some(find("secrets", grant.namespace)?.0),
        ("v1" | "", "Node") => grant.node = Some(find("nodes", "")?.0),
        (version, kind) => {
            let version = if version.contains('/') { version.to_owned() } else { format!("/{version}") };
            let text = format!("cannot bind token to object of type {version}, Kind={kind}");
            return Err(Status::bad_request(text));
        }
    }
    Ok(())
}

fn validate(spec: &Value) -> Result<(), Status> {
    let path = Path::new("spec");
    let seconds = number(spec, "expirationSeconds");
    let mut errors = Errors::new();
    if seconds < SECONDS_MIN {
        let detail = "may not specify a duration less than 10 minutes";
        errors.push(Error::invalid(&path.child("expirationSeconds"), seconds, detail));
    }
    if seconds > SECONDS_MAX {
        let detail = "may not specify a duration larger than 2^32 seconds";
        errors.push(Error::invalid(&path.child("expirationSeconds"), seconds, detail));
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("authentication.k8s.io", "TokenRequest", "", &errors)) }
}
