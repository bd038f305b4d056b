//! Leader election: of several equal components one works, the others stand by.
//!
//! The leader holds a Lease and renews it. Whoever sees a Lease that has not changed for its duration, by the observer's own clock,
//! may take it. A leader that cannot renew in time stops before anybody else can start.
//! Source: client-go `tools/leaderelection`.

use std::future::Future;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use windlass_api::resource::LEASES;
use windlass_api::time::Clock;
use windlass_api::{ObjectKey, Status};

use crate::client::{Client, OBJECT};

/// Upstream's defaults.
const LEASE_DURATION: Duration = Duration::from_secs(15);
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
const RETRY_PERIOD: Duration = Duration::from_secs(2);

/// Who competes for what.
pub struct Candidate {
    pub client: Client,
    pub clock: Clock,
    /// The Lease.
    pub lease: ObjectKey,
    /// Unique among the candidates.
    pub identity: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LeaseSpec {
    holder_identity: String,
    renew_time: String,
    lease_transitions: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Lease {
    spec: LeaseSpec,
}

/// What is known of the Lease: its content, its revision, and when it was first seen so.
struct Observed {
    spec: LeaseSpec,
    revision: u64,
    since: Instant,
}

impl Candidate {
    /// Waits to become the leader and then runs `work`; returns when the lead is lost or `work` ends.
    pub async fn lead<F: Future<Output = ()>>(&self, work: impl FnOnce() -> F) {
        let mut observed = None;
        let asked = loop {
            match self.try_acquire(&mut observed).await {
                // A lead whose confirmation took longer than it may stay unrenewed can be somebody else's by now.
                Some(asked) if asked.elapsed() < RENEW_DEADLINE => break asked,
                _ => tokio::time::sleep(RETRY_PERIOD).await,
            }
        };
        tracing::info!(lease = %self.lease, identity = self.identity, "became the leader");
        tokio::select! {
            biased;
            () = work() => self.release(&mut observed).await,
            () = self.keep(asked, &mut observed) => {
                tracing::error!(lease = %self.lease, identity = self.identity, "the lead was lost");
            }
        }
    }

    /// Renews until that fails for too long. `renewed` is when the last renewal that succeeded was asked for, not when the answer came: the
    /// others count from when they see it, which can be any time between the two.
    async fn keep(&self, mut renewed: Instant, observed: &mut Option<Observed>) {
        loop {
            tokio::time::sleep(RETRY_PERIOD).await;
            let left = RENEW_DEADLINE.saturating_sub(renewed.elapsed());
            match tokio::time::timeout(left, self.try_acquire(observed)).await {
                Ok(Some(asked)) => renewed = asked,
                Ok(None) if renewed.elapsed() < RENEW_DEADLINE => {}
                _ => return,
            }
        }
    }

    /// Takes or renews the Lease; when that was asked for, if it is held afterwards.
    async fn try_acquire(&self, observed: &mut Option<Observed>) -> Option<Instant> {
        let asked = Instant::now();
        match self.acquire(observed).await {
            Ok(held) => held.then_some(asked),
            Err(status) => {
                tracing::debug!(lease = %self.lease, error = %status, "the lease cannot be taken or renewed");
                None
            }
        }
    }

    async fn acquire(&self, observed: &mut Option<Observed>) -> Result<bool, Status> {
        let current = match self.client.get(&LEASES, &self.lease).await {
            Ok(object) => {
                let spec = object.decode::<Lease>()?.spec;
                let unchanged = observed.as_ref().filter(|o| o.spec == spec).map(|o| o.since);
                let since = unchanged.unwrap_or_else(Instant::now);
                let current = Observed { spec, revision: object.revision, since };
                Some(&*observed.insert(current))
            }
            Err(status) if status.is_not_found() => None,
            Err(status) => return Err(status),
        };
        let (ours, may_take, transitions, revision) = match current {
            None => (false, true, 0, 0),
            Some(seen) => {
                let ours = seen.spec.holder_identity == self.identity;
                let free = seen.spec.holder_identity.is_empty() || seen.since.elapsed() > LEASE_DURATION;
                let transitions = seen.spec.lease_transitions + i64::from(!ours);
                (ours, ours || free, transitions, seen.revision)
            }
        };
        if !may_take {
            return Ok(false);
        }
        let now = self.clock.now_rfc3339_micro();
        let mut spec = json!({
            "holderIdentity": self.identity,
            "leaseDurationSeconds": LEASE_DURATION.as_secs(),
            "renewTime": now,
            "leaseTransitions": transitions,
        });
        if !ours {
            spec["acquireTime"] = json!(now);
        }
        self.write(current.is_none(), revision, spec, observed).await?;
        Ok(true)
    }

    async fn write(
        &self,
        absent: bool,
        revision: u64,
        spec: Value,
        observed: &mut Option<Observed>,
    ) -> Result<(), Status> {
        let mut metadata = json!({"name": self.lease.name, "namespace": self.lease.namespace});
        let written = if absent {
            let lease = json!({"metadata": metadata, "spec": spec});
            self.client.create(&LEASES, &self.lease.namespace, &lease).await?
        } else {
            // The revision makes this fail when somebody else was quicker.
            metadata["resourceVersion"] = json!(revision.to_string());
            let patch = json!({"metadata": metadata, "spec": spec});
            self.client.patch(&LEASES, &self.lease, OBJECT, &patch).await?
        };
        let spec = written.decode::<Lease>()?.spec;
        *observed = Some(Observed { spec, revision: written.revision, since: Instant::now() });
        Ok(())
    }

    /// Lets somebody else have it at once.
    async fn release(&self, observed: &mut Option<Observed>) {
        let Some(seen) = observed.take().filter(|seen| seen.spec.holder_identity == self.identity) else { return };
        let spec =
            json!({"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": self.clock.now_rfc3339_micro()});
        if let Err(status) = self.write(false, seen.revision, spec, observed).await {
            tracing::debug!(lease = %self.lease, error = %status, "the lease cannot be released");
        }
    }
}
