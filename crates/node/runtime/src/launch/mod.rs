//! Turning a decided plan into a running process, by system calls alone.
//!
//! All of this runs in children of the single-threaded supervisor: a fork that never returns to the supervisor's code, and
//! either becomes the container's program by `execve` or reports what went wrong and ends. Ordinary Rust (allocation,
//! formatting) is fine there, because the process that was forked had one thread.
//!
//! libcontainer was tried first. Called in a forked child it needs 16 to 21 ms for one container on the machine where this
//! path needs 3, and most of its traps (findings.md: cgroup joins of 20 ms, aborts without CAP_SYS_RESOURCE, unreported
//! errors after "ready", zombies of failed execs) had to be worked around before the call. What is left when cgroups, the
//! filter and the descriptors are ours is the sequence of calls in [`container`].
//!
//! - [`spec`]: the plans, which are also messages
//! - [`container`], [`exec`], [`init`], [`user_namespace`]: one child each
//! - [`rootfs`], [`console`], [`credentials`], [`executable`]: the steps
//! - [`report`]: how a child tells its parent

pub(crate) mod cgroup;
pub(crate) mod console;
pub(crate) mod container;
pub(crate) mod credentials;
pub(crate) mod exec;
pub(crate) mod executable;
pub(crate) mod init;
pub(crate) mod report;
pub(crate) mod rootfs;
pub(crate) mod spec;
pub(crate) mod user_namespace;
