//! Exec and attach: connects a process to a client until one of them ends.

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use windlass_cri::{Reader, Result as CriResult, Session, TerminalSize, Writer};

use super::channel::{Output, RemoteClient};
use super::status::Ending;

/// What is read of a process at once.
const CHUNK_BYTES: usize = 32 << 10;
/// Bounds what a client may send without it becoming a size.
const SIZE_BYTES_MAX: usize = 4 << 10;

/// What kind of session it is: an attached container's exit code is not the session's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Exec,
    Attach,
}

/// Runs the session that `begin` gives to its end, and tells the client how it ended. When the client goes, the session is dropped:
/// an exec'd process is killed, an attached container runs on.
pub(crate) async fn run(begin: impl Future<Output = CriResult<Session>>, kind: Kind, mut client: RemoteClient) {
    let gone = client.gone.clone();
    let work = async {
        let ending = match begin.await {
            Ok(session) => {
                if let Some(hello) = client.hello.take() {
                    let _ = hello.send(Bytes::new()).await;
                }
                connect(session, kind, &mut client).await
            }
            Err(error) => Ending::Failure(describe(kind, &error)),
        };
        tell(&client, &ending).await;
    };
    tokio::select! {
        () = work => {}
        () = gone.cancelled() => {}
    }
}

fn describe(kind: Kind, error: &windlass_cri::Error) -> String {
    match kind {
        Kind::Exec => format!("error executing command in container: {error}"),
        Kind::Attach => format!("error attaching to container: {error}"),
    }
}

async fn tell(client: &RemoteClient, ending: &Ending) {
    let text = if client.status_as_json { ending.status().to_string() } else { ending.text() };
    if !text.is_empty() {
        // When the client has gone nobody asks.
        let _ = client.error.send(Bytes::from(text)).await;
    }
}

async fn connect(session: Session, kind: Kind, client: &mut RemoteClient) -> Ending {
    let Session { stdin, stdout, stderr, resize, exit } = session;
    let input = feed(stdin, client.stdin.take());
    let sizes = resized(resize, client.resize.take());
    let outputs = async {
        tokio::join!(drain(stdout, client.stdout.as_ref()), drain(stderr, client.stderr.as_ref()));
    };
    let has_output = client.stdout.is_some() || client.stderr.is_some();
    let ended = async {
        match kind {
            Kind::Exec => {
                let (exit, ()) = tokio::join!(exit, outputs);
                match exit {
                    Ok(0) => Ending::Success,
                    Ok(code) => Ending::ExitCode(code),
                    Err(error) => Ending::Failure(describe(kind, &error)),
                }
            }
            Kind::Attach if has_output => {
                outputs.await;
                Ending::Success
            }
            Kind::Attach => {
                // Its code is in the pod's status.
                let _ = exit.await;
                Ending::Success
            }
        }
    };
    let beside = async {
        tokio::join!(input, sizes);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ending = ended => ending,
        () = beside => Ending::Success,
    }
}

/// Gives a process what the client types; the end of it too.
async fn feed(stdin: Option<Writer>, typed: Option<mpsc::Receiver<Bytes>>) {
    let (Some(mut stdin), Some(mut typed)) = (stdin, typed) else { return };
    while let Some(bytes) = typed.recv().await {
        if stdin.write_all(&bytes).await.is_err() || stdin.flush().await.is_err() {
            // The process has closed it; what is typed further is for nobody.
            while typed.recv().await.is_some() {}
            return;
        }
    }
    let _ = stdin.shutdown().await;
}

/// Sends the client what a process says. When the client does not want it any more it is read all the same, so that the process
/// does not hang.
async fn drain(from: Option<Reader>, to: Option<&Output>) {
    let Some(mut from) = from else { return };
    let mut to = to;
    let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
    loop {
        chunk.reserve(CHUNK_BYTES);
        match from.read_buf(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {
                let bytes = chunk.split().freeze();
                if let Some(output) = to
                    && output.send(bytes).await.is_err()
                {
                    to = None;
                }
            }
        }
    }
    if let Some(output) = to {
        output.finish().await;
    }
}

#[derive(Deserialize)]
struct Size {
    #[serde(rename = "Width")]
    width: u16,
    #[serde(rename = "Height")]
    height: u16,
}

async fn resized(to: Option<mpsc::Sender<TerminalSize>>, from: Option<mpsc::Receiver<Bytes>>) {
    let (Some(to), Some(mut from)) = (to, from) else { return };
    let mut received = Vec::new();
    while let Some(bytes) = from.recv().await {
        received.extend_from_slice(&bytes);
        for size in sizes(&mut received) {
            if to.send(size).await.is_err() {
                return;
            }
        }
    }
}

/// Takes the sizes out of what was received, which may end in the middle of one.
fn sizes(received: &mut Vec<u8>) -> Vec<TerminalSize> {
    let mut stream = serde_json::Deserializer::from_slice(received).into_iter::<Size>();
    let mut found = Vec::new();
    let mut broken = false;
    loop {
        match stream.next() {
            Some(Ok(Size { width, height })) if width > 0 && height > 0 => found.push(TerminalSize { width, height }),
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                broken = !error.is_eof();
                break;
            }
            None => break,
        }
    }
    let read = if broken { received.len() } else { stream.byte_offset() };
    received.drain(..read);
    if received.len() > SIZE_BYTES_MAX {
        received.clear();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_sizes() {
        let of = |width, height| TerminalSize { width, height };
        let cases: [(&[&str], &[TerminalSize]); 5] = [
            (&[r#"{"Width":80,"Height":24}"#], &[of(80, 24)]),
            (&[r#"{"Width":80,"Hei"#, r#"ght":24}{"Width":1,"Height":2}"#], &[of(80, 24), of(1, 2)]),
            (&["nonsense", r#"{"Width":1,"Height":2}"#], &[of(1, 2)]),
            (&[r#"{"Width":0,"Height":0}"#], &[]),
            (&[r#"{"Width":70000,"Height":1}"#], &[]),
        ];
        for (chunks, expected) in cases {
            let mut received = Vec::new();
            let mut found = Vec::new();
            for chunk in chunks {
                received.extend_from_slice(chunk.as_bytes());
                found.extend(sizes(&mut received));
            }
            assert_eq!(found, expected, "{chunks:?}");
        }
    }
}
