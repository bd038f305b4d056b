//! The commands, one file for each.

pub(crate) mod down;
pub(crate) mod image;
pub(crate) mod secrets;
mod server;
mod status;
pub(crate) mod up;

use crate::cli::Command;
use crate::error::Failure;

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Server(flags) => server::run(*flags),
        Command::Up(flags) => up::run(*flags),
        Command::Status(directory) => status::run(&directory),
        Command::Down(flags) => down::run(&flags),
        Command::Image(flags) => image::run(&flags),
        Command::Secrets(flags) => secrets::run(&flags),
    }
}

/// Runs a short piece of work that waits for others.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::during("the program cannot start its runtime", error))?;
    runtime.block_on(work)
}
