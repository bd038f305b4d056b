//! `windlass`: a whole Kubernetes in one program.
//!
//! This crate reads the command line and the configuration and says which components run with which options. What the
//! components do is in their own crates.

mod allocator;
mod cli;
mod commands;
mod control;
mod error;
mod output;
mod progress;
mod runtime;
mod server;
mod settings;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

fn main() -> ExitCode {
    // Containers' parent and CNI plugin are this program as well; neither wants to hear of commands.
    if windlass_cni::plugin::is_requested() {
        return windlass_cni::plugin::main();
    }
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == server::node::SUPERVISOR) {
        windlass_runtime::supervisor::main(args);
    }
    match cli::Cli::try_parse() {
        Ok(cli) => match cli.command.run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                error.print();
                ExitCode::FAILURE
            }
        },
        Err(asked) if matches!(asked.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            // Nobody is there to be told when this fails.
            let _ = asked.print();
            ExitCode::SUCCESS
        }
        Err(misuse) => {
            let _ = misuse.print();
            ExitCode::FAILURE
        }
    }
}
