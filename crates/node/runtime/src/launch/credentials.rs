//! From the supervisor's identity to the container's: user, groups, capabilities, filters. The last steps before `execve`.
//!
//! The order is what makes this work without asking more of a seccomp filter than the program itself needs. Installing a
//! filter without `no_new_privs` takes CAP_SYS_ADMIN, so that capability stays permitted until `execve`, which throws it out:
//! for root the new permitted set is the bounding set, for others it is empty, and both were fixed before. So after the
//! filter is in, nothing but `execve` (and the report of its failure) has to pass it.

use std::io;
use std::os::fd::AsRawFd;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::unistd::{Gid, Uid};

use super::report::{Failure, FailureKind, Result, Step};
use super::spec::{ProcessPlan, UserPlan};
use crate::sys::capability::{self, SETPCAP, SYS_ADMIN, bit};
use crate::sys::process::prctl;

/// Takes on the user, the groups and the capabilities.
pub(crate) fn assume(process: &ProcessPlan) -> Result<()> {
    let UserPlan { uid, gid, groups } = &process.user;
    capability::limit_bounding_set(process.capabilities).step(|| "limit the bounding set".to_owned())?;
    // Permitted capabilities outlive the change of the user with this; the flag itself ends with execve.
    prctl(libc::PR_SET_KEEPCAPS, 1).step(|| "keep capabilities".to_owned())?;
    set_groups(groups).step(|| "set supplementary groups".to_owned())?;
    nix::unistd::setresgid(Gid::from_raw(*gid), Gid::from_raw(*gid), Gid::from_raw(*gid))
        .step(|| format!("set group {gid}"))?;
    nix::unistd::setresuid(Uid::from_raw(*uid), Uid::from_raw(*uid), Uid::from_raw(*uid))
        .step(|| format!("set user {uid}"))?;
    prctl(libc::PR_SET_KEEPCAPS, 0).step(|| "reset keepcaps".to_owned())?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));

    // What lets a file's permissions be judged as the program's own: root acts with its final capabilities, others with none.
    let effective = if *uid == 0 { process.capabilities } else { 0 };
    let spare = if process.seccomp.is_some() && !process.no_new_privs { bit(SYS_ADMIN) } else { 0 };
    capability::set(effective | spare, process.capabilities | spare).step(|| "set capabilities".to_owned())
}

/// Becomes root of the user namespace that was just entered, so that files made from here on belong to it.
pub(crate) fn become_root_of_user_namespace() -> Result<()> {
    set_groups(&[]).step(|| "drop groups in the user namespace".to_owned())?;
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    nix::unistd::setresgid(gid, gid, gid).step(|| "become group 0 of the user namespace".to_owned())?;
    nix::unistd::setresuid(uid, uid, uid).step(|| "become root of the user namespace".to_owned())
}

/// Gives up everything: for processes that only wait.
pub(crate) fn renounce(uid: u32) -> Result<()> {
    let nobody = ProcessPlan { user: UserPlan { uid, gid: uid, groups: Vec::new() }, ..ProcessPlan::default() };
    assume(&nobody)?;
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1).step(|| "set no_new_privs".to_owned())
}

fn set_groups(groups: &[u32]) -> io::Result<()> {
    // nix's setgroups is not used: glibc would signal other threads, of which this process has none.
    // SAFETY: the pointer and the count describe the list.
    let result = unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Limits that `execve` will put on the program: `no_new_privs`, an AppArmor profile, the seccomp filter. After this only
/// `execve` should follow.
pub(crate) fn confine(process: &ProcessPlan, filter: Option<&[libc::sock_filter]>) -> Result<()> {
    if process.no_new_privs {
        prctl(libc::PR_SET_NO_NEW_PRIVS, 1).step(|| "set no_new_privs".to_owned())?;
    }
    let Some(filter) = filter else { return Ok(()) };
    let length = u16::try_from(filter.len())
        .map_err(|_| Failure::new(FailureKind::Invalid, "the seccomp filter has more than 65535 instructions"))?;
    let program = libc::sock_fprog { len: length, filter: filter.as_ptr().cast_mut() };
    // seccomp(2) and not prctl: it leaves no_new_privs as it is.
    // SAFETY: the program and its instructions outlive the call; the kernel only reads them.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()).step(|| "install the seccomp filter".to_owned()) }
}

/// Asks AppArmor to change to `profile` at the next `execve`. Needs the node's /proc.
pub(crate) fn request_apparmor(profile: &str) -> Result<()> {
    let text = format!("exec {profile}");
    let write = || match std::fs::write("/proc/self/attr/apparmor/exec", &text) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::fs::write("/proc/self/attr/exec", &text),
        result => result,
    };
    write().step(|| format!("change to AppArmor profile {profile}"))
}

/// The instructions of a filter as it was sent.
pub(crate) fn decode_filter(text: &str) -> Result<Vec<libc::sock_filter>> {
    let invalid = || Failure::new(FailureKind::Invalid, "the seccomp filter is not a list of BPF instructions");
    let bytes = STANDARD.decode(text).map_err(|_| invalid())?;
    if bytes.is_empty() || !bytes.len().is_multiple_of(8) {
        return Err(invalid());
    }
    Ok(bytes
        .chunks_exact(8)
        .map(|b| libc::sock_filter {
            code: u16::from_le_bytes([b[0], b[1]]),
            jt: b[2],
            jf: b[3],
            k: u32::from_le_bytes([b[4], b[5], b[6], b[7]]),
        })
        .collect())
}

/// A filter in the form that [`decode_filter`] reads.
pub(crate) fn encode_filter(filter: &[libc::sock_filter]) -> String {
    let mut bytes = Vec::with_capacity(filter.len() * 8);
    for instruction in filter {
        bytes.extend_from_slice(&instruction.code.to_le_bytes());
        bytes.extend_from_slice(&[instruction.jt, instruction.jf]);
        bytes.extend_from_slice(&instruction.k.to_le_bytes());
    }
    STANDARD.encode(bytes)
}

/// Gives a stream to the user, so that the program may open /dev/stdout anew. `owner` is a user of the current user namespace.
pub(crate) fn own_stream(stream: &impl AsRawFd, owner: u32) -> Result<()> {
    let fd = stream.as_raw_fd();
    let metadata = nix::sys::stat::fstat(fd).step(|| format!("look at descriptor {fd}"))?;
    // /dev/null is everybody's already, and its owner is not ours to change.
    if metadata.st_uid == owner || metadata.st_rdev == NULL_DEVICE {
        return Ok(());
    }
    match nix::unistd::fchown(fd, Some(Uid::from_raw(owner)), None) {
        // A socket, or a file on a read-only file system, stays as it is.
        Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::EPERM | nix::errno::Errno::EROFS) => Ok(()),
        Err(error) => Err(error).step(|| format!("give descriptor {fd} to user {owner}")),
    }
}

const NULL_DEVICE: libc::dev_t = libc::makedev(1, 3);

/// Whether this process may put other processes' capabilities away, for an early and clear error.
pub(crate) fn check_privileges(permitted: u64) -> Result<()> {
    for (capability, name) in [(SETPCAP, "CAP_SETPCAP"), (SYS_ADMIN, "CAP_SYS_ADMIN")] {
        if permitted & bit(capability) == 0 {
            return Err(Failure::new(FailureKind::Setup, format!("the node's process lacks {name}: run it as root")));
        }
    }
    Ok(())
}

/// Points the standard streams at `fds`.
pub(crate) fn redirect(fds: [&dyn AsRawFd; 3]) -> Result<()> {
    for (target, fd) in fds.iter().enumerate() {
        let target = target as i32;
        let source = fd.as_raw_fd();
        if source == target {
            // dup2 to itself would keep the close-on-exec flag.
            nix::fcntl::fcntl(source, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))
                .step(|| format!("keep descriptor {source}"))?;
        } else {
            nix::unistd::dup2(source, target).step(|| format!("set descriptor {target}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_travel_as_text() {
        let filter =
            [libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: 4 }, libc::sock_filter { code: 6, jt: 1, jf: 2, k: !0 }];
        let back = decode_filter(&encode_filter(&filter)).unwrap();
        assert_eq!(back.len(), 2);
        assert_eq!((back[1].code, back[1].jt, back[1].jf, back[1].k), (6, 1, 2, u32::MAX));
        for bad in ["", "!", "AAAA"] {
            assert!(decode_filter(bad).is_err());
        }
    }
}
