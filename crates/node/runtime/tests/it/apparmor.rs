//! AppArmor profiles: what they forbid, and who asks for them in vain.
//!
//! Many kernels come without AppArmor. `cargo xtask nightly apparmor` boots one that has it, and runs this module there.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures::future::BoxFuture;
use windlass_cri::{ContainerConfig, RuntimeService, SandboxConfig, SecurityContext, SecurityProfile};

use crate::support::{Node, on_node, own_pids, shell, strings};

const NAME: &str = "windlass-test-data";
/// Everything is allowed but to write to the image's data.
const POLICY: &str = "profile windlass-test-data flags=(attach_disconnected, mediate_deleted) {
  file,
  network,
  capability,
  signal,
  deny /data/** w,
}
";
const TELL: &str = "cat /proc/self/attr/current; (echo x > /data/base) 2>&1; echo x > /tmp/x && echo written";

fn is_enabled() -> bool {
    std::fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with('Y'))
}

/// Runs a test on a node whose kernel has AppArmor; says so where it has not.
fn on_confining_node(test: impl for<'a> FnOnce(&'a mut Node) -> BoxFuture<'a, ()>) {
    match is_enabled() {
        true => on_node(test),
        false => println!("skipped: this kernel has no AppArmor; cargo xtask nightly apparmor boots one that has"),
    }
}

fn parse(how: &str) {
    let mut command = Command::new("apparmor_parser");
    let mut parser = command.args([how, "--skip-cache"]).stdin(Stdio::piped()).spawn().unwrap();
    parser.stdin.take().unwrap().write_all(POLICY.as_bytes()).unwrap();
    assert!(parser.wait().unwrap().success(), "apparmor_parser {how}");
}

fn asking(profile: Option<SecurityProfile>) -> SecurityContext {
    SecurityContext { apparmor: profile, namespaces: own_pids(), ..SecurityContext::default() }
}

fn localhost(name: &str) -> Option<SecurityProfile> {
    Some(SecurityProfile::Localhost(name.to_owned()))
}

/// What a script says as the first process, and as one that is executed later, which must be the same.
async fn says(node: &Node, sandbox: &str, script: &str, security: SecurityContext) -> String {
    let config = ContainerConfig { security, ..shell("c", "sleep 1000") };
    let (_, said) = node.script(sandbox, script, config.clone()).await;
    let id = node.start(sandbox, config).await;
    let output = node.runtime().exec_sync(&id, strings(&["/bin/sh", "-c", script]), None, 1 << 20).await.unwrap();
    node.runtime().remove_container(&id).await.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), said, "an exec'd process is confined alike");
    said
}

async fn privileged_sandbox(node: &Node) -> String {
    node.sandbox_of(SandboxConfig { privileged: true, ..node.sandbox_config("privileged") }).await
}

#[test]
fn a_profile_of_the_node() {
    on_confining_node(|node| {
        Box::pin(async move {
            parse("--replace");
            let sandbox = node.sandbox().await;
            let confined = format!("{NAME} (enforce)\n/bin/sh: can't create /data/base: Permission denied\nwritten\n");
            for security in [
                asking(localhost(NAME)),
                asking(localhost(&format!("localhost/{NAME}"))),
                SecurityContext { no_new_privs: true, ..asking(localhost(NAME)) },
                SecurityContext { seccomp: SecurityProfile::RuntimeDefault, ..asking(localhost(NAME)) },
            ] {
                assert_eq!(says(node, &sandbox, TELL, security.clone()).await, confined, "{security:?}");
            }
            let privileged = SecurityContext { privileged: true, ..asking(localhost(NAME)) };
            assert_eq!(says(node, &privileged_sandbox(node).await, TELL, privileged).await, confined);
            let free = says(node, &sandbox, TELL, asking(Some(SecurityProfile::Unconfined))).await;
            assert_eq!(free, "unconfined\nwritten\n");
            parse("--remove");
            let config = ContainerConfig { security: asking(localhost(NAME)), ..shell("c", "true") };
            let error = node.runtime().create_container(&sandbox, config).await.unwrap_err();
            assert_eq!(error.message, format!("apparmor profile not found {NAME}"));
        })
    });
}

#[test]
fn the_default_profile() {
    on_confining_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let script = "cat /proc/self/attr/current; (mount -t tmpfs none /tmp && echo mounted) 2>&1; \
                          echo x > /data/base && echo written; sleep 1000 & kill $! && wait; echo $?";
            let powerful = |profile| SecurityContext {
                add_capabilities: strings(&["SYS_ADMIN"]),
                masked_paths: vec![],
                readonly_paths: vec![],
                ..asking(profile)
            };
            let confined =
                "windlass-default (enforce)\nmount: mounting none on /tmp failed: Permission denied\nwritten\n0\n";
            for profile in [None, Some(SecurityProfile::RuntimeDefault)] {
                assert_eq!(says(node, &sandbox, script, powerful(profile.clone())).await, confined, "{profile:?}");
            }
            let free = "unconfined\nmounted\nwritten\n0\n";
            let privileged = SecurityContext { privileged: true, ..asking(Some(SecurityProfile::RuntimeDefault)) };
            assert_eq!(says(node, &sandbox, script, powerful(Some(SecurityProfile::Unconfined))).await, free);
            assert_eq!(says(node, &privileged_sandbox(node).await, script, privileged).await, free);
            // The kernel's controls, although nothing masks them.
            let controls = "for file in /proc/sys/kernel/core_pattern /proc/sysrq-trigger; do \
                            (: < $file && : >> $file && echo open) 2>&1; done";
            let said = says(node, &sandbox, controls, powerful(None)).await;
            assert_eq!(said.matches("Permission denied").count(), 2, "{said}");
        })
    });
}

/// Signals come from the node, which is not confined.
#[test]
fn a_confined_container_is_stopped() {
    on_confining_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let script = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done";
            let config =
                ContainerConfig { security: asking(Some(SecurityProfile::RuntimeDefault)), ..shell("c", script) };
            let id = node.start(&sandbox, config).await;
            let log = node.logs().join("c.log");
            crate::support::until("the trap is set", || async {
                crate::support::log_text(&log).contains("ready").then_some(())
            })
            .await;
            node.runtime().stop_container(&id, Duration::from_secs(60)).await.unwrap();
            assert_eq!(node.ended(&id).await.exit_code, 7);
        })
    });
}

#[test]
fn a_kernel_without_it_refuses() {
    if is_enabled() {
        println!("not tried: this kernel has AppArmor, and the test is about kernels without it");
        return;
    }
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            for profile in [localhost("mine"), Some(SecurityProfile::RuntimeDefault)] {
                let config = ContainerConfig { security: asking(profile), ..shell("c", "true") };
                let error = node.runtime().create_container(&sandbox, config).await.unwrap_err();
                assert!(error.message.contains("apparmor is not supported"), "{error}");
            }
        })
    });
}
