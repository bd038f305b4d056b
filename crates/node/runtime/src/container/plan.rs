//! All decisions about a container, at once and without I/O: from what the kubelet, the image and the sandbox say to a plan
//! that a launch carries out.

use std::path::PathBuf;

use windlass_cri::{
    Code, ContainerConfig, Error, IdMapping, ImageRunConfig, NamespaceMode, Result, SandboxConfig, UserNamespace,
};

use crate::error::During;
use crate::launch::spec::{CgroupPlan, ContainerLaunch, IoPlan, MountSource, NamespacePlan, PidNamespace, ProcessPlan};
use crate::overlay::on_node;
use crate::spec::devices::Devices;
use crate::spec::mounts::{MountContext, plan as plan_mounts};
use crate::spec::user::ResolvedUser;
use crate::spec::{capabilities, program};

/// What a plan is made from.
pub(super) struct Inputs<'a> {
    pub(super) id: &'a str,
    pub(super) sandbox_id: &'a str,
    pub(super) sandbox: &'a SandboxConfig,
    pub(super) sandbox_namespaces: NamespacePlan,
    pub(super) config: &'a ContainerConfig,
    pub(super) image: &'a ImageRunConfig,
    pub(super) user: ResolvedUser,
    pub(super) hostname: &'a str,
    pub(super) devices: Devices,
    pub(super) mounts: MountContext,
    pub(super) cgroup: CgroupPlan,
    pub(super) root_mount_point: PathBuf,
    pub(super) log_path: Option<PathBuf>,
    pub(super) available_capabilities: u64,
}

/// Refuses what contradicts the sandbox. Before anything is made for the container.
pub(super) fn check(sandbox: &SandboxConfig, config: &ContainerConfig) -> Result<()> {
    if config.metadata.name.is_empty() {
        return Err(Error::invalid("the container has no name"));
    }
    if config.security.privileged && !sandbox.privileged {
        return Err(Error::invalid("no privileged container allowed in sandbox"));
    }
    if config.security.namespaces.user != sandbox.namespaces.user {
        return Err(Error::invalid("user namespace config for sandbox is different from container"));
    }
    let shared = config.security.namespaces.pid == NamespaceMode::Pod;
    if shared && sandbox.namespaces.pid != NamespaceMode::Pod {
        return Err(Error::new(Code::FailedPrecondition, "the sandbox does not share its process IDs"));
    }
    check_id_maps(sandbox.namespaces.user.as_ref(), config)
}

/// Volumes are mapped through the sandbox's user namespace, so they must want the same numbers.
fn check_id_maps(user: Option<&UserNamespace>, config: &ContainerConfig) -> Result<()> {
    let none: &[IdMapping] = &[];
    let (uids, gids) = user.map_or((none, none), |user| (user.uids.as_slice(), user.gids.as_slice()));
    let differs = |mount: &windlass_cri::Mount| {
        let mapped = !(mount.uid_mappings.is_empty() && mount.gid_mappings.is_empty());
        mapped && (mount.uid_mappings != uids || mount.gid_mappings != gids)
    };
    match config.mounts.iter().find(|mount| differs(mount)) {
        Some(mount) => {
            let path = &mount.container_path;
            Err(Error::invalid(format!("the ID mappings of the mount to {path:?} are not those of the sandbox")))
        }
        None => Ok(()),
    }
}

/// The plan, but for the seccomp filter and AppArmor.
pub(super) fn plan(inputs: Inputs<'_>) -> Result<ContainerLaunch> {
    let Inputs { config, image, sandbox, .. } = inputs;
    let security = &config.security;
    let mounts = plan_mounts(&config.mounts, &inputs.mounts).during(Code::InvalidArgument, || "mounts".to_owned())?;
    let stream_owner = match &sandbox.namespaces.user {
        Some(user) => on_node(&user.uids, inputs.user.plan.uid).unwrap_or(inputs.user.plan.uid),
        None => inputs.user.plan.uid,
    };
    let invalid = |what: &str| what.to_owned();
    let home = &inputs.user.home;
    let process = ProcessPlan {
        args: program::arguments(config, image).during(Code::InvalidArgument, || invalid("command"))?,
        env: program::environment(config, image, inputs.hostname, home)
            .during(Code::InvalidArgument, || invalid("environment"))?,
        working_dir: program::working_dir(config, image)
            .during(Code::InvalidArgument, || invalid("working directory"))?,
        user: inputs.user.plan,
        capabilities: capabilities::resolve(
            &security.add_capabilities,
            &security.drop_capabilities,
            security.privileged,
            inputs.available_capabilities,
        ),
        no_new_privs: security.no_new_privs,
        seccomp: None,
        apparmor: None,
        oom_score_adj: i32::try_from(config.resources.oom_score_adj).ok(),
        stream_owner,
    };
    let hidden = |paths: &[String]| if security.privileged { Vec::new() } else { paths.to_vec() };
    let own_dev = mounts.own_dev;
    let devices = inputs.devices.nodes.into_iter().filter(|node| own_dev || !node.path.starts_with("/dev/"));
    Ok(ContainerLaunch {
        id: inputs.id.to_owned(),
        namespaces: NamespacePlan {
            pid: pid_namespace(&security.namespaces.pid, inputs.sandbox_id),
            own_cgroup: inputs.cgroup.v2.is_some() && !security.privileged,
            ..inputs.sandbox_namespaces
        },
        cgroup: inputs.cgroup,
        root_mount_point: inputs.root_mount_point,
        root_readonly: security.readonly_rootfs,
        devices: devices.collect(),
        links: mounts.links,
        writable_paths: writable_paths(image, &mounts.list),
        mounts: mounts.list,
        masked_paths: hidden(&security.masked_paths),
        readonly_paths: hidden(&security.readonly_paths),
        process,
        io: IoPlan {
            terminal: config.tty,
            stdin: config.stdin,
            stdin_once: config.stdin_once,
            log_path: inputs.log_path,
        },
    })
}

fn pid_namespace(mode: &NamespaceMode, sandbox_id: &str) -> PidNamespace {
    match mode {
        NamespaceMode::Pod => PidNamespace::Sandbox(sandbox_id.to_owned()),
        NamespaceMode::Container => PidNamespace::Own,
        NamespaceMode::Node => PidNamespace::Node,
        NamespaceMode::Target(container) => PidNamespace::Container(container.clone()),
    }
}

/// The image's volumes, but for those that the kubelet mounts something to.
fn writable_paths(image: &ImageRunConfig, mounts: &[crate::launch::spec::MountPlan]) -> Vec<String> {
    let normal = |path: &str| crate::sys::path::normal(std::path::Path::new(path));
    let mounted = |path: &str| {
        let binds = mounts.iter().filter(|plan| !matches!(plan.source, MountSource::Fresh { .. }));
        binds.into_iter().any(|plan| normal(&plan.target) == normal(path))
    };
    image.volumes.iter().filter(|path| !mounted(path)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use windlass_cri::{ContainerMetadata, Mount, Namespaces, SecurityContext};

    use super::*;

    fn config(security: SecurityContext) -> ContainerConfig {
        let metadata = ContainerMetadata { name: "c".to_owned(), attempt: 0 };
        ContainerConfig { metadata, security, ..ContainerConfig::default() }
    }

    #[test]
    fn what_contradicts_the_sandbox() {
        let own_pids = || Namespaces { pid: NamespaceMode::Container, ..Namespaces::default() };
        let sandbox = SandboxConfig { namespaces: own_pids(), ..SandboxConfig::default() };
        let fine = config(SecurityContext { namespaces: own_pids(), ..SecurityContext::default() });
        assert!(check(&sandbox, &fine).is_ok());
        assert!(check(&sandbox, &ContainerConfig::default()).is_err(), "no name");

        let privileged = SecurityContext { privileged: true, namespaces: own_pids(), ..SecurityContext::default() };
        assert_eq!(
            check(&sandbox, &config(privileged)).unwrap_err().message,
            "no privileged container allowed in sandbox"
        );
        assert_eq!(check(&sandbox, &config(SecurityContext::default())).unwrap_err().code, Code::FailedPrecondition);
        let user =
            Some(UserNamespace { uids: vec![IdMapping { host_id: 1, container_id: 0, length: 1 }], gids: vec![] });
        let mapped = SecurityContext { namespaces: Namespaces { user, ..own_pids() }, ..SecurityContext::default() };
        assert!(check(&sandbox, &config(mapped)).is_err());

        let mut volume = fine;
        let uid_mappings = vec![IdMapping { host_id: 7, container_id: 0, length: 1 }];
        volume.mounts.push(Mount { container_path: "/v".to_owned(), uid_mappings, ..Mount::default() });
        assert!(check(&sandbox, &volume).unwrap_err().message.contains("/v"));
    }

    #[test]
    fn pid_namespaces() {
        for (mode, wanted) in [
            (NamespaceMode::Pod, PidNamespace::Sandbox("s".to_owned())),
            (NamespaceMode::Container, PidNamespace::Own),
            (NamespaceMode::Node, PidNamespace::Node),
            (NamespaceMode::Target("c".to_owned()), PidNamespace::Container("c".to_owned())),
        ] {
            assert_eq!(pid_namespace(&mode, "s"), wanted);
        }
    }
}
