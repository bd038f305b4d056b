//! The kubelet's loops: whether they run, and whether changes of pods get through. That is what `/healthz` and the node's Ready
//! condition say of the kubelet itself.
//!
//! A loop never ends. One that does has panicked: that is a bug, and the rest of the kubelet goes on without what the loop did, so it
//! has to be said until somebody restarts it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use windlass_api::ObjectKey;
use windlass_client::WorkQueue;

/// How long the work on one pod's change may take until the loop counts as stuck: upstream's two rounds of its sync loop.
const STUCK: Duration = Duration::from_secs(120);

/// All loops of a kubelet.
#[derive(Default)]
pub(crate) struct Loops {
    /// Changes of pods, which everything that happens to a pod goes through.
    pub(crate) pods: WorkQueue<ObjectKey>,
    ended: Mutex<Vec<&'static str>>,
}

impl Loops {
    /// Starts a loop, which runs for as long as `tasks` lives.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        tasks: &mut JoinSet<()>,
        name: &'static str,
        run: impl Future<Output = ()> + Send + 'static,
    ) {
        let end = End { loops: self.clone(), name };
        tasks.spawn(async move {
            let _end = end;
            run.await;
        });
    }

    /// What is wrong, in words for an operator.
    pub(crate) fn problems(&self) -> Vec<String> {
        let ended = self.ended.lock();
        let ended = ended.iter().map(|name| format!("the kubelet's loop {name:?} has ended: restart the kubelet"));
        let stuck = self.pods.longest_running().filter(|time| *time >= STUCK);
        let stuck = stuck.map(|time| format!("the kubelet's sync loop has been stuck for {}s", time.as_secs()));
        ended.chain(stuck).collect()
    }
}

/// Tells of a loop's end when it is dropped, which a panic does as well.
struct End {
    loops: Arc<Loops>,
    name: &'static str,
}

impl Drop for End {
    fn drop(&mut self) {
        self.loops.ended.lock().push(self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_loop_that_ends_is_told() {
        let loops = Arc::new(Loops::default());
        let mut tasks = JoinSet::new();
        loops.spawn(&mut tasks, "lasting", std::future::pending());
        assert!(loops.problems().is_empty());
        loops.spawn(&mut tasks, "broken", async { panic!("a bug (this is part of the test)") });
        assert!(tasks.join_next().await.unwrap().is_err());
        let [problem] = loops.problems().try_into().unwrap();
        assert!(problem.contains("\"broken\" has ended"), "{problem}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sync_loop_that_hangs_is_told() {
        let loops = Arc::new(Loops::default());
        let queue = loops.pods.clone();
        queue.add(ObjectKey::new("lab", "my-app"));
        let mut tasks = JoinSet::new();
        loops.spawn(&mut tasks, "pods", async move {
            queue.run("test", 1, |_| std::future::pending::<Result<_, String>>()).await;
        });
        tokio::time::sleep(STUCK - Duration::from_secs(1)).await;
        assert!(loops.problems().is_empty());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(loops.problems(), ["the kubelet's sync loop has been stuck for 120s"]);
    }
}
