//! What a pod's worker is told: the newest version of the pod, that something has changed, that it is to end.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use windlass_api::k8s::api::core::v1::Pod;

use crate::pod::PodView;
use crate::status::Eviction;

/// Why and how a pod ends before its time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ending {
    pub(crate) eviction: Eviction,
    /// Instead of the pod's own grace period.
    pub(crate) grace_seconds: Option<i64>,
    /// The pod was not let in at all.
    pub(crate) rejected: bool,
}

/// A copy of what is in the mailbox.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) pod: Arc<Pod>,
    /// The pod, or an object that it refers to, has changed since the last time.
    pub(crate) inputs_changed: bool,
    /// The API has no such pod any more.
    pub(crate) gone: bool,
    pub(crate) ending: Option<Ending>,
    /// The node needs what an ended pod still has of its disk.
    pub(crate) reclaim: bool,
}

/// What of a pod's end interrupts its worker: that it must end, within how many seconds, and that the API has no such pod.
type End = (bool, i64, bool);

impl Mail {
    fn end(&self) -> End {
        (self.must_end(), self.grace_seconds(), self.gone)
    }

    pub(crate) fn must_end(&self) -> bool {
        self.gone || self.ending.is_some() || self.pod.is_deleting()
    }

    /// How long containers have to end by themselves.
    pub(crate) fn grace_seconds(&self) -> i64 {
        let own = self
            .pod
            .metadata
            .deletion_grace_period_seconds
            .or(self.pod.pod_spec().termination_grace_period_seconds)
            .unwrap_or(30);
        let asked = self.ending.as_ref().and_then(|ending| ending.grace_seconds);
        asked.map_or(own, |asked| asked.min(own)).max(0)
    }
}

pub(crate) struct Mailbox {
    mail: Mutex<Mail>,
    /// The end that the worker knows of, since it took its mail.
    known: Mutex<End>,
    news: Notify,
    /// Interrupts what is under way.
    ending: Notify,
    /// The pod has given back what it had of the node.
    cleaned: watch::Sender<bool>,
}

impl Mailbox {
    pub(crate) fn new(pod: Arc<Pod>) -> Self {
        let mail = Mail { pod, inputs_changed: true, gone: false, ending: None, reclaim: false };
        let known = Mutex::new(mail.end());
        Self {
            mail: Mutex::new(mail),
            known,
            news: Notify::new(),
            ending: Notify::new(),
            cleaned: watch::Sender::new(false),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Mail)) {
        let urgent = {
            let mut mail = self.mail.lock();
            let before = mail.end();
            change(&mut mail);
            before != mail.end() && mail.must_end()
        };
        if urgent {
            self.ending.notify_one();
        }
        self.news.notify_one();
    }

    pub(crate) fn update(&self, pod: Arc<Pod>) {
        self.change(|mail| {
            // A status that we wrote ourselves is no change of what is wanted.
            mail.inputs_changed |= mail.pod.metadata.generation != pod.metadata.generation
                || mail.pod.spec != pod.spec
                || mail.pod.metadata.labels != pod.metadata.labels
                || mail.pod.metadata.annotations != pod.metadata.annotations;
            mail.pod = pod;
        });
    }

    /// The API has deleted the pod, whose last version this is.
    pub(crate) fn gone(&self, pod: Option<Arc<Pod>>) {
        self.change(|mail| {
            mail.gone = true;
            if let Some(pod) = pod {
                mail.pod = pod;
            }
        });
    }

    pub(crate) fn inputs_changed(&self) {
        self.change(|mail| mail.inputs_changed = true);
    }

    /// Ends the pod; the first reason stands, a shorter grace period counts.
    pub(crate) fn end(&self, ending: Ending) {
        self.change(|mail| match &mut mail.ending {
            Some(known) => {
                known.grace_seconds = [known.grace_seconds, ending.grace_seconds].into_iter().flatten().min();
            }
            None => mail.ending = Some(ending),
        });
    }

    /// Something has happened: look again.
    pub(crate) fn wake(&self) {
        self.news.notify_one();
    }

    pub(crate) fn pod(&self) -> Arc<Pod> {
        self.mail.lock().pod.clone()
    }

    /// What is there now. Changed inputs and a call for the disk are told once.
    pub(crate) fn take(&self) -> Mail {
        let mut mail = self.mail.lock();
        let copy = mail.clone();
        mail.inputs_changed = false;
        mail.reclaim = false;
        *self.known.lock() = mail.end();
        copy
    }

    pub(crate) fn peek(&self) -> Mail {
        self.mail.lock().clone()
    }

    /// Has the worker of an ended pod remove what its containers have left, which stays for its logs otherwise.
    pub(crate) fn reclaim(&self) {
        self.cleaned.send_replace(false);
        self.change(|mail| mail.reclaim = true);
    }

    /// The worker has given back what the pod had of the node.
    pub(crate) fn set_cleaned(&self) {
        self.cleaned.send_replace(true);
    }

    /// Waits for that.
    pub(crate) async fn cleaned(&self) {
        // The sender is in `self`.
        let _ = self.cleaned.subscribe().wait_for(|cleaned| *cleaned).await;
    }

    /// Waits for news since the last time.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    /// Waits until the pod must end, or must end otherwise than was known when the mail was taken. A call that came before that is no
    /// interruption: what it would interrupt has been begun because of it.
    pub(crate) async fn ending(&self) {
        loop {
            self.ending.notified().await;
            let end = self.mail.lock().end();
            if end != *self.known.lock() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn pod(grace_seconds: Option<i64>) -> Arc<Pod> {
        let mut pod = Pod::default();
        pod.metadata.deletion_timestamp = grace_seconds
            .map(|_| windlass_api::k8s::apimachinery::pkg::apis::meta::v1::Time(windlass_api::Timestamp::UNIX_EPOCH));
        pod.metadata.deletion_grace_period_seconds = grace_seconds;
        Arc::new(pod)
    }

    #[test]
    fn only_another_end_interrupts() {
        let mailbox = Mailbox::new(pod(None));
        mailbox.update(pod(Some(30)));
        assert!(mailbox.take().must_end());
        assert!(mailbox.ending().now_or_never().is_none(), "the worker knows already, and ends the pod");
        mailbox.update(pod(Some(30)));
        assert!(mailbox.ending().now_or_never().is_none(), "nothing about the end has changed");
        mailbox.update(pod(Some(1)));
        assert!(mailbox.ending().now_or_never().is_some(), "it must end sooner");
    }
}
