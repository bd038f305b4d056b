//! Where plugins, configurations and results lie, and how plugins are run.

use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Options {
    /// Where configurations are dropped: `/etc/cni/net.d`.
    pub conf_dir: PathBuf,
    /// Where plugins are looked for: `/opt/cni/bin`. Plugins get it as CNI_PATH.
    pub bin_dirs: Vec<PathBuf>,
    /// Where results are cached: `/var/lib/cni`.
    pub cache_dir: PathBuf,
    /// How long one plugin may take; then it is killed.
    pub timeout: Duration,
    /// The soft limit of open files that plugins get, if it is not this process's.
    pub open_files: Option<u64>,
    /// Runs our own plugin within this process instead of executing it, which saves a process for every sandbox.
    pub builtin: bool,
}
