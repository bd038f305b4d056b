//! The command line.

use clap::{Parser, Subcommand};

use crate::settings::ServerFlags;

/// A whole Kubernetes in one program.
#[derive(Debug, Parser)]
#[command(name = "windlass", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run control plane and node in the foreground; SIGTERM stops it and leaves pods running.
    Server(Box<ServerFlags>),
}
