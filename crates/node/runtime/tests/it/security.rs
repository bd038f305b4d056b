//! Who a container is and what it may do, seen from inside.

use windlass_cri::{
    Code, ContainerConfig, Device, ImageSpec, RuntimeService, SecurityContext, SecurityProfile,
    SupplementalGroupsPolicy,
};

use crate::support::{Node, container, on_node, own_pids, strings};

fn with(security: SecurityContext) -> ContainerConfig {
    let security = SecurityContext { namespaces: own_pids(), ..security };
    ContainerConfig { security, ..container("c", &[]) }
}

/// Lines of /proc/self/status, as the first process and as an exec'd one have them.
async fn status_fields(node: &Node, sandbox: &str, fields: &str, config: ContainerConfig) -> String {
    let script = format!("grep -E '^({fields}):' /proc/self/status | tr -s '\\t ' ' '");
    let (code, said) = node.script(sandbox, &script, config.clone()).await;
    assert_eq!(code, 0, "{said}");
    let sleeper = ContainerConfig { command: strings(&["sleep", "1000"]), ..config };
    let id = node.start(sandbox, sleeper).await;
    let output = node.runtime().exec_sync(&id, strings(&["sh", "-c", &script]), None, 1 << 20).await.unwrap();
    node.runtime().remove_container(&id).await.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), said, "an exec'd process has the same");
    said
}

#[test]
fn users_and_groups() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let fields = "Uid|Gid|Groups";
            let said = status_fields(node, &sandbox, fields, with(SecurityContext::default())).await;
            assert_eq!(said, "Uid: 0 0 0 0\nGid: 0 0 0 0\nGroups: 0 \n");

            let image = ContainerConfig { image: ImageSpec::new("user"), ..with(SecurityContext::default()) };
            let said = status_fields(node, &sandbox, fields, image.clone()).await;
            assert_eq!(said, "Uid: 1000 1000 1000 1000\nGid: 1001 1001 1001 1001\nGroups: 50 1001 \n");
            let id = node.start(&sandbox, ContainerConfig { command: strings(&["true"]), ..image }).await;
            let user = node.status(&id).await.user.unwrap();
            assert_eq!((user.uid, user.gid, user.supplemental_groups), (1000, 1001, vec![50, 1001]));
            node.runtime().remove_container(&id).await.unwrap();

            let pod = SecurityContext {
                run_as_user: Some(4711),
                run_as_group: Some(3),
                supplemental_groups: vec![60_000],
                supplemental_groups_policy: SupplementalGroupsPolicy::Strict,
                ..SecurityContext::default()
            };
            let said = status_fields(node, &sandbox, fields, with(pod.clone())).await;
            assert_eq!(said, "Uid: 4711 4711 4711 4711\nGid: 3 3 3 3\nGroups: 3 60000 \n");
            // Not root any more: neither root's files nor others' are its own, but its streams are.
            let script =
                "touch /root/x 2>&1; touch /tmp/x && ls -n /tmp/x | tr -s ' ' | cut -d' ' -f3,4; echo x > /dev/stdout";
            let (_, said) = node.script(&sandbox, script, with(pod)).await;
            assert_eq!(said, "touch: /root/x: Permission denied\n4711 3\nx\n");

            let nobody = SecurityContext { run_as_username: "nobody".to_owned(), ..SecurityContext::default() };
            let config = ContainerConfig { command: strings(&["true"]), ..with(nobody) };
            let error = node.runtime().create_container(&sandbox, config).await.unwrap_err();
            assert_eq!(error.code, Code::InvalidArgument);
            assert!(error.message.contains("unable to find user nobody"), "{error}");
        })
    });
}

#[test]
fn capabilities() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let fields = "CapInh|CapPrm|CapEff|CapBnd|CapAmb";
            let sets = |permitted: u64, bounding: u64| {
                format!(
                    "CapInh: {:016x}\nCapPrm: {permitted:016x}\nCapEff: {permitted:016x}\nCapBnd: {bounding:016x}\nCapAmb: {:016x}\n",
                    0, 0
                )
            };
            const USUAL: u64 = 0xa804_25fb;
            let said = status_fields(node, &sandbox, fields, with(SecurityContext::default())).await;
            assert_eq!(said, sets(USUAL, USUAL));

            let web = SecurityContext { run_as_user: Some(1000), ..SecurityContext::default() };
            let said = status_fields(node, &sandbox, fields, with(web)).await;
            assert_eq!(said, sets(0, USUAL), "who is not root has none");

            let narrow = SecurityContext {
                add_capabilities: strings(&["NET_ADMIN"]),
                drop_capabilities: strings(&["ALL"]),
                // A filter must not leave the capability behind that installing it takes.
                seccomp: SecurityProfile::RuntimeDefault,
                ..SecurityContext::default()
            };
            let said = status_fields(node, &sandbox, fields, with(narrow.clone())).await;
            assert_eq!(said, sets(1 << 12, 1 << 12));
            let (_, said) = node.script(&sandbox, "chown 5 /tmp 2>&1; hostname x 2>&1", with(narrow)).await;
            assert_eq!(said, "chown: /tmp: Operation not permitted\nhostname: sethostname: Operation not permitted\n");
        })
    });
}

#[test]
fn seccomp() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let fields = "NoNewPrivs|Seccomp";
            let unconfined = status_fields(node, &sandbox, fields, with(SecurityContext::default())).await;
            assert_eq!(unconfined, "NoNewPrivs: 0\nSeccomp: 0\n");
            let default = SecurityContext { seccomp: SecurityProfile::RuntimeDefault, ..SecurityContext::default() };
            let said = status_fields(node, &sandbox, fields, with(default.clone())).await;
            assert_eq!(said, "NoNewPrivs: 0\nSeccomp: 2\n");
            let both = SecurityContext { no_new_privs: true, run_as_user: Some(1000), ..default.clone() };
            assert_eq!(status_fields(node, &sandbox, fields, with(both)).await, "NoNewPrivs: 1\nSeccomp: 2\n");

            // Allowed without the filter, forbidden with it.
            let script = "unshare -U true 2>&1 && echo allowed";
            let (_, said) = node.script(&sandbox, script, with(SecurityContext::default())).await;
            assert_eq!(said, "allowed\n");
            let (_, said) = node.script(&sandbox, script, with(default)).await;
            assert_eq!(said, "unshare: unshare(0x10000000): Operation not permitted\n");

            let profile = node.directory.join("profile.json");
            let text = r#"{"defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
                             {"names": ["capset", "setuid", "setgroups"], "action": "SCMP_ACT_ERRNO"}]}"#;
            std::fs::write(&profile, text).unwrap();
            let localhost = |path: &str| SecurityContext {
                seccomp: SecurityProfile::Localhost(path.to_owned()),
                run_as_user: Some(1000),
                ..SecurityContext::default()
            };
            let script = "mkdir /tmp/x 2>&1; id -u";
            let (_, said) = node.script(&sandbox, script, with(localhost(profile.to_str().unwrap()))).await;
            assert_eq!(said, "mkdir: can't create directory '/tmp/x': No space left on device\n1000\n");
            let config = ContainerConfig { command: strings(&["true"]), ..with(localhost("/no/such.json")) };
            let error = node.runtime().create_container(&sandbox, config).await.unwrap_err();
            assert!(error.message.contains("cannot read seccomp profile /no/such.json"), "{error}");
        })
    });
}

#[test]
fn hidden_and_read_only_paths() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let hidden = SecurityContext {
                masked_paths: strings(&[
                    "/proc/kcore",
                    "/proc/keys",
                    "/sys/firmware",
                    "/proc/acpi",
                    "/no/such",
                    "/data",
                ]),
                readonly_paths: strings(&["/proc/sys", "/proc/irq", "/no/such", "/etc"]),
                ..SecurityContext::default()
            };
            let script = "cat /proc/keys | wc -c; ls /data /sys/firmware | grep -c base; echo 0 > /proc/sys/kernel/sem; touch /etc/x; \
                          touch /data/x; touch /fine && echo fine; mount -o remount,rw /proc/sys";
            let (_, said) = node.script(&sandbox, &format!("({script}) 2>&1"), with(hidden)).await;
            let lines: Vec<&str> = said.lines().collect();
            assert_eq!(&lines[..2], ["0", "0"], "{said}");
            assert!(lines[2].contains("Read-only file system"), "{said}");
            assert!(lines[3].contains("/etc/x: Read-only file system"), "{said}");
            assert!(lines[4].contains("/data/x: Read-only file system"), "{said}");
            assert_eq!(lines[5], "fine");
            assert!(lines[6].contains("permission denied"), "{said}");

            let readonly = SecurityContext { readonly_rootfs: true, ..SecurityContext::default() };
            let script =
                "touch /x 2>&1; touch /dev/shm/x && echo shm; echo x > /etc/hostname; touch /data/x && echo volume";
            let (_, said) = node.script(&sandbox, &format!("({script}) 2>&1"), with(readonly.clone())).await;
            assert!(said.starts_with("touch: /x: Read-only file system\nshm\n"), "{said}");
            assert!(said.contains("/etc/hostname: Read-only file system") && !said.contains("volume"), "{said}");
            // Volumes that the image declares stay writable.
            let volume = ContainerConfig { image: ImageSpec::new("declares-volume"), ..with(readonly) };
            let (code, said) = node.script(&sandbox, "cat /data/base; echo x > /data/x && cat /data/x", volume).await;
            assert_eq!((code, said.as_str()), (0, "from the base\nx\n"));
        })
    });
}

#[test]
fn devices() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            // Made, because that is allowed, but not opened; and the usual ones work.
            let script = "mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg 2>&1; head -c 3 /dev/zero | wc -c; echo x > /dev/null; ls /dev/kmsg 2>&1; \
                          mount | grep -c 'devpts on /dev/pts'";
            let (_, said) = node.script(&sandbox, script, with(SecurityContext::default())).await;
            assert_eq!(
                said,
                "head: /tmp/kmsg: Operation not permitted\n3\nls: /dev/kmsg: No such file or directory\n1\n"
            );

            // Any device that opens for who may, and that is none of the usual ones.
            let known = ["/dev/fuse", "/dev/loop-control", "/dev/net/tun", "/dev/kvm"];
            let host_path = known.into_iter().find(|path| std::fs::File::open(path).is_ok()).expect("a device to use");
            let device = Device {
                container_path: "/dev/own/device".to_owned(),
                host_path: host_path.to_owned(),
                permissions: "r".to_owned(),
            };
            let config = ContainerConfig { devices: vec![device], ..with(SecurityContext::default()) };
            let script = "(: < /dev/own/device) && echo read; (: > /dev/own/device) 2>&1";
            let (_, said) = node.script(&sandbox, script, config).await;
            assert!(said.starts_with("read\n") && said.contains("Operation not permitted"), "{said}");
        })
    });
}

#[test]
fn privileged_containers() {
    on_node(|node| {
        Box::pin(async move {
            let ordinary = node.sandbox().await;
            let privileged = SecurityContext {
                privileged: true,
                seccomp: SecurityProfile::RuntimeDefault,
                masked_paths: strings(&["/proc/keys"]),
                ..SecurityContext::default()
            };
            let config = ContainerConfig { command: strings(&["true"]), ..with(privileged.clone()) };
            let refused = node.runtime().create_container(&ordinary, config).await.unwrap_err();
            assert_eq!(refused.message, "no privileged container allowed in sandbox");

            let mut config = node.sandbox_config("privileged");
            config.privileged = true;
            let sandbox = node.sandbox_of(config).await;
            let said = status_fields(node, &sandbox, "Seccomp|CapEff", with(privileged.clone())).await;
            let own = std::fs::read_to_string("/proc/self/status").unwrap();
            let own = own.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
            assert_eq!(said, format!("CapEff: {own}\nSeccomp: 0\n"));
            let script = "mount -t tmpfs none /data && touch /data/x && echo mounted; test -c /dev/kmsg && echo device; \
                          touch /sys/fs/cgroup/*/notify_on_release 2>/dev/null; mount | grep ' /sys ' | grep -c rw";
            let (_, said) = node.script(&sandbox, script, with(privileged)).await;
            assert_eq!(said, "mounted\ndevice\n1\n");
        })
    });
}
