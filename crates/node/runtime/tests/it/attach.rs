//! Clients at the streams of a container's first process.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use windlass_cri::{AttachRequest, Code, ContainerConfig, Reader, RuntimeService, TerminalSize};

use crate::support::{container, log_text, on_node, shell, strings, until};

fn request(id: &str) -> AttachRequest {
    AttachRequest { container_id: id.to_owned(), stdin: true, stdout: true, stderr: true }
}

async fn read_until(reader: &mut Reader, wanted: &str) -> String {
    let mut said = String::new();
    while !said.contains(wanted) {
        let mut chunk = [0; 1000];
        let count = reader.read(&mut chunk).await.unwrap();
        assert!(count > 0, "the stream ended before {wanted:?}: {said:?}");
        said.push_str(std::str::from_utf8(&chunk[..count]).unwrap());
    }
    said
}

#[test]
fn several_clients_hear_the_same() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let config = ContainerConfig { stdin: true, ..shell("c", "echo before; cat; echo after >&2; exit 7") };
            let id = node.start(&sandbox, config).await;
            let log = node.logs().join("c.log");
            until("the first line", || async { log_text(&log).contains("before").then_some(()) }).await;

            let mut first = node.runtime().attach(request(&id)).await.unwrap();
            let listener = AttachRequest { stdin: false, ..request(&id) };
            let mut second = node.runtime().attach(listener).await.unwrap();
            assert!(second.stdin.is_none() && second.resize.is_none());
            first.stdin.as_mut().unwrap().write_all(b"typed\n").await.unwrap();
            for session in [&mut first, &mut second] {
                // From now on: what was said before is in the log alone.
                assert_eq!(read_until(session.stdout.as_mut().unwrap(), "\n").await, "typed\n");
            }
            // A client that leaves does not end the container's input.
            drop(first);
            let mut third = node.runtime().attach(request(&id)).await.unwrap();
            third.stdin.as_mut().unwrap().write_all(b"again\n").await.unwrap();
            assert_eq!(read_until(third.stdout.as_mut().unwrap(), "\n").await, "again\n");
            node.runtime().exec_sync(&id, strings(&["sh", "-c", "kill $(ps | grep -v grep | grep ' cat' | head -1 | tr -s ' ' | sed 's/^ *//' | cut -d' ' -f1) || true"]), None, 1 << 20).await.unwrap();
            node.runtime().stop_container(&id, std::time::Duration::ZERO).await.unwrap();
            assert_eq!(third.exit.await.unwrap(), second.exit.await.unwrap());
            let mut rest = String::new();
            third.stdout.unwrap().read_to_string(&mut rest).await.unwrap();
            assert_eq!(log_text(&log), "before\ntyped\nagain\n");
            assert_eq!(node.runtime().attach(request(&id)).await.err().unwrap().code, Code::FailedPrecondition);
        })
    });
}

#[test]
fn input_once_ends_with_its_client() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let config = ContainerConfig { stdin: true, stdin_once: true, ..shell("c", "wc -c; exit 7") };
            let id = node.start(&sandbox, config).await;
            let mut session = node.runtime().attach(request(&id)).await.unwrap();
            let mut stdin = session.stdin.take().unwrap();
            stdin.write_all(&vec![b'x'; 300_000]).await.unwrap();
            drop(stdin);
            let mut said = String::new();
            session.stdout.unwrap().read_to_string(&mut said).await.unwrap();
            assert_eq!((said.trim(), session.exit.await.unwrap()), ("300000", 7));
        })
    });
}

#[test]
fn a_session_ends_with_its_input_and_the_container_goes_on() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let config = ContainerConfig { stdin: true, ..shell("c", "cat; echo closed") };
            let id = node.start(&sandbox, config).await;
            let mut first = node.runtime().attach(request(&id)).await.unwrap();
            let mut second = node.runtime().attach(request(&id)).await.unwrap();
            first.stdin.as_mut().unwrap().write_all(b"typed\n").await.unwrap();
            assert_eq!(read_until(first.stdout.as_mut().unwrap(), "\n").await, "typed\n");
            drop(first.stdin.take());
            let mut rest = String::new();
            first.stdout.unwrap().read_to_string(&mut rest).await.unwrap();
            assert_eq!(rest, "", "the session has ended, and the container has not been told");
            second.stdin.as_mut().unwrap().write_all(b"again\n").await.unwrap();
            assert_eq!(read_until(second.stdout.as_mut().unwrap(), "again\n").await, "typed\nagain\n");
            node.runtime().stop_container(&id, std::time::Duration::ZERO).await.unwrap();
        })
    });
}

#[test]
fn containers_without_input_see_its_end() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let id = node.start(&sandbox, container("c", &["cat"])).await;
            assert_eq!(node.ended(&id).await.exit_code, 0);
            let id = node.start(&sandbox, container("deaf", &["sleep", "1000"])).await;
            let mut session = node.runtime().attach(request(&id)).await.unwrap();
            session.stdin.as_mut().unwrap().write_all(b"nobody reads this").await.unwrap();
        })
    });
}

/// What the supervisor holds for a client before it reads no more.
const HELD_BYTES: u64 = 256 << 10;

#[test]
fn a_slow_client_loses_nothing() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let script = "while ! test -e /tmp/go; do sleep 0.01; done; seq 1 200000";
            let id = node.start(&sandbox, shell("c", script)).await;
            let mut session = node.runtime().attach(request(&id)).await.unwrap();
            node.runtime().exec_sync(&id, strings(&["touch", "/tmp/go"]), None, 1 << 20).await.unwrap();
            // The container waits for the client: far more is to be said than is held for it.
            let log = node.logs().join("c.log");
            let mut before = 0;
            until("it waits", || {
                let now = std::fs::metadata(&log).map_or(0, |log| log.len());
                let waits = now > HELD_BYTES && now == std::mem::replace(&mut before, now);
                async move { waits.then_some(()) }
            })
            .await;
            assert!(node.status(&id).await.pid.is_some());
            assert!(log_text(&log).lines().count() < 200_000, "it has said all that it has to say");
            let mut said = String::new();
            session.stdout.take().unwrap().read_to_string(&mut said).await.unwrap();
            assert_eq!(said.lines().count(), 200_000);
            assert_eq!(session.exit.await.unwrap(), 0);
            assert!(log_text(&log) == said, "the log has the same");
        })
    });
}

#[test]
fn containers_with_a_terminal() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let script =
                "test -t 1 && echo tty; ls -l /dev/console | head -c 1; echo; read name; echo hello $name; stty size";
            let config = ContainerConfig { stdin: true, tty: true, ..shell("c", script) };
            let id = node.start(&sandbox, config).await;
            let log = node.logs().join("c.log");
            until("it asks", || async { log_text(&log).contains("c\r\n").then_some(()) }).await;
            let mut session = node.runtime().attach(request(&id)).await.unwrap();
            assert!(session.stderr.is_none());
            session.resize.as_ref().unwrap().send(TerminalSize { width: 80, height: 25 }).await.unwrap();
            // The size is set when the channel has been emptied.
            until("the size is set", || async {
                let size = node
                    .runtime()
                    .exec_sync(&id, strings(&["sh", "-c", "stty size < /dev/console"]), None, 1 << 20)
                    .await;
                (size.unwrap().stdout == b"25 80\n").then_some(())
            })
            .await;
            session.stdin.as_mut().unwrap().write_all(b"pod\n").await.unwrap();
            let said = read_until(session.stdout.as_mut().unwrap(), "25 80").await;
            assert!(said.contains("hello pod\r\n"), "{said:?}");
            assert_eq!(node.ended(&id).await.exit_code, 0);
            assert!(log_text(&log).starts_with("tty\r\nc\r\n"));
        })
    });
}
