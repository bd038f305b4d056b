//! Ending containers: asked first, forced then.

use std::time::{Duration, Instant};

use windlass_cri::{ContainerConfig, NamespaceMode, Namespaces, RuntimeService, SecurityContext};

use crate::support::{PATIENCE, container, log_text, on_node, shell, until};

async fn until_ready(node: &crate::support::Node, name: &str) {
    let log = node.logs().join(format!("{name}.log"));
    until("the container is ready", || async { log_text(&log).contains("ready").then_some(()) }).await;
}

#[test]
fn a_container_may_end_by_itself() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let polite = shell("polite", "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.01; done");
            let id = node.start(&sandbox, polite).await;
            until_ready(node, "polite").await;
            node.runtime().stop_container(&id, PATIENCE).await.unwrap();
            let status = node.ended(&id).await;
            assert_eq!((status.exit_code, status.reason.as_str()), (5, "Error"));
            assert_eq!(log_text(status.log_path.as_ref()), "ready\nbye\n");
            node.runtime().stop_container(&id, PATIENCE).await.unwrap();

            let script = "trap 'exit 6' USR1; trap '' TERM; echo ready; while :; do sleep 0.01; done";
            let own_signal = ContainerConfig { stop_signal: Some("SIGUSR1".to_owned()), ..shell("signal", script) };
            let id = node.start(&sandbox, own_signal).await;
            until_ready(node, "signal").await;
            node.runtime().stop_container(&id, PATIENCE).await.unwrap();
            assert_eq!(node.ended(&id).await.exit_code, 6);
        })
    });
}

#[test]
fn a_stubborn_container_is_killed() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let script = "trap '' TERM; echo ready; while :; do sleep 0.01; done";
            let id = node.start(&sandbox, shell("stubborn", script)).await;
            until_ready(node, "stubborn").await;
            node.runtime().stop_container(&id, Duration::from_millis(20)).await.unwrap();
            assert_eq!(node.ended(&id).await.exit_code, 137);

            // The impatient caller wins.
            let id = node.start(&sandbox, shell("patient", script)).await;
            until_ready(node, "patient").await;
            let begun = Instant::now();
            let runtime = node.runtime();
            let (patient, impatient) =
                tokio::join!(runtime.stop_container(&id, PATIENCE * 10), runtime.stop_container(&id, Duration::ZERO));
            patient.and(impatient).unwrap();
            assert!(begun.elapsed() < PATIENCE);
        })
    });
}

#[test]
fn no_process_survives() {
    on_node(|node| {
        Box::pin(async move {
            let modes = [NamespaceMode::Container, NamespaceMode::Pod, NamespaceMode::Node];
            for (number, pid) in modes.into_iter().enumerate() {
                let mut config = node.sandbox_config(&format!("pod-{number}"));
                config.namespaces = Namespaces { pid, ..Namespaces::default() };
                let namespaces = config.namespaces.clone();
                let sandbox = node.sandbox_of(config).await;
                let security = SecurityContext { namespaces, ..SecurityContext::default() };
                let script = "setsid sleep 985 & setsid sleep 985 & echo ready; sleep 985";
                for (name, killed) in [("killed", true), ("ends", false)] {
                    let name = format!("{name}-{number}");
                    let script = if killed { script.to_owned() } else { format!("{script} & exit 0") };
                    let config = ContainerConfig { security: security.clone(), ..shell(&name, &script) };
                    let id = node.start(&sandbox, config).await;
                    until_ready(node, &name).await;
                    if killed {
                        node.runtime().stop_container(&id, Duration::ZERO).await.unwrap();
                    }
                    let status = node.ended(&id).await;
                    assert_eq!(status.exit_code, if killed { 137 } else { 0 }, "{name}");
                    until("all of them are gone", || async {
                        let left = node.processes().into_iter().any(|(_, command)| command.contains("985"));
                        (!left).then_some(())
                    })
                    .await;
                }
            }
        })
    });
}

#[test]
fn a_stopped_sandbox_ends_its_containers() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let ids = [
                node.start(&sandbox, container("a", &["sleep", "1000"])).await,
                node.start(&sandbox, container("b", &["sleep", "1000"])).await,
            ];
            node.runtime().create_container(&sandbox, container("c", &["true"])).await.unwrap();
            node.runtime().stop_sandbox(&sandbox).await.unwrap();
            for id in &ids {
                assert_eq!(node.status(id).await.exit_code, 137);
            }
            node.runtime().remove_sandbox(&sandbox).await.unwrap();
            assert!(node.runtime().container_status(&ids[0]).await.unwrap_err().is_not_found());
        })
    });
}
