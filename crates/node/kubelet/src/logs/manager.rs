//! The loop that rotates logs.
//!
//! The kernel tells of writes, which are looked after a moment later, many together: so much a container can write beyond the limit
//! before its log is rotated. Every [`crate::Options::container_log_monitor_interval`] everything is looked at all the same, as
//! upstream does it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use windlass_cri::{ContainerEventKind, ContainerFilter, ContainerState};
use windlass_tree::{Change, Changes, Told};

use super::rotate::Log;
use crate::shared::Shared;

/// From one look at what was written to the next.
const PAUSE: Duration = Duration::from_millis(100);
/// The same where the kernel does not tell.
const PAUSE_OF_THE_BLIND: Duration = Duration::from_secs(1);
/// Compressing is never urgent.
const COMPRESSIONS_MAX: usize = 1;

struct Manager {
    shared: Arc<Shared>,
    bytes_max: u64,
    /// The logs of running containers, by the containers' IDs.
    logs: HashMap<String, PathBuf>,
    /// `None` where the kernel has none left to give: pods without a user namespace share root's number of them.
    watch: Option<Changes>,
    /// Not every log is watched.
    is_blind: bool,
    compressing: Arc<Mutex<HashSet<PathBuf>>>,
    compressions: Arc<Semaphore>,
}

pub(crate) async fn run(shared: Arc<Shared>) {
    let Ok(bytes_max) = u64::try_from(shared.options.container_log_max_size.units()) else {
        // Negative: the node's administrator rotates logs.
        return std::future::pending().await;
    };
    let watch = Changes::none().inspect_err(
        |error| tracing::warn!(%error, "writes to logs cannot be watched: they are looked at now and then"),
    );
    let mut events = shared.runtime.events();
    let mut ticks = tokio::time::interval(shared.options.container_log_monitor_interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut manager = Manager {
        shared,
        bytes_max,
        logs: HashMap::new(),
        is_blind: watch.is_err(),
        watch: watch.ok(),
        compressing: Arc::default(),
        compressions: Arc::new(Semaphore::new(COMPRESSIONS_MAX)),
    };
    let mut rested = Instant::now();
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) if event.kind == ContainerEventKind::Started => manager.list().await,
                Some(_) => {}
                // Some were missed. The next tick sees what has started meanwhile.
                None => {
                    tokio::time::sleep(PAUSE).await;
                    events = manager.shared.runtime.events();
                }
            },
            change = manager.written(rested) => {
                manager.look(change).await;
                rested = Instant::now() + PAUSE;
            }
            _ = ticks.tick() => {
                manager.list().await;
                manager.look(Change::Unknown).await;
            }
        }
    }
}

impl Manager {
    async fn written(&self, after: Instant) -> Change {
        tokio::time::sleep_until(after).await;
        let changed = async {
            match &self.watch {
                Some(watch) => watch.wait().await.unwrap_or(Change::Unknown),
                None => std::future::pending().await,
            }
        };
        let patience = if self.is_blind { PAUSE_OF_THE_BLIND } else { Duration::MAX };
        tokio::time::timeout(patience, changed).await.unwrap_or(Change::Unknown)
    }

    /// Finds the logs of the containers that run.
    async fn list(&mut self) {
        let filter = ContainerFilter { state: Some(ContainerState::Running), ..ContainerFilter::default() };
        let running = match self.shared.runtime.list_containers(filter).await {
            Ok(running) => running,
            Err(error) => return tracing::warn!(%error, "the runtime does not list its containers: no log is rotated"),
        };
        let present: HashSet<String> = running.into_iter().map(|container| container.id).collect();
        self.logs.retain(|id, _| present.contains(id));
        for id in present {
            if self.logs.contains_key(&id) {
                continue;
            }
            let Ok(status) = self.shared.runtime.container_status(&id).await else { continue };
            let path = PathBuf::from(status.log_path);
            if path.starts_with(&self.shared.options.pod_logs) {
                self.logs.insert(id, path);
            }
        }
        let directories: BTreeSet<&Path> = self.logs.values().filter_map(|path| path.parent()).collect();
        let Some(watch) = &mut self.watch else { return };
        watch.retain(&directories);
        let was_blind = std::mem::replace(&mut self.is_blind, false);
        for directory in directories {
            // One that is gone needs none.
            if let Err(error) = watch.add(directory, Told::Writes)
                && error.kind() != io::ErrorKind::NotFound
            {
                self.is_blind = true;
                if !was_blind {
                    tracing::warn!(path = %directory.display(), %error, "not every log is watched: all are looked at every second");
                }
            }
        }
    }

    /// Rotates what has become too large.
    async fn look(&self, change: Change) {
        let is_due = |path: &Path| match &change {
            Change::Unknown => true,
            Change::In(directories) => path.parent().is_some_and(|directory| directories.contains(directory)),
        };
        let due = self.logs.iter().filter(|(_, path)| is_due(path));
        let due: Vec<(String, PathBuf)> = due.map(|(id, path)| (id.clone(), path.clone())).collect();
        if due.is_empty() {
            return;
        }
        let measure = move || -> Vec<(String, PathBuf, io::Result<Option<u64>>)> {
            let bytes = |path: &Path| Log::find(path)?.bytes();
            due.into_iter().map(|(id, path)| (bytes(&path), id, path)).map(|(it, id, path)| (id, path, it)).collect()
        };
        for (id, path, bytes) in tokio::task::spawn_blocking(measure).await.unwrap_or_default() {
            let result = match bytes {
                Ok(Some(bytes)) if bytes >= self.bytes_max => self.rotate(&id, &path).await,
                Ok(Some(_)) => Ok(()),
                // Somebody has removed it: what is said from now on is not lost.
                Ok(None) => self.shared.runtime.reopen_container_log(&id).await.map_err(io::Error::other),
                // The container has gone, and its logs with it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                tracing::warn!(container = id, path = %path.display(), %error, "a container's log cannot be rotated");
            }
        }
    }

    async fn rotate(&self, id: &str, path: &Path) -> io::Result<()> {
        let now = self.shared.clock.now();
        let name = on_log(path, move |log| log.retire(now)).await?;
        if let Err(error) = self.shared.runtime.reopen_container_log(id).await {
            on_log(path, move |log| log.restore(&name)).await?;
            return Err(io::Error::other(error));
        }
        // Besides the one that is written.
        let keep = self.shared.options.container_log_max_files.saturating_sub(1);
        on_log(path, move |log| log.trim(keep)).await?;
        self.compress(path);
        Ok(())
    }

    fn compress(&self, path: &Path) {
        if !self.compressing.lock().insert(path.to_owned()) {
            return;
        }
        let (compressing, permits, path) = (self.compressing.clone(), self.compressions.clone(), path.to_owned());
        tokio::spawn(async move {
            let _permit = permits.acquire().await;
            if let Err(error) = on_log(&path, Log::compress).await {
                tracing::warn!(path = %path.display(), %error, "retired logs cannot be compressed");
            }
            compressing.lock().remove(&path);
        });
    }
}

/// Works on a log's files, on a thread that may block.
async fn on_log<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(&Log) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || work(&Log::find(&path)?)).await.map_err(io::Error::other)?
}
