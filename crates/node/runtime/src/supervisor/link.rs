//! The daemon's connection to its supervisor: made when needed, made again when lost.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Mutex, mpsc};

use super::client::{Client, ClientError};
use super::protocol::{Event, Request};
use super::spawn::{SpawnError, connect_or_start};

#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the task that starts the supervisor failed")]
    Task(#[source] tokio::task::JoinError),
}

/// What the runtime hears of the supervisor.
#[derive(Debug)]
pub(crate) enum News {
    Event(Event),
    /// Its containers have no parent any more.
    Lost,
}

#[derive(Debug)]
pub(crate) struct Link {
    root: PathBuf,
    command: Vec<OsString>,
    client: Mutex<Option<Client>>,
    /// The supervisor has been asked to end.
    leaving: Arc<AtomicBool>,
    news: mpsc::Sender<News>,
}

impl Link {
    pub(crate) fn new(root: PathBuf, command: Vec<OsString>, news: mpsc::Sender<News>) -> Self {
        Self { root, command, client: Mutex::new(None), leaving: Arc::default(), news }
    }

    /// The supervisor, which is started when there is none.
    pub(crate) async fn client(&self) -> Result<Client, LinkError> {
        let mut current = self.client.lock().await;
        if let Some(client) = current.as_ref().filter(|client| !client.is_closed()) {
            return Ok(client.clone());
        }
        let (root, command) = (self.root.clone(), self.command.clone());
        let started = tokio::task::spawn_blocking(move || connect_or_start(&root, &command)).await;
        let (client, mut events) = Client::connect(started.map_err(LinkError::Task)??).await?;
        self.leaving.store(false, Ordering::Relaxed);
        let (news, leaving) = (self.news.clone(), self.leaving.clone());
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if news.send(News::Event(event)).await.is_err() {
                    return;
                }
            }
            if !leaving.load(Ordering::Relaxed) {
                let _ = news.send(News::Lost).await;
            }
        });
        *current = Some(client.clone());
        Ok(client)
    }

    /// Ends the supervisor, which must have nothing to supervise.
    pub(crate) async fn shut_down(&self) -> Result<(), LinkError> {
        let client = self.client().await?;
        self.leaving.store(true, Ordering::Relaxed);
        let ordered = client.order(Request::Shutdown).await;
        if ordered.is_err() {
            self.leaving.store(false, Ordering::Relaxed);
        }
        Ok(ordered?)
    }
}
