//! The commands, one file for each.

mod server;

use crate::cli::Command;
use crate::error::Failure;

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Server(flags) => server::run(*flags),
    }
}
