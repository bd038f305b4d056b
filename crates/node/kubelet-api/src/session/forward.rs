//! Port-forward: connects a client's channel to a port of a pod.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use windlass_cri::{Connection, RuntimeService};

use super::channel::Output;

const CHUNK_BYTES: usize = 32 << 10;

/// Whose ports are forwarded.
#[derive(Clone)]
pub(crate) struct Pod {
    pub runtime: Arc<dyn RuntimeService>,
    pub sandbox_id: String,
    pub uid: String,
}

/// One connection of the client.
pub(crate) struct Channels {
    pub input: mpsc::Receiver<Bytes>,
    pub output: Output,
    pub error: Output,
    pub gone: CancellationToken,
}

/// Forwards until both sides have ended, or one has failed; a failure is told on the error channel. Returns whether it went well.
pub(crate) async fn forward(pod: &Pod, port: u16, channels: Channels) -> bool {
    let Channels { input, output, error, gone } = channels;
    let work = async {
        match pod.runtime.port_forward(&pod.sandbox_id, port).await {
            Ok(connection) => {
                copy(connection, input, &output).await;
                None
            }
            Err(why) => Some(format!("error forwarding port {port} to pod {}, uid {}: {why}", pod.sandbox_id, pod.uid)),
        }
    };
    let failure = tokio::select! {
        failure = work => failure,
        () = gone.cancelled() => return true,
    };
    let went_well = failure.is_none();
    if let Some(text) = failure {
        tracing::debug!(port, error = text, "a port cannot be forwarded");
        let _ = error.send(Bytes::from(text)).await;
    }
    output.finish().await;
    error.finish().await;
    went_well
}

/// Copies both ways. The pod's end of it ends the whole; the client's only its own direction.
async fn copy(connection: Connection, mut input: mpsc::Receiver<Bytes>, output: &Output) {
    let Connection { mut reader, mut writer } = connection;
    let to_pod = async {
        while let Some(bytes) = input.recv().await {
            if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
                break;
            }
        }
        let _ = writer.shutdown().await;
        std::future::pending::<()>().await;
    };
    let to_client = async {
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
        loop {
            chunk.reserve(CHUNK_BYTES);
            match reader.read_buf(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    if output.send(chunk.split().freeze()).await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    tokio::select! {
        () = to_client => {}
        () = to_pod => {}
    }
}
