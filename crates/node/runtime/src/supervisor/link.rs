//! The daemon's connection to its supervisor: made when needed, made again when lost.

use std::ffi::OsString;
use std::path::PathBuf;

use tokio::sync::{Mutex, mpsc};

use super::client::{Client, ClientError};
use super::protocol::Event;
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
    news: mpsc::Sender<News>,
}

impl Link {
    pub(crate) fn new(root: PathBuf, command: Vec<OsString>, news: mpsc::Sender<News>) -> Self {
        Self { root, command, client: Mutex::new(None), news }
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
        let news = self.news.clone();
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if news.send(News::Event(event)).await.is_err() {
                    return;
                }
            }
            let _ = news.send(News::Lost).await;
        });
        *current = Some(client.clone());
        Ok(client)
    }
}
