//! Turning a decided plan into a running process, by system calls alone.
//!
//! All of this runs in children of the single-threaded supervisor: a fork that never returns to the supervisor's code, and
//! either becomes the container's program by `execve` or reports what went wrong and ends. Ordinary Rust (allocation,
//! formatting) is fine there, because the process that was forked had one thread.
//!
//! libcontainer 0.7 was tried first. Called in a forked child it needs 16 to 21 ms to start one container, on the machine where
//! a start here needs 4, cgroups included; and most of its traps (cgroup joins of 20 ms, aborts without CAP_SYS_RESOURCE,
//! errors after "ready" that nobody hears of, zombies of failed execs) have to be worked around before the call. When cgroups,
//! the filter and the descriptors are ours, what is left of it is the sequence of calls in [`container`].
//!
//! - [`spec`]: the plans, which are also messages
//! - [`container`], [`exec`], [`init`], [`user_namespace`]: one child each
//! - [`rootfs`], [`cover`], [`console`], [`credentials`], [`executable`]: the steps
//! - [`report`]: how a child tells its parent

pub(crate) mod cgroup;
pub(crate) mod console;
pub(crate) mod container;
pub(crate) mod cover;
pub(crate) mod credentials;
pub(crate) mod exec;
pub(crate) mod executable;
pub(crate) mod init;
pub(crate) mod report;
pub(crate) mod rootfs;
pub(crate) mod spec;
pub(crate) mod user_namespace;
