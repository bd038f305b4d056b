//! Running containers to their end: exit codes, logs, environment, errors.

use windlass_cri::{Code, ContainerConfig, ContainerState, RuntimeService};

use crate::support::{container, log_entries, log_text, on_node, shell, strings};

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
        })
    });
}
