//! A container's view of files, put together in a mount namespace of its own.
//!
//! In two steps, because what the node has must be taken while the node's mount namespace is still the current one:
//! [`prepare`] clones every source into a detached tree (which keeps it in its peer group, so that propagation works as
//! asked), [`build`] attaches them below the new root and makes that the root. Targets are looked up inside the root, so no
//! symbolic link of an image leads out of it; to the places of the kernel's file systems no link leads at all.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::sys::stat::{Mode, SFlag};

use super::cover::{Covers, KernelMounts};
use super::report::{Failure, FailureKind, Result, Step, words};
use super::spec::{ContainerLaunch, DeviceKind, DeviceNode, MountAttributes, MountPlan, MountPropagation, MountSource};
use crate::sys::mount::{self, Attributes, Change, Propagation};
use crate::sys::path;

/// Sources of mounts, taken from the node.
pub(crate) struct Prepared {
    root: OwnedFd,
    /// For each mount of the plan; `None` for those that are made fresh later.
    sources: Vec<Option<OwnedFd>>,
    /// For each device of the plan, when they have to be bound.
    devices: Vec<OwnedFd>,
    /// The node's /dev/null, which covers masked files.
    null: OwnedFd,
}

/// Takes everything from the node's mount namespace. `passed` are the descriptors that came with the request.
pub(crate) fn prepare(
    launch: &ContainerLaunch,
    mut passed: Vec<OwnedFd>,
    user_namespace: Option<BorrowedFd<'_>>,
) -> Result<Prepared> {
    if passed.is_empty() {
        return Err(Failure::new(FailureKind::Invalid, "the root file system did not come with the request"));
    }
    let root = passed.remove(0);
    let mut passed: Vec<Option<OwnedFd>> = passed.into_iter().map(Some).collect();
    let mut sources = Vec::with_capacity(launch.mounts.len());
    for plan in &launch.mounts {
        sources.push(match &plan.source {
            MountSource::Bind { path, id_mapped } => {
                let id_map = if *id_mapped { user_namespace } else { None };
                Some(take(path, plan, id_map).step(|| format!("mount {} to {}", path.display(), plan.target))?)
            }
            MountSource::Passed { number, .. } => {
                let source = passed.get_mut(*number).and_then(Option::take);
                let missing = || Failure::new(FailureKind::Invalid, format!("no source came for {}", plan.target));
                Some(source.ok_or_else(missing)?)
            }
            MountSource::Fresh { .. } => None,
        });
    }
    let mut devices = Vec::new();
    if user_namespace.is_some() {
        for device in &launch.devices {
            let tree = mount::clone_tree(&device.host_path, false);
            devices.push(tree.step(|| format!("take device {}", device.host_path.display()))?);
        }
    }
    let null = mount::clone_tree(Path::new("/dev/null"), false).step(|| "take /dev/null".to_owned())?;
    Ok(Prepared { root, sources, devices, null })
}

fn take(source: &Path, plan: &MountPlan, id_map: Option<BorrowedFd<'_>>) -> io::Result<OwnedFd> {
    let tree = mount::clone_tree(source, true)?;
    let propagation = match plan.propagation {
        MountPropagation::Private => Propagation::Private,
        MountPropagation::Slave => Propagation::Slave,
        MountPropagation::Shared => Propagation::Shared,
    };
    let all = Change { propagation: Some(propagation), id_map, recursive: true, ..Change::default() };
    mount::change(tree.as_fd(), &all)?;
    let set = attributes(plan.attributes);
    if !set.is_empty() {
        let change = Change { set, recursive: plan.attributes.recursive, ..Change::default() };
        mount::change(tree.as_fd(), &change)?;
    }
    Ok(tree)
}

fn attributes(plan: MountAttributes) -> Attributes {
    [
        (plan.readonly, Attributes::READ_ONLY),
        (plan.nosuid, Attributes::NO_SUID),
        (plan.nodev, Attributes::NO_DEV),
        (plan.noexec, Attributes::NO_EXEC),
        (plan.strictatime, Attributes::STRICT_ATIME),
    ]
    .into_iter()
    .filter(|(wanted, _)| *wanted)
    .fold(Attributes::default(), |set, (_, attribute)| set | attribute)
}

/// A root that is complete but for the switch to it.
pub(crate) struct Built {
    root: OwnedFd,
    readonly: bool,
    /// /proc and /sys.
    kernel: KernelMounts,
    /// Mounts that become read-only now that nothing has to be made in them any more.
    readonly_at_end: Vec<OwnedFd>,
}

impl Built {
    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// Attaches everything. The caller has a mount namespace of its own, and the mount point is its working directory.
pub(crate) fn build(launch: &ContainerLaunch, prepared: Prepared) -> Result<Built> {
    receive_only().step(|| "cut mount propagation to the node".to_owned())?;
    let Prepared { root, mut sources, devices, null } = prepared;
    resolve_sub_paths(launch, &mut sources)?;
    mount::attach_on_working_directory(root.as_fd()).step(|| "attach the root file system".to_owned())?;
    let mut built = Built { root, readonly: launch.root_readonly, kernel: Vec::new(), readonly_at_end: Vec::new() };

    // First what the kernel shows, with its covers: no volume is there yet that could move or hide it.
    let mounts: Vec<_> = launch.mounts.iter().zip(sources).collect();
    let (system, others): (Vec<_>, Vec<_>) = mounts.into_iter().partition(|(plan, _)| is_system(&plan.target));
    for (plan, source) in system {
        attach(&mut built, plan, source)?;
    }
    for (link, target) in &launch.links {
        make_link(built.root(), link, target).step(|| format!("link {link}"))?;
    }
    let mut covers = Covers::new(launch, null);
    covers.below(&built.kernel)?;

    for (plan, source) in others {
        attach(&mut built, plan, source)?;
    }
    attach_devices(&built, &launch.devices, devices)?;
    let working_dir = Path::new(&launch.process.working_dir);
    match path::make_directories(built.root(), working_dir) {
        // A working directory on a read-only mount that lacks it fails at chdir, with a better message.
        Err(error) if error.raw_os_error() == Some(libc::EROFS) => {}
        result => drop(result.step(|| format!("make working directory {}", working_dir.display()))?),
    }
    if launch.root_readonly {
        for volume in &launch.writable_paths {
            bind_to_itself(built.root(), volume).step(|| format!("keep volume {volume} writable"))?;
        }
    }
    covers.elsewhere(built.root(), &built.kernel)?;
    Ok(built)
}

/// Whether the kernel's file systems and devices belong there, whoever mounts them. No image may have a link on the way.
fn is_system(target: &str) -> bool {
    const PLACES: [&str; 6] = ["/proc", "/sys", "/dev", "/dev/pts", "/dev/mqueue", "/dev/shm"];
    PLACES.contains(&target) || Path::new(target).starts_with("/sys/fs/cgroup")
}

/// Makes the devices, or binds them where sources were taken.
fn attach_devices(built: &Built, devices: &[DeviceNode], sources: Vec<OwnedFd>) -> Result<()> {
    if sources.is_empty() {
        for device in devices {
            make_device(built.root(), device).step(|| format!("make device {}", device.path))?;
        }
    }
    for (device, source) in devices.iter().zip(sources) {
        path::make_file(built.root(), Path::new(&device.path))
            .and_then(|target| mount::attach(source.as_fd(), target.as_fd()))
            .step(|| format!("bind device {}", device.path))?;
    }
    Ok(())
}

fn receive_only() -> io::Result<()> {
    let none: Option<&str> = None;
    let flags = nix::mount::MsFlags::MS_SLAVE | nix::mount::MsFlags::MS_REC;
    Ok(nix::mount::mount(none, "/", none, flags, none)?)
}

/// Replaces whole passed mounts by the part of them that is wanted. Only attached mounts can be cloned in part on kernels
/// before 6.15, so each is attached for a moment on the mount point, where only this process sees it.
fn resolve_sub_paths(launch: &ContainerLaunch, sources: &mut [Option<OwnedFd>]) -> Result<()> {
    for (plan, source) in launch.mounts.iter().zip(sources) {
        let (MountSource::Passed { sub_path, .. }, Some(whole)) = (&plan.source, source.as_ref()) else { continue };
        if sub_path.is_empty() {
            continue;
        }
        let part = part_of(whole.as_fd(), Path::new(sub_path))
            .step(|| format!("find {sub_path} in the image mounted to {}", plan.target))?;
        *source = Some(part);
    }
    Ok(())
}

fn part_of(whole: BorrowedFd<'_>, sub_path: &Path) -> io::Result<OwnedFd> {
    let here = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(".")?;
    mount::attach_on_working_directory(whole)?;
    let part = path::find_in_root(whole, sub_path).and_then(|found| mount::clone_tree_fd(found.as_fd(), false));
    nix::unistd::fchdir(whole.as_raw_fd())?;
    nix::mount::umount2(".", nix::mount::MntFlags::MNT_DETACH)?;
    nix::unistd::fchdir(here.as_raw_fd())?;
    part
}

fn attach(built: &mut Built, plan: &MountPlan, source: Option<OwnedFd>) -> Result<()> {
    let MountPlan { target, attributes: wanted, .. } = plan;
    let set = attributes(*wanted);
    let source = match (source, &plan.source) {
        (Some(source), MountSource::Passed { .. }) if !set.is_empty() => {
            let change = Change { set, recursive: wanted.recursive, ..Change::default() };
            mount::change(source.as_fd(), &change).step(|| format!("set attributes of {target}"))?;
            source
        }
        (Some(source), _) => source,
        (None, MountSource::Fresh { fs_type, options }) => {
            mount::fresh(fs_type, options, set).step(|| format!("mount {fs_type} to {target}"))?
        }
        (None, _) => return Err(Failure::new(FailureKind::Invalid, format!("no source for {target}"))),
    };
    let metadata = nix::sys::stat::fstat(source.as_raw_fd()).step(|| format!("look at the source of {target}"))?;
    let path = Path::new(target);
    let place = if is_system(target) {
        path::make_plain_directories(built.root(), path)
    } else if metadata.st_mode & libc::S_IFMT == libc::S_IFDIR {
        path::make_directories(built.root(), path)
    } else {
        path::make_file(built.root(), path)
    };
    let place = place.step(|| format!("make mount point {target}"))?;
    refuse_proc(place.as_fd(), path)?;
    mount::attach(source.as_fd(), place.as_fd()).step(|| format!("attach {target}"))?;
    if wanted.readonly_at_end {
        built.readonly_at_end.push(source);
    } else if let Some(place) = ["/proc", "/sys"].into_iter().find(|place| target == place) {
        built.kernel.push((place, source));
    }
    Ok(())
}

/// Files of /proc that file systems such as lxcfs may replace. Anything else there would let an image deceive the steps
/// that follow.
const PROC_REPLACEABLE: [&str; 11] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/net/dev",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

fn refuse_proc(place: BorrowedFd<'_>, target: &Path) -> Result<()> {
    let Ok(kind) = nix::sys::statfs::fstatfs(place) else { return Ok(()) };
    let normal = path::normal(target);
    let allowed = normal == Path::new("/proc") || PROC_REPLACEABLE.iter().any(|path| normal == Path::new(path));
    if kind.filesystem_type() != nix::sys::statfs::PROC_SUPER_MAGIC || allowed {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::Invalid,
        format!("{} cannot be mounted because it is inside /proc", target.display()),
    ))
}

fn make_device(root: BorrowedFd<'_>, device: &DeviceNode) -> io::Result<()> {
    let target = path::normal(Path::new(&device.path));
    let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let parent = path::make_directories(root, parent)?;
    let at = Some(parent.as_raw_fd());
    let kind = match device.kind {
        DeviceKind::Character => SFlag::S_IFCHR,
        DeviceKind::Block => SFlag::S_IFBLK,
    };
    let mode = Mode::from_bits_truncate(device.mode & 0o7777);
    let number = nix::sys::stat::makedev(device.major, device.minor);
    // The mode is set as the file is made: a change afterwards could reach what a neighbour has put in its place.
    let umask = nix::sys::stat::umask(Mode::empty());
    let made = nix::sys::stat::mknodat(at, name, kind, mode, number);
    nix::sys::stat::umask(umask);
    match made {
        Err(nix::errno::Errno::EEXIST) => return Ok(()),
        result => result?,
    }
    if device.uid != 0 || device.gid != 0 {
        let (uid, gid) = (nix::unistd::Uid::from_raw(device.uid), nix::unistd::Gid::from_raw(device.gid));
        nix::unistd::fchownat(at, name, Some(uid), Some(gid), nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

fn make_link(root: BorrowedFd<'_>, link: &str, target: &str) -> io::Result<()> {
    let link = path::normal(Path::new(link));
    let (Some(parent), Some(name)) = (link.parent(), link.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let parent = path::make_directories(root, parent)?;
    match nix::unistd::symlinkat(target, Some(parent.as_raw_fd()), name) {
        Ok(()) | Err(nix::errno::Errno::EEXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Makes `target` a mount of its own, with other attributes than the mount that it lies in.
fn bind_to_itself(root: BorrowedFd<'_>, target: &str) -> io::Result<()> {
    let place = path::make_directories(root, Path::new(target))?;
    let tree = mount::clone_tree_fd(place.as_fd(), true)?;
    mount::attach(tree.as_fd(), place.as_fd())
}

/// Makes the built root the root, and lets go of the node's.
pub(crate) fn switch(built: Built) -> Result<()> {
    let read_only = || Change { set: Attributes::READ_ONLY, ..Change::default() };
    for mounted in &built.readonly_at_end {
        mount::change(mounted.as_fd(), &read_only()).step(|| "make a mount read-only".to_owned())?;
    }
    if built.readonly {
        mount::change(built.root(), &read_only()).step(|| "make the root file system read-only".to_owned())?;
    }
    enter(built.root())
        .map_err(|error| Failure::new(FailureKind::Setup, format!("change to the container's root: {}", words(&error))))
}

/// Changes the root of this mount namespace to `root`, a mount that is attached in it.
pub(crate) fn enter(root: BorrowedFd<'_>) -> io::Result<()> {
    let old = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open("/")?;
    nix::unistd::fchdir(root.as_raw_fd())?;
    match nix::unistd::pivot_root(".", ".") {
        Ok(()) => {
            // The old root is now mounted over the new one.
            nix::unistd::fchdir(old.as_raw_fd())?;
            nix::mount::umount2(".", nix::mount::MntFlags::MNT_DETACH)?;
        }
        // The node runs from its initial RAM disk, which cannot be moved away: the new root is put on top of it.
        Err(nix::errno::Errno::EINVAL) => {
            let none: Option<&str> = None;
            nix::mount::mount(Some("."), "/", none, nix::mount::MsFlags::MS_MOVE, none)?;
            nix::unistd::chroot(".")?;
        }
        Err(error) => return Err(error.into()),
    }
    nix::unistd::chdir("/")?;
    Ok(())
}
