//! What happened to sandboxes and containers, for everybody who wants to know.

use futures::StreamExt;
use futures::stream::{BoxStream, unfold};
use tokio::sync::broadcast;
use windlass_api::time::Clock;
use windlass_cri::{ContainerEvent, ContainerEventKind};

/// Events that a consumer may be behind.
const BEHIND_MAX: usize = 4096;

#[derive(Debug)]
pub(crate) struct Events {
    sender: broadcast::Sender<ContainerEvent>,
    clock: Clock,
}

impl Events {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { sender: broadcast::Sender::new(BEHIND_MAX), clock }
    }

    pub(crate) fn send(&self, container_id: &str, sandbox_id: &str, pod_uid: &str, kind: ContainerEventKind) {
        // Nobody may be listening.
        let _ = self.sender.send(ContainerEvent {
            container_id: container_id.to_owned(),
            sandbox_id: sandbox_id.to_owned(),
            pod_uid: pod_uid.to_owned(),
            kind,
            created_at: self.clock.now_nanos(),
        });
    }

    /// Events from now on. The stream ends when its consumer has fallen too far behind: then it must list again.
    pub(crate) fn subscribe(&self) -> BoxStream<'static, ContainerEvent> {
        let next = |mut receiver: broadcast::Receiver<ContainerEvent>| async move {
            receiver.recv().await.ok().map(|event| (event, receiver))
        };
        unfold(self.sender.subscribe(), next).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_consumer_that_lags_gets_the_end() {
        let events = Events::new(Clock::system());
        let mut stream = events.subscribe();
        events.send("c", "s", "u", ContainerEventKind::Started);
        let first = stream.next().await.unwrap();
        assert_eq!((first.container_id.as_str(), first.kind), ("c", ContainerEventKind::Started));
        for _ in 0..=BEHIND_MAX {
            events.send("c", "s", "u", ContainerEventKind::Stopped);
        }
        assert!(stream.next().await.is_none());
        assert!(events.subscribe().next().now_or_never().is_none());
    }

    use futures::FutureExt;
}
