//! The command line.

use clap::{Parser, Subcommand};

use crate::commands::{down, image, secrets, server, status, up};
use crate::error::Failure;
use crate::settings::{DataDir, ServerFlags};

/// A whole Kubernetes in one program.
#[derive(Debug, Parser)]
#[command(name = "windlass", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a cluster on this machine in the background, and make kubectl use it.
    Up(Box<up::Flags>),
    /// Say what runs, since when, and where its data and kubeconfig are.
    Status(DataDir),
    /// End the cluster and its pods.
    Down(down::Flags),
    /// Run control plane and node in the foreground; SIGTERM stops it and leaves pods running.
    Server(Box<ServerFlags>),
    /// The images on this node.
    Image(image::Flags),
    /// The keys that Secrets, and what else is configured, are encrypted with on the disk.
    Secrets(secrets::Flags),
}

impl Command {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Server(flags) => server::run(*flags),
            Self::Up(flags) => up::run(*flags),
            Self::Status(directory) => status::run(&directory),
            Self::Down(flags) => down::run(&flags),
            Self::Image(flags) => image::run(&flags),
            Self::Secrets(flags) => secrets::run(&flags),
        }
    }
}
