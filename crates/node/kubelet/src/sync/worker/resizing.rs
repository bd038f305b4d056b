//! The worker's part in resizing a pod in place: following what is allocated, with `resize` deciding.

use std::sync::Arc;

use windlass_api::k8s::api::core::v1::{Container, Pod};
use windlass_client::EventType;

use super::{Next, START_RETRY, Worker};
use crate::observe::{ContainerView, Observed};
use crate::pod::PodView;
use crate::pod::qos::oom_score_adj;
use crate::resize::{self, Verdict};

impl Worker {
    /// Follows what is wanted of resources, as far as the node has room.
    pub(super) fn allocate(&mut self, wanted: &Arc<Pod>) {
        let known = self.record.lock().allocated.clone();
        let Some(known) = known.filter(|known| resize::differs(wanted, known)) else {
            self.resize_pending = None;
            self.pod = wanted.clone();
            self.record.lock().allocated = Some(wanted.clone());
            return;
        };
        let others = self.registry.allocated(wanted.uid());
        let (reason, message) = match resize::judge(wanted, &others, self.shared.node.allocatable()) {
            Verdict::Fits => {
                self.resize_pending = None;
                let generation = wanted.generation();
                self.resize_in_progress = Some(resize::condition(resize::IN_PROGRESS, "", "", generation));
                self.pod = wanted.clone();
                self.record.lock().allocated = Some(wanted.clone());
                let text = format!("Pod resize started: {{\"generation\":{generation}}}");
                self.shared.recorder.event(&self.about(), EventType::Normal, "ResizeStarted", text);
                return;
            }
            Verdict::Deferred(message) => ("Deferred", message),
            Verdict::Infeasible(message) => ("Infeasible", message),
        };
        let generation = wanted.generation();
        let condition = resize::condition(resize::PENDING, reason, &message, generation);
        if self.resize_pending.as_ref() != Some(&condition) {
            let text = format!("Pod resize {reason}: {{\"generation\":{generation},\"error\":{message:?}}}");
            let event = format!("Resize{reason}");
            self.shared.recorder.event(&wanted.reference(), EventType::Warning, &event, text);
        }
        self.resize_pending = Some(condition);
        self.pod = Arc::new(resize::with_allocated(wanted, &known));
        self.record.lock().allocated = Some(self.pod.clone());
    }

    /// A resize is in progress until every container has what is allocated.
    pub(super) fn note_resize(&mut self, observed: &Observed) {
        if resize::in_progress(&self.pod, observed) {
            let generation = self.pod.generation();
            self.resize_in_progress.get_or_insert_with(|| resize::condition(resize::IN_PROGRESS, "", "", generation));
        } else if self.resize_in_progress.take().is_some() {
            let text = format!("Pod resize completed: {{\"generation\":{}}}", self.pod.generation());
            self.shared.recorder.event(&self.about(), EventType::Normal, "ResizeCompleted", text);
        }
    }

    /// Gives running containers what is allocated; returns whether any was changed.
    pub(super) async fn resize(&mut self, observed: &Observed) -> Result<bool, Next> {
        let pod = self.pod.clone();
        let updates = resize::updates(&pod, observed);
        if updates.is_empty() {
            return Ok(false);
        }
        // The pod's own limit may have to grow before its containers' can, and cannot shrink before they have.
        self.limit_pod().await;
        for (container, view) in updates {
            if let Err(message) = self.resize_one(container, view).await {
                let generation = pod.generation();
                let failed = resize::condition(resize::IN_PROGRESS, "Error", &message, generation);
                if self.resize_in_progress.replace(failed.clone()).as_ref() != Some(&failed) {
                    let text = format!("Pod resize error: {{\"generation\":{generation},\"error\":{message:?}}}");
                    self.shared.recorder.event(&self.about(), EventType::Warning, "ResizeError", text);
                }
                self.write_status(observed, false, false);
                return Err(Next::At(self.now() + START_RETRY));
            }
        }
        self.limit_pod().await;
        Ok(true)
    }

    async fn limit_pod(&self) {
        let (cgroups, pod) = (self.shared.cgroups.clone(), self.pod.clone());
        let limited = tokio::task::spawn_blocking(move || cgroups.limit_pod(&pod)).await;
        if let Ok(Err(error)) = limited {
            tracing::debug!(pod = self.pod.name(), namespace = self.pod.namespace(), %error, "the pod's cgroup is not limited yet");
        }
    }

    async fn resize_one(&self, container: &Container, view: &ContainerView) -> Result<(), String> {
        let score = oom_score_adj(&self.pod, container, self.shared.node.memory_bytes());
        let wanted = resize::for_update(container, score);
        let limit = wanted.memory_limit_bytes;
        if limit > 0 && (view.resources.memory_limit_bytes <= 0 || limit < view.resources.memory_limit_bytes) {
            let stats = self.shared.runtime.container_stats(&view.id).await.map_err(|error| error.to_string())?;
            let used = i64::try_from(stats.memory.usage_bytes.unwrap_or_default()).unwrap_or(i64::MAX);
            if used >= limit {
                return Err(format!(
                    "attempting to set container {:?} memory limit ({limit}) below current usage ({used})",
                    container.name
                ));
            }
        }
        let updated = self.shared.runtime.update_container_resources(&view.id, wanted).await;
        updated.map_err(|error| error.to_string())
    }
}
