//! Commands in running containers: to their end, with streams, in terminals.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use windlass_cri::{Code, ExecRequest, RuntimeService, TerminalSize};

use crate::support::{PATIENCE, container, on_node, shell, strings, until};

#[test]
fn commands_run_to_their_end() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let id = node.start(&sandbox, shell("c", "export SECRET=1; cd /tmp; sleep 1000")).await;
            let run =
                |script: &str| node.runtime().exec_sync(&id, strings(&["sh", "-c", script]), Some(PATIENCE), 1 << 20);
            let output = run("echo out; echo err >&2; exit 5").await.unwrap();
            assert_eq!(
                (output.stdout.as_slice(), output.stderr.as_slice(), output.exit_code),
                (&b"out\n"[..], &b"err\n"[..], 5)
            );

            // It is in the container's namespaces, place and environment; the sleeper that it is next to is process 1.
            let output = run("pwd; hostname; echo $FROM; cat /proc/1/comm; cat /etc/replaced").await.unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), "/\npod\nimage\nsleep\nupper\n");
            let cgroup = run("cat /proc/self/cgroup").await.unwrap();
            assert!(String::from_utf8(cgroup.stdout).unwrap().contains(&id));

            let output = run("head -c 20000000 /dev/zero").await.unwrap();
            assert_eq!((output.stdout.len(), output.exit_code), (1 << 20, 0));

            // Children that hold the streams open do not hold up the answer for ever.
            let output = run("echo started; sleep 1000 &").await.unwrap();
            assert_eq!(output.stdout, b"started\n");
        })
    });
}

#[test]
fn a_command_that_takes_too_long_is_killed() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let id = node.start(&sandbox, container("c", &["sleep", "1000"])).await;
            let script = strings(&["sh", "-c", "sleep 987 & sleep 987"]);
            let error =
                node.runtime().exec_sync(&id, script, Some(Duration::from_millis(50)), 1 << 20).await.unwrap_err();
            assert_eq!(error.code, Code::DeadlineExceeded);
            until("the command and its children are gone", || async {
                let sleeping = node.processes().into_iter().any(|(_, command)| command.contains("987"));
                (!sleeping).then_some(())
            })
            .await;
        })
    });
}

#[test]
fn what_cannot_be_executed() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let id = node.runtime().create_container(&sandbox, container("c", &["sleep", "1000"])).await.unwrap();
            let exec = |command: &[&str]| node.runtime().exec_sync(&id, strings(command), None, 1 << 20);
            assert_eq!(exec(&["true"]).await.unwrap_err().code, Code::FailedPrecondition, "created");
            node.runtime().start_container(&id).await.unwrap();
            let error = exec(&["absent"]).await.unwrap_err();
            assert!(error.message.ends_with(r#"exec: "absent": executable file not found in $PATH"#), "{error}");
            assert_eq!(exec(&[]).await.unwrap_err().code, Code::InvalidArgument);
            node.runtime().stop_container(&id, Duration::ZERO).await.unwrap();
            assert_eq!(exec(&["true"]).await.unwrap_err().code, Code::FailedPrecondition, "stopped");
            let gone = node.runtime().exec_sync("0000000000", strings(&["true"]), None, 1 << 20).await.unwrap_err();
            assert!(gone.is_not_found());
        })
    });
}

fn request(id: &str, cmd: &[&str]) -> ExecRequest {
    ExecRequest { container_id: id.to_owned(), cmd: strings(cmd), stdin: true, stdout: true, stderr: true, tty: false }
}

#[test]
fn streams_go_both_ways() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let id = node.start(&sandbox, container("c", &["sleep", "1000"])).await;
            let mut session =
                node.runtime().exec(request(&id, &["sh", "-c", "wc -c; echo err >&2; exit 4"])).await.unwrap();
            let mut stdin = session.stdin.take().unwrap();
            tokio::spawn(async move {
                // More than a pipe holds.
                stdin.write_all(&vec![b'x'; 1_000_000]).await.unwrap();
                stdin.shutdown().await.unwrap();
            });
            let (mut out, mut err) = (String::new(), String::new());
            let (mut stdout, mut stderr) = (session.stdout.unwrap(), session.stderr.unwrap());
            let (read_out, read_err) = tokio::join!(stdout.read_to_string(&mut out), stderr.read_to_string(&mut err));
            read_out.and(read_err).unwrap();
            assert_eq!((out.trim(), err.as_str(), session.exit.await.unwrap()), ("1000000", "err\n", 4));

            let mut echo = node.runtime().exec(request(&id, &["cat"])).await.unwrap();
            let (mut stdin, mut stdout) = (echo.stdin.take().unwrap(), echo.stdout.take().unwrap());
            for text in ["one", "two"] {
                stdin.write_all(text.as_bytes()).await.unwrap();
                let mut back = [0; 3];
                stdout.read_exact(&mut back).await.unwrap();
                assert_eq!(&back, text.as_bytes());
            }
            drop(stdin);
            assert_eq!(echo.exit.await.unwrap(), 0);

            let silent = ExecRequest {
                stdin: false,
                stdout: false,
                stderr: false,
                ..request(&id, &["sh", "-c", "cat; echo x"])
            };
            let session = node.runtime().exec(silent).await.unwrap();
            assert!(session.stdin.is_none() && session.stdout.is_none() && session.stderr.is_none());
            assert_eq!(session.exit.await.unwrap(), 0);
        })
    });
}

#[test]
fn a_client_that_goes_away_takes_its_command_along() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let id = node.start(&sandbox, container("c", &["sleep", "1000"])).await;
            let session = node.runtime().exec(request(&id, &["sleep", "986"])).await.unwrap();
            let running = || node.processes().into_iter().any(|(_, command)| command.contains("986"));
            assert!(running());
            drop(session);
            until("the command is gone", || async { (!running()).then_some(()) }).await;
        })
    });
}

#[test]
fn terminals() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let id = node.start(&sandbox, container("c", &["sleep", "1000"])).await;
            let script = "trap 'stty size; exit 6' WINCH; echo $TERM; test -t 0 -a -t 1 && echo tty; while :; do sleep 0.01; done";
            let request = ExecRequest { tty: true, stderr: false, ..request(&id, &["sh", "-c", script]) };
            let both = ExecRequest { stderr: true, ..request.clone() };
            assert_eq!(node.runtime().exec(both).await.err().unwrap().code, Code::InvalidArgument);
            let mut session = node.runtime().exec(request).await.unwrap();
            assert!(session.stderr.is_none());
            let mut stdout = session.stdout.take().unwrap();
            let mut said = String::new();
            while !said.contains("tty") {
                let mut chunk = [0; 100];
                let count = stdout.read(&mut chunk).await.unwrap();
                assert!(count > 0, "{said:?}");
                said.push_str(std::str::from_utf8(&chunk[..count]).unwrap());
            }
            assert!(said.starts_with("xterm\r\n"), "{said:?}");
            session.resize.take().unwrap().send(TerminalSize { width: 132, height: 43 }).await.unwrap();
            stdout.read_to_string(&mut said).await.unwrap();
            assert!(said.ends_with("43 132\r\n"), "{said:?}");
            assert_eq!(session.exit.await.unwrap(), 6);

            let unheard = ["sh", "-c", "head -c 1000000 /dev/zero; exit 3"];
            let unheard = ExecRequest { tty: true, stdout: false, stderr: false, ..self::request(&id, &unheard) };
            assert_eq!(node.runtime().exec(unheard).await.unwrap().exit.await.unwrap(), 3);

            // The end of input, and an interrupt typed by the client.
            let cat = ExecRequest { tty: true, stderr: false, ..self::request(&id, &["cat"]) };
            let mut session = node.runtime().exec(cat.clone()).await.unwrap();
            session.stdin.as_mut().unwrap().shutdown().await.unwrap();
            assert_eq!(session.exit.await.unwrap(), 0);
            let mut session = node.runtime().exec(cat).await.unwrap();
            session.stdin.as_mut().unwrap().write_all(b"\x03").await.unwrap();
            assert_eq!(session.exit.await.unwrap(), 128 + 2);
        })
    });
}
