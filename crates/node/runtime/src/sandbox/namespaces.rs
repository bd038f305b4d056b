//! A sandbox's namespaces, pinned as files so that they live without any process.
//!
//! Usually a throw-away thread of the daemon makes them. With a user namespace, which a process with threads cannot make, a
//! child of the supervisor does, and the thread only enters them to set kernel parameters.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use windlass_cri::{IdMapping, Result, SandboxConfig, UserNamespace};

use super::{Sandbox, sysctls};
use crate::core::Core;
use crate::error::{During, from_supervisor};
use crate::launch::spec::{NamespacePlan, UserNamespaceLaunch};
use crate::layout::SandboxLayout;
use crate::sandbox_config::{has_own_ipc, has_own_network, hostname};
use crate::supervisor::protocol::Request;
use crate::sys::{mount, process, thread};

/// Makes and pins what the sandbox has of its own.
pub(super) async fn make(core: &Core, sandbox: &Sandbox) -> Result<()> {
    let config = sandbox.state.lock().config.clone();
    let layout = core.layout.sandbox(&sandbox.id);
    let parameters = sysctls::plan(&config).internal("check the pod's kernel parameters")?;
    if let Some(user) = &config.namespaces.user {
        pin_with_user_namespace(core, sandbox, &config, user).await?;
    }
    let work = move || {
        if config.namespaces.user.is_some() {
            enter_pinned(&layout)?;
        } else {
            make_and_pin(&config, &layout)?;
        }
        if has_own_network(&config) {
            set_loopback_up()?;
        }
        Ok(sysctls::write(&parameters))
    };
    let written = thread::run("sandbox", work).await.internal("make the sandbox's namespaces")?;
    written.internal("set the pod's kernel parameters")
}

fn make_and_pin(config: &SandboxConfig, layout: &SandboxLayout) -> io::Result<()> {
    let mut flags = CloneFlags::empty();
    flags.set(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS, has_own_network(config));
    flags.set(CloneFlags::CLONE_NEWIPC, has_own_ipc(config));
    unshare(flags)?;
    if has_own_network(config) {
        nix::unistd::sethostname(hostname(config))?;
        pin("net", layout)?;
        pin("uts", layout)?;
    }
    if has_own_ipc(config) {
        pin("ipc", layout)?;
    }
    Ok(())
}

fn pin(name: &str, layout: &SandboxLayout) -> io::Result<()> {
    let target = layout.namespace(name);
    File::create(&target)?;
    mount::bind_file(&PathBuf::from(format!("/proc/thread-self/ns/{name}")), &target)
}

fn enter_pinned(layout: &SandboxLayout) -> io::Result<()> {
    for (name, flag) in [("net", libc::CLONE_NEWNET), ("ipc", libc::CLONE_NEWIPC), ("uts", libc::CLONE_NEWUTS)] {
        match File::open(layout.namespace(name)) {
            Ok(namespace) => process::enter(namespace.as_fd(), flag)?,
            // The node's.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn pin_with_user_namespace(
    core: &Core,
    sandbox: &Sandbox,
    config: &SandboxConfig,
    user: &UserNamespace,
) -> Result<()> {
    let launch = UserNamespaceLaunch {
        sandbox_id: sandbox.id.clone(),
        directory: core.layout.sandbox(&sandbox.id).namespaces(),
        uid_map: map_lines(&user.uids),
        gid_map: map_lines(&user.gids),
        own_network: has_own_network(config),
        own_ipc: has_own_ipc(config),
        hostname: has_own_network(config).then(|| hostname(config)),
    };
    let request = Request::PinUserNamespaces(Box::new(launch));
    core.supervisor().await?.order(request).await.map_err(|error| from_supervisor("make the user namespace", &error))
}

/// The form of /proc/PID/uid_map.
fn map_lines(mappings: &[IdMapping]) -> String {
    mappings.iter().map(|m| format!("{} {} {}\n", m.container_id, m.host_id, m.length)).collect()
}

/// Turns on the loopback interface of the calling thread's network namespace.
fn set_loopback_up() -> io::Result<()> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: all-zero is a valid value of this plain structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (target, source) in request.ifr_name.iter_mut().zip(b"lo") {
        *target = *source as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request outlives the call and has the shape that this ioctl reads.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether files still hold namespaces. They do not when everybody in the mount namespace where they were pinned has ended.
pub(crate) fn are_pinned(plan: &NamespacePlan) -> bool {
    let files = [&plan.user, &plan.network, &plan.ipc, &plan.uts];
    files.into_iter().flatten().all(|path| {
        let kind = nix::sys::statfs::statfs(path).map(|kind| kind.filesystem_type());
        kind == Ok(nix::sys::statfs::NSFS_MAGIC)
    })
}

/// Lets go of the pinned namespaces and of the shared memory. Succeeds when there is nothing. Blocks.
pub(crate) fn unpin(layout: &SandboxLayout) -> io::Result<()> {
    mount::detach(&layout.shm())?;
    let entries = match std::fs::read_dir(layout.namespaces()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result?,
    };
    for entry in entries {
        let path = entry?.path();
        unpin_file(&path)?;
    }
    Ok(())
}

fn unpin_file(path: &Path) -> io::Result<()> {
    mount::detach(path)?;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps() {
        let mapping = |container_id, host_id, length| IdMapping { host_id, container_id, length };
        assert_eq!(map_lines(&[mapping(0, 65536, 1000), mapping(1000, 0, 1)]), "0 65536 1000\n1000 0 1\n");
    }
}
