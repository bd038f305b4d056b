//! Running containers to their end: exit codes, logs, environment, errors.

use std::path::Path;

use futures::StreamExt;
use windlass_cri::{
    Code, ContainerConfig, ContainerEventKind, ContainerFilter, ContainerState, ImageSpec, RuntimeService,
    SandboxFilter, SandboxState,
};

use crate::support::{container, log_entries, log_text, on_node, shell, strings, until};

#[test]
fn a_container_runs_to_its_end() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let id = node.start(&sandbox, shell("hello", "echo out; echo err >&2; exit 3")).await;
            let status = node.ended(&id).await;
            assert_eq!((status.exit_code, status.reason.as_str()), (3, "Error"));
            assert!(status.started_at <= status.finished_at && status.container.created_at <= status.started_at);
            let entries = log_entries(status.log_path.as_ref());
            let mut said: Vec<(&str, &str)> = entries.iter().map(|e| (e.stream.as_str(), e.text.as_str())).collect();
            said.sort_unstable();
            assert_eq!(said, [("stderr", "err"), ("stdout", "out")]);
            assert!(entries.iter().all(|entry| entry.full && entry.at.len() == "2026-11-21T06:20:00.123456789Z".len()));

            let id = node.start(&sandbox, container("fine", &["true"])).await;
            let status = node.ended(&id).await;
            assert_eq!((status.exit_code, status.reason.as_str()), (0, "Completed"));
            assert_eq!(status.container.state, ContainerState::Exited);

            let id = node.start(&sandbox, shell("signalled", "kill -9 $$; sleep 60")).await;
            // The first process of a pid namespace is deaf to its own signals: it ends when it has slept.
            node.runtime().stop_container(&id, std::time::Duration::ZERO).await.unwrap();
            assert_eq!(node.ended(&id).await.exit_code, 137);
        })
    });
}

#[test]
fn states_lists_and_events() {
    on_node(|node| {
        Box::pin(async move {
            let runtime = node.runtime();
            let events = runtime.events();
            let mut config = node.sandbox_config("pod");
            config.labels.insert("app".to_owned(), "web".to_owned());
            let sandbox = node.sandbox_of(config).await;
            let status = runtime.sandbox_status(&sandbox).await.unwrap();
            assert_eq!(
                (status.sandbox.state, status.ips.as_slice()),
                (SandboxState::Ready, &["192.0.2.1".to_owned()][..])
            );

            let id = runtime.create_container(&sandbox, container("c", &["sleep", "1000"])).await.unwrap();
            assert_eq!(node.status(&id).await.container.state, ContainerState::Created);
            let again = runtime.create_container(&sandbox, container("c", &["true"])).await.unwrap_err();
            assert_eq!(again.code, Code::AlreadyExists);
            runtime.start_container(&id).await.unwrap();
            let status = node.status(&id).await;
            assert_eq!(status.container.state, ContainerState::Running);
            assert!(status.pid.is_some() && status.exit_code == 0 && status.finished_at == 0);
            assert_eq!(status.container.image_ref, "test.invalid/busybox@sha256:1");
            assert_eq!(status.stop_signal.as_deref(), Some("SIGTERM"));
            assert_eq!(runtime.start_container(&id).await.unwrap_err().code, Code::FailedPrecondition);

            let running = ContainerFilter { state: Some(ContainerState::Running), ..ContainerFilter::default() };
            assert_eq!(runtime.list_containers(running).await.unwrap().len(), 1);
            let other =
                SandboxFilter { labels: [("app".to_owned(), "db".to_owned())].into(), ..SandboxFilter::default() };
            assert!(runtime.list_sandboxes(other).await.unwrap().is_empty());
            // By the beginning of its ID, as people type it.
            assert_eq!(runtime.container_status(&id[..12]).await.unwrap().container.id, id);
            assert!(runtime.container_status("0123456789").await.unwrap_err().is_not_found());

            runtime.remove_container(&id).await.unwrap();
            runtime.remove_container(&id).await.unwrap();
            runtime.stop_sandbox(&sandbox).await.unwrap();
            runtime.stop_sandbox(&sandbox).await.unwrap();
            assert_eq!(runtime.sandbox_status(&sandbox).await.unwrap().sandbox.state, SandboxState::NotReady);
            let late = runtime.create_container(&sandbox, container("late", &["true"])).await.unwrap_err();
            assert_eq!(late.code, Code::FailedPrecondition);
            runtime.remove_sandbox(&sandbox).await.unwrap();
            runtime.remove_sandbox(&sandbox).await.unwrap();
            assert!(runtime.list_sandboxes(SandboxFilter::default()).await.unwrap().is_empty());

            use ContainerEventKind::{Created, Deleted, Started, Stopped};
            let seen: Vec<_> = events.take(8).map(|event| (event.container_id == sandbox, event.kind)).collect().await;
            assert_eq!(
                seen,
                [
                    (true, Created),
                    (true, Started),
                    (false, Created),
                    (false, Started),
                    (false, Stopped),
                    (false, Deleted),
                    (true, Stopped),
                    (true, Deleted),
                ]
            );
        })
    });
}

#[test]
fn arguments_environment_and_place() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let config = ContainerConfig {
                envs: vec![("FROM".to_owned(), "pod".to_owned()), ("B".to_owned(), "a b=c".to_owned())],
                working_dir: "/made/for/it".to_owned(),
                ..container("c", &[])
            };
            let script = "echo $FROM/$B/$HOSTNAME/$HOME/$PATH; pwd; hostname; cat /etc/hostname; echo \"$0\"";
            let (code, said) = node.script(&sandbox, script, config).await;
            assert_eq!((code, said.as_str()), (0, "pod/a b=c/pod//root//bin\n/made/for/it\npod\npod\n/bin/sh\n"));

            // The command comes from the image.
            let config = ContainerConfig { args: strings(&["sh", "-c", "exit 9"]), ..container("image", &[]) };
            let id = node.start(&sandbox, config).await;
            assert_eq!(node.ended(&id).await.exit_code, 9);
            assert_eq!(node.says(&sandbox, "cat /etc/replaced /data/base").await, "upper\nfrom the base\n");
            assert_eq!(
                node.says(&sandbox, "umask; ls -d /dev/fd/; ls -l /dev/ptmx | grep -c pts/ptmx").await,
                "0022\n/dev/fd/\n1\n"
            );
        })
    });
}

#[test]
fn long_and_unfinished_lines() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let script = "head -c 40000 /dev/zero | tr '\\0' x; echo; printf rest";
            let id = node.start(&sandbox, shell("c", script)).await;
            let status = node.ended(&id).await;
            let entries = log_entries(status.log_path.as_ref());
            let lengths: Vec<(bool, usize)> = entries.iter().map(|e| (e.full, e.text.len())).collect();
            assert_eq!(lengths, [(false, 16384), (false, 16384), (true, 40000 - 2 * 16384), (false, 4)]);
        })
    });
}

#[test]
fn much_output_is_complete() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let said = node.says(&sandbox, "seq 1 200000").await;
            let wanted: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
            assert!(said == wanted, "{} bytes instead of {}", said.len(), wanted.len());
        })
    });
}

#[test]
fn what_cannot_be_started() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            for (name, command, wanted) in [
                ("absent", &["no-such-program"][..], r#"exec: "no-such-program": executable file not found in $PATH"#),
                ("path", &["/no/such"], r#"exec: "/no/such": stat /no/such: no such file or directory"#),
                ("text", &["/not-executable"], r#"exec: "/not-executable": permission denied"#),
                ("folder", &["/etc"], r#"exec: "/etc": is a directory"#),
            ] {
                let id = node.runtime().create_container(&sandbox, container(name, command)).await.unwrap();
                let error = node.runtime().start_container(&id).await.unwrap_err();
                assert_eq!(error.code, Code::InvalidArgument, "{error}");
                assert!(error.message.ends_with(wanted), "{error}");
                let status = node.status(&id).await;
                assert_eq!(
                    (status.container.state, status.exit_code, status.reason.as_str()),
                    (ContainerState::Exited, 128, "StartError")
                );
                assert!(status.message.ends_with(wanted) && status.finished_at != 0);
                node.runtime().remove_container(&id).await.unwrap();
            }
            let missing = ContainerConfig { image: ImageSpec::new("missing"), ..container("c", &["true"]) };
            assert!(node.runtime().create_container(&sandbox, missing).await.unwrap_err().is_not_found());
            let relative = ContainerConfig { working_dir: "tmp".to_owned(), ..container("c", &["true"]) };
            assert_eq!(
                node.runtime().create_container(&sandbox, relative).await.unwrap_err().code,
                Code::InvalidArgument
            );
            // A failed create leaves its name free.
            node.start(&sandbox, container("c", &["true"])).await;
        })
    });
}

#[test]
fn a_failed_sandbox_leaves_nothing() {
    on_node(|node| {
        Box::pin(async move {
            let config = node.sandbox_config("no-network");
            let error = node.runtime().run_sandbox(config.clone(), "").await.unwrap_err();
            assert!(error.message.contains("no address is left"), "{error}");
            assert!(node.runtime().list_sandboxes(SandboxFilter::default()).await.unwrap().is_empty());
            assert_eq!(std::fs::read_dir(node.options.root.join("sandboxes")).unwrap().count(), 0);
            let unknown = node.runtime().run_sandbox(node.sandbox_config("pod"), "gvisor").await.unwrap_err();
            assert_eq!(unknown.code, Code::InvalidArgument);
            let first = node.sandbox().await;
            let twice = node.runtime().run_sandbox(node.sandbox_config("pod"), "").await.unwrap_err();
            assert_eq!(twice.code, Code::AlreadyExists);
            node.runtime().remove_sandbox(&first).await.unwrap();
            node.sandbox().await;
        })
    });
}

#[test]
fn logs_are_rotated_and_stay() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let script = "echo first; while ! test -e /tmp/go; do sleep 0.01; done; echo second; sleep 1000";
            let id = node.start(&sandbox, shell("c", script)).await;
            let path = node.logs().join("c.log");
            until("the first line", || async { log_text(&path).contains("first").then_some(()) }).await;
            let old = node.logs().join("c.log.1");
            std::fs::rename(&path, &old).unwrap();
            node.runtime().reopen_container_log(&id).await.unwrap();
            node.runtime().exec_sync(&id, strings(&["touch", "/tmp/go"]), None, 1 << 20).await.unwrap();
            until("the second line", || async { log_text(&path).contains("second").then_some(()) }).await;
            assert_eq!(log_text(&old), "first\n");
            node.runtime().remove_container(&id).await.unwrap();
            assert!(Path::new(&path).exists(), "the log is the kubelet's");
        })
    });
}

#[test]
fn version_and_status() {
    on_node(|node| {
        Box::pin(async move {
            let version = node.runtime().version().await.unwrap();
            assert_eq!((version.runtime_name.as_str(), version.runtime_api_version.as_str()), ("windlass", "v1"));
            let status = node.runtime().status().await.unwrap();
            assert!(status.conditions.iter().all(|condition| condition.status), "{status:?}");
            assert!(status.supplemental_groups_policy && status.handlers[0].recursive_read_only_mounts);
            node.runtime().update_pod_cidr("10.0.0.0/24").await.unwrap();
        })
    });
}
