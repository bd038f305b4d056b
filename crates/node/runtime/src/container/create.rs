//! Creating a container: everything is looked up and decided, its directory and root file system are made. Nothing runs yet.

use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use windlass_cri::{
    Code, ContainerConfig, ContainerEventKind, ContainerUser, Error, ImageRootfs, NamespaceMode, Result, SandboxConfig,
    SecurityProfile,
};
use windlass_tree::{Hierarchies, Mount};

use super::plan::{self, Inputs};
use super::{Container, Phase, apparmor};
use crate::core::Core;
use crate::error::{During, blocking};
use crate::launch::credentials::encode_filter;
use crate::launch::spec::{ContainerLaunch, MountPropagation, MountSource};
use crate::overlay::{self, Overlay};
use crate::record::Sandbox;
use crate::registry::container_name;
use crate::sandbox_config::{has_own_ipc, has_own_network, hostname};
use crate::spec::mounts::{CgroupView, MountContext};
use crate::spec::seccomp::{compile::compile, oci};
use crate::spec::user::UserFiles;
use crate::spec::{devices, program, user};
use crate::store::{self, ContainerFile};
use crate::sys::random;

/// Longest /etc/passwd or /etc/group that is read.
const USER_FILE_BYTES_MAX: u64 = 4 << 20;

pub(crate) async fn create(core: &Arc<Core>, sandbox_id: &str, mut config: ContainerConfig) -> Result<String> {
    let sandbox = core.sandbox(sandbox_id)?;
    let _operation = sandbox.operation.read().await;
    let sandbox_config = sandbox.state.lock().config.clone();
    if !sandbox.is_ready() {
        return Err(Error::new(Code::FailedPrecondition, format!("sandbox {:?} is not ready", sandbox.id)));
    }
    plan::check(&sandbox_config, &config)?;
    if let NamespaceMode::Target(target) = &mut config.security.namespaces.pid {
        // By its whole ID, whatever was typed.
        *target = check_target(core, target, &sandbox.id)?;
    }
    let id = random::identifier();
    let name = core.registry.reserve(container_name(&sandbox.id, &config.metadata), &id)?;
    let directory = core.container_directory(&id);
    match prepare(core, &sandbox, &sandbox_config, config, &id).await {
        Ok((file, root)) => {
            let container = Arc::new(Container::new(file, Phase::Created, sandbox_config.metadata.uid));
            *container.root.lock() = Some(root);
            core.registry.add_container(container.clone());
            name.keep();
            container.save_later(core).await?;
            core.events.send(&id, &sandbox.id, &container.pod_uid, ContainerEventKind::Created);
            Ok(id)
        }
        Err(error) => {
            blocking("remove the container's directory", move || store::remove(&directory)).await?;
            Err(error)
        }
    }
}

async fn prepare(
    core: &Arc<Core>,
    sandbox: &Arc<Sandbox>,
    sandbox_config: &SandboxConfig,
    config: ContainerConfig,
    id: &str,
) -> Result<(ContainerFile, OwnedFd)> {
    let image = core.images.rootfs(&config.image.image).await?;
    let image_mounts = resolve_image_mounts(core, &config).await?;
    let root = make_root(core, sandbox, sandbox_config, &image, id).await?;
    let (core_, sandbox_, sandbox_config_, id_) =
        (core.clone(), sandbox.clone(), sandbox_config.clone(), id.to_owned());
    // Files of the image, devices and mounts of the node are looked at: off the asynchronous threads.
    let decided = tokio::task::spawn_blocking(move || {
        let decide = Decide { core: &core_, sandbox: &sandbox_, sandbox_config: &sandbox_config_, id: &id_ };
        decide.file(config, &image, image_mounts, &root).map(|file| (file, root))
    });
    decided.await.map_err(|error| Error::internal(format!("create container {id}: {error}")))?
}

/// The layers of each image that is mounted as a volume, in the order of the mounts.
async fn resolve_image_mounts(core: &Core, config: &ContainerConfig) -> Result<Vec<Vec<PathBuf>>> {
    let mut all = Vec::new();
    for image in config.mounts.iter().filter_map(|mount| mount.image.as_ref()) {
        all.push(core.images.rootfs(&image.image).await?.layers);
    }
    Ok(all)
}

async fn make_root(
    core: &Core,
    sandbox: &Sandbox,
    config: &SandboxConfig,
    image: &ImageRootfs,
    id: &str,
) -> Result<OwnedFd> {
    let (directory, layers) = (core.container_directory(id), image.layers.clone());
    let owners = config.namespaces.user.as_ref().map(|user| (user.uids.clone(), user.gids.clone()));
    blocking("prepare the container's root file system", move || {
        let made = std::fs::DirBuilder::new().mode(0o700).create(&directory);
        made.map_err(|source| overlay::OverlayError::Writable { path: directory.clone(), source })?;
        overlay::prepare_writable(&directory, &layers, owners.as_ref())
    })
    .await?;
    let overlay = overlay_of(core, sandbox, &image.layers, Some(core.container_directory(id)));
    overlay.mount().await.internal("mount the container's root file system")
}

/// An image's file system as containers of a sandbox see it.
pub(super) fn overlay_of(core: &Core, sandbox: &Sandbox, layers: &[PathBuf], writable: Option<PathBuf>) -> Overlay {
    Overlay {
        layers: layers.to_vec(),
        writable,
        id_map: sandbox.namespaces(core).user,
        scratch: core.layout.mount_point(),
        empty: core.layout.empty(),
    }
}

struct Decide<'a> {
    core: &'a Core,
    sandbox: &'a Sandbox,
    sandbox_config: &'a SandboxConfig,
    id: &'a str,
}

impl Decide<'_> {
    fn file(
        &self,
        config: ContainerConfig,
        image: &ImageRootfs,
        image_mounts: Vec<Vec<PathBuf>>,
        root: &OwnedFd,
    ) -> Result<ContainerFile> {
        let invalid = |what: &'static str| move || what.to_owned();
        let user = user::resolve(&config.security, &image.config.user, &read_user_files(root))
            .during(Code::InvalidArgument, invalid("user"))?;
        let stop_signal = program::stop_signal(config.stop_signal.as_deref(), &image.config.stop_signal)
            .during(Code::InvalidArgument, invalid("stop signal"))?;
        let log_path = match (self.sandbox_config.log_directory.as_str(), config.log_path.as_str()) {
            ("", _) | (_, "") => None,
            (directory, name) => Some(Path::new(directory).join(name)),
        };
        let container_user = ContainerUser {
            uid: user.plan.uid.into(),
            gid: user.plan.gid.into(),
            supplemental_groups: user.plan.groups.iter().map(|group| (*group).into()).collect(),
        };
        let cgroup = self.core.pod_cgroup(&self.sandbox_config.cgroup_parent).child(self.id);
        let devices = devices::collect(&config.devices, config.security.privileged)
            .during(Code::InvalidArgument, invalid("devices"))?;
        let policy = devices.policy.clone();
        let mut launch = plan::plan(Inputs {
            id: self.id,
            sandbox_id: &self.sandbox.id,
            sandbox: self.sandbox_config,
            sandbox_namespaces: self.sandbox.namespaces(self.core),
            config: &config,
            image: &image.config,
            user,
            hostname: &hostname(self.sandbox_config),
            devices,
            mounts: self.mount_context(&config),
            cgroup: cgroup.plan(),
            root_mount_point: self.core.layout.mount_point(),
            log_path: log_path.clone(),
            available_capabilities: self.core.available_capabilities,
        })?;
        launch.process.seccomp = self.filter(&config, launch.process.capabilities)?;
        let host = apparmor::Host::look();
        launch.process.apparmor = apparmor::profile(&config.security, &host)?;
        apparmor::load(launch.process.apparmor.as_deref(), &host)?;
        check_sources(&launch)?;
        Ok(ContainerFile {
            id: self.id.to_owned(),
            sandbox_id: self.sandbox.id.clone(),
            config,
            image_id: image.id.clone(),
            image_ref: image.image_ref.clone(),
            layers: image.layers.clone(),
            image_mounts,
            log_path: log_path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default(),
            stop_signal,
            user: container_user,
            launch,
            devices: policy,
            created_at: self.core.clock.now_nanos(),
            boot_id: self.core.boot_id.clone(),
            started_at: 0,
            exit: None,
        })
    }

    fn mount_context(&self, config: &ContainerConfig) -> MountContext {
        let layout = self.core.layout.sandbox(&self.sandbox.id);
        let cgroup = self.core.pod_cgroup(&self.sandbox_config.cgroup_parent).child(self.id);
        let view = match &*self.core.hierarchies {
            Hierarchies::V1(list) => CgroupView::V1(
                list.iter()
                    .map(|hierarchy| {
                        let name = hierarchy.mount_point.file_name().unwrap_or_default();
                        let directory = cgroup.directory(&hierarchy.mount_point);
                        (directory, name.to_string_lossy().into_owned(), hierarchy.controllers.clone())
                    })
                    .collect(),
            ),
            Hierarchies::V2(root) if config.security.privileged => CgroupView::V2Whole(root.clone()),
            Hierarchies::V2(_) => CgroupView::V2Own,
        };
        MountContext {
            privileged: config.security.privileged,
            readonly_root: config.security.readonly_rootfs,
            user_namespace: self.sandbox_config.namespaces.user.is_some(),
            node_network: !has_own_network(self.sandbox_config),
            cgroup: view,
            shm: if has_own_ipc(self.sandbox_config) { layout.shm() } else { PathBuf::from("/dev/shm") },
            hostname_file: layout.hostname(),
            resolv_conf: layout.resolv_conf(),
        }
    }

    fn filter(&self, config: &ContainerConfig, capabilities: u64) -> Result<Option<String>> {
        if config.security.privileged {
            return Ok(None);
        }
        match &config.security.seccomp {
            SecurityProfile::Unconfined => Ok(None),
            SecurityProfile::RuntimeDefault => self.core.default_filter(capabilities).map(Some),
            SecurityProfile::Localhost(path) => {
                let profile = oci::load(path).during(Code::InvalidArgument, || "seccomp".to_owned())?;
                let filter = compile(&profile).during(Code::InvalidArgument, || format!("seccomp profile {path}"))?;
                Ok(Some(encode_filter(&filter)))
            }
        }
    }
}

fn read_user_files(root: &OwnedFd) -> UserFiles {
    let read = |name: &str| {
        let text = windlass_tree::read_file(root, name.as_bytes(), windlass_tree::Links::InRoot, USER_FILE_BYTES_MAX);
        String::from_utf8_lossy(&text.unwrap_or_default()).into_owned()
    };
    UserFiles { passwd: read("/etc/passwd"), group: read("/etc/group") }
}

/// Directories of the node that are to be mounted are made when they are missing, as every runtime does for the kubelet; and
/// propagation is only promised where the node's mount can keep it.
fn check_sources(launch: &ContainerLaunch) -> Result<()> {
    let mut mounts = None;
    for mount in &launch.mounts {
        let MountSource::Bind { path, .. } = &mount.source else { continue };
        // Made at the start.
        if launch.cgroup.v1.contains(path) {
            continue;
        }
        let what = || format!("mount {} to {}", path.display(), mount.target);
        if !path.try_exists().during(Code::Internal, what)? {
            std::fs::create_dir_all(path).during(Code::Internal, what)?;
        }
        if mount.propagation != MountPropagation::Private {
            let table = match &mut mounts {
                Some(mounts) => mounts,
                None => mounts.insert(windlass_tree::mounts().during(Code::Internal, what)?),
            };
            check_propagation(path, mount.propagation, table)?;
        }
    }
    Ok(())
}

fn check_propagation(source: &Path, wanted: MountPropagation, mounts: &[Mount]) -> Result<()> {
    let resolved = std::fs::canonicalize(source).during(Code::Internal, || format!("resolve {}", source.display()))?;
    // The mount that the path lies in: the one with the longest mount point; of several on the same, the last.
    let holding = mounts.iter().filter(|mount| resolved.starts_with(&mount.point));
    let Some(mount) = holding.max_by_key(|mount| mount.point.as_os_str().len()) else { return Ok(()) };
    let tagged = |tag: &str| mount.propagation.iter().any(|field| field.starts_with(tag));
    let path = source.display();
    match wanted {
        MountPropagation::Shared if !tagged("shared:") => {
            Err(Error::invalid(format!("path \"{path}\" is mounted on a file system that is not a shared mount")))
        }
        MountPropagation::Slave if !tagged("shared:") && !tagged("master:") => Err(Error::invalid(format!(
            "path \"{path}\" is mounted on a file system that is not a shared or slave mount"
        ))),
        _ => Ok(()),
    }
}

/// Whether a container of a sandbox may join the process IDs of container `target`, whose whole ID is returned.
pub(super) fn check_target(core: &Core, target: &str, sandbox_id: &str) -> Result<String> {
    let target = core.container(target)?;
    if target.sandbox_id != sandbox_id {
        let message = format!("invalid target container: {:?} is in another sandbox", target.id);
        return Err(Error::invalid(message));
    }
    match target.running_pid() {
        Ok(_) => Ok(target.id.clone()),
        Err(error) => Err(Error::new(error.code, format!("invalid target container: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn propagation_needs_a_mount_that_can_keep_it() {
        let mountinfo = "20 1 8:1 / / rw,relatime - ext4 /dev/vda rw\n\
                         21 20 0:5 / /proc rw shared:5 - proc proc rw\n\
                         22 20 0:6 / /tmp rw master:7 - tmpfs tmpfs rw\n";
        let check = |path: &str, wanted| {
            check_propagation(Path::new(path), wanted, &windlass_tree::parse_mounts(mountinfo.as_bytes()))
        };
        assert!(check("/proc/self", MountPropagation::Shared).is_ok());
        assert!(check("/tmp", MountPropagation::Slave).is_ok());
        assert!(check("/tmp", MountPropagation::Shared).is_err());
        assert!(check("/etc", MountPropagation::Slave).unwrap_err().message.contains("not a shared or slave mount"));
    }
}
