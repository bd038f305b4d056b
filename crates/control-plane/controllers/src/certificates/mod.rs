//! Requests for certificates: those of kubelets are approved when their requester may have them, those that are approved are signed
//! when they are for one of the cluster's own signers, and old ones are removed.

pub(crate) mod pod_certificate_requests;
mod signers;
pub(crate) mod trust_bundle;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use windlass_api::condition;
use windlass_api::resource::CERTIFICATE_SIGNING_REQUESTS;
use windlass_api::time::{Clock, parse_rfc3339};
use windlass_api::{GroupVersionResource, Meta, ObjectKey, Status, Timestamp};
use windlass_client::{Client, DeleteOptions, Informer, Outcome, STATUS, WorkQueue};
use windlass_pki::{Ca, CertificateRequest, SigningPolicy};

use crate::context::Context;
use crate::write::{delete, modify};
use signers::Signer;

const NAME: &str = "certificate-controller";
const SUBJECT_ACCESS_REVIEWS: GroupVersionResource =
    GroupVersionResource::of("authorization.k8s.io", "v1", "subjectaccessreviews");
const WORKERS: usize = 2;
const APPROVAL: &str = "approval";
/// Certificates live for a year, unless less is asked for; nobody gets less than ten minutes.
const TTL: Duration = Duration::from_secs(365 * 86_400);
const TTL_MIN: Duration = Duration::from_secs(600);
/// What has been decided stays for people to look at, and what has not is given up, after these times.
const DECIDED_KEPT: Duration = Duration::from_secs(3600);
const PENDING_KEPT: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Request {
    metadata: Meta,
    spec: Spec,
    status: RequestStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    /// PEM, in base 64.
    request: String,
    signer_name: String,
    expiration_seconds: Option<u64>,
    usages: Vec<String>,
    username: String,
    uid: String,
    groups: Vec<String>,
    extra: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RequestStatus {
    conditions: Vec<Value>,
    certificate: String,
}

impl Request {
    fn has(&self, condition: &str) -> bool {
        condition::find(&self.status.conditions, condition).is_some()
    }

    fn parsed(&self) -> Result<CertificateRequest, String> {
        let pem = STANDARD.decode(&self.spec.request).map_err(|error| error.to_string())?;
        CertificateRequest::from_pem(&pem).map_err(|error| error.to_string())
    }

    /// When nobody needs it any more.
    fn ends_at(&self) -> Option<Timestamp> {
        let decided =
            self.status.conditions.iter().filter_map(|it| parse_rfc3339(it["lastUpdateTime"].as_str()?)).max();
        let is_decided = self.has("Denied") || self.has("Failed") || !self.status.certificate.is_empty();
        match decided.filter(|_| is_decided) {
            Some(decided) => Some(decided + DECIDED_KEPT),
            None => self.metadata.creation_timestamp.as_deref().and_then(parse_rfc3339).map(|made| made + PENDING_KEPT),
        }
    }
}

struct Controller {
    client: Client,
    clock: Clock,
    requests: Arc<Informer>,
    ca: Arc<Ca>,
}

pub(crate) async fn run(context: Context, ca: Arc<Ca>) {
    let controller = Controller {
        client: context.client(NAME),
        clock: context.clock,
        requests: context.informer(&CERTIFICATE_SIGNING_REQUESTS),
        ca,
    };
    let queue = WorkQueue::new();
    let changed = queue.clone();
    controller.requests.subscribe(move |change| changed.add(change.object().key.clone()));
    controller.requests.synced().await;
    queue.run(NAME, WORKERS, async |key| controller.sync(key).await).await;
}

impl Controller {
    async fn sync(&self, key: ObjectKey) -> Result<Outcome, Status> {
        let Some(request) = self.requests.read::<Request>(&key) else { return Ok(Outcome::Done) };
        if let Some(left) = request.ends_at().map(|at| at.duration_since(self.clock.now())) {
            if !left.is_positive() {
                return self.remove(&request).await.map(|()| Outcome::Done);
            }
            self.decide(&key, &request).await?;
            return Ok(Outcome::Again(Duration::try_from(left).unwrap_or(DECIDED_KEPT)));
        }
        Ok(Outcome::Done)
    }

    async fn decide(&self, key: &ObjectKey, request: &Request) -> Result<(), Status> {
        let Some(signer) = Signer::named(&request.spec.signer_name) else { return Ok(()) };
        if request.has("Denied") || request.has("Failed") || !request.status.certificate.is_empty() {
            return Ok(());
        }
        if request.has("Approved") {
            self.sign(key, request, signer).await
        } else {
            self.approve(key, request, signer).await
        }
    }

    /// A kubelet may have a client certificate when it may create requests of that kind, for itself or for any node.
    async fn approve(&self, key: &ObjectKey, request: &Request, signer: Signer) -> Result<(), Status> {
        let Ok(wanted) = request.parsed() else { return Ok(()) };
        if signer != Signer::Kubelet || signer.check(&wanted, &request.spec.usages).is_err() {
            return Ok(());
        }
        let own = (wanted.common_name == request.spec.username).then_some(("selfnodeclient", "self kubelet client"));
        for (subresource, what) in own.into_iter().chain([("nodeclient", "kubelet client")]) {
            if self.may(&request.spec, subresource).await? {
                let message = format!("Auto approving {what} certificate after SubjectAccessReview.");
                let approved = self.condition("Approved", "AutoApproved", &message);
                return self.write(key, request, APPROVAL, json!({"conditions": with(request, approved)})).await;
            }
        }
        Ok(())
    }

    async fn may(&self, spec: &Spec, subresource: &str) -> Result<bool, Status> {
        let review = json!({"spec": {
            "user": spec.username, "uid": spec.uid, "groups": spec.groups, "extra": spec.extra,
            "resourceAttributes": {"group": "certificates.k8s.io", "resource": "certificatesigningrequests", "verb": "create",
                "subresource": subresource, "version": "*"}}});
        let answer: Value = self.client.create(&SUBJECT_ACCESS_REVIEWS, "", &review).await?.decode()?;
        Ok(answer["status"]["allowed"] == true)
    }

    async fn sign(&self, key: &ObjectKey, request: &Request, signer: Signer) -> Result<(), Status> {
        let checked = request.parsed().and_then(|wanted| {
            signer.check(&wanted, &request.spec.usages)?;
            Ok(wanted)
        });
        let signed = checked.and_then(|wanted| {
            let ttl =
                request.spec.expiration_seconds.map_or(TTL, |seconds| Duration::from_secs(seconds).clamp(TTL_MIN, TTL));
            let policy = SigningPolicy { ttl, usages: request.spec.usages.clone() };
            self.ca.sign_request(&wanted, &policy, self.clock.now()).map_err(|error| error.to_string())
        });
        let status = match signed {
            Ok(certificate) => json!({"certificate": STANDARD.encode(certificate.to_pem())}),
            Err(why) => {
                let failed = self.condition("Failed", "SignerValidationFailure", &why);
                json!({"conditions": with(request, failed)})
            }
        };
        self.write(key, request, STATUS, status).await
    }

    fn condition(&self, kind: &str, reason: &str, message: &str) -> Value {
        let now = self.clock.now_rfc3339();
        json!({"type": kind, "status": "True", "reason": reason, "message": message, "lastUpdateTime": now})
    }

    async fn write(
        &self,
        key: &ObjectKey,
        request: &Request,
        subresource: &'static str,
        status: Value,
    ) -> Result<(), Status> {
        let patch = json!({"metadata": {"uid": request.metadata.uid}, "status": status});
        let written =
            modify(&self.client, &self.requests, &CERTIFICATE_SIGNING_REQUESTS, key, subresource, &patch).await;
        written.map(drop)
    }

    async fn remove(&self, request: &Request) -> Result<(), Status> {
        let options = DeleteOptions::of_uid(request.metadata.uid.clone());
        delete(&self.client, &CERTIFICATE_SIGNING_REQUESTS, &request.metadata.key(), &options).await
    }
}

/// The request's conditions and one more.
fn with(request: &Request, condition: Value) -> Vec<Value> {
    request.status.conditions.iter().cloned().chain([condition]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_requests_stay() {
        let request = |status: Value| -> Request {
            let metadata = json!({"creationTimestamp": "2026-01-01T00:00:00Z"});
            serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap()
        };
        let condition = |kind: &str| json!({"conditions": [{"type": kind, "lastUpdateTime": "2026-01-01T10:00:00Z"}]});
        let issued =
            json!({"certificate": "x", "conditions": [{"type": "Approved", "lastUpdateTime": "2026-01-01T12:00:00Z"}]});
        for (status, end) in [
            (json!({}), "2026-01-02T00:00:00Z"),
            (condition("Approved"), "2026-01-02T00:00:00Z"),
            (condition("Denied"), "2026-01-01T11:00:00Z"),
            (condition("Failed"), "2026-01-01T11:00:00Z"),
            (issued, "2026-01-01T13:00:00Z"),
        ] {
            assert_eq!(request(status.clone()).ends_at(), parse_rfc3339(end), "{status}");
        }
    }
}
