//! `windlass secrets`: encryption at rest, through the server that runs.

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::Value;

use super::ask;
use crate::error::Failure;
use crate::output::say;
use crate::settings::DataDir;

#[derive(Args, Debug)]
pub(crate) struct Flags {
    #[command(flatten)]
    directory: DataDir,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Encrypt everything on the disk anew: with a new key of the cluster's own, or with the first keys of the EncryptionConfiguration,
    /// which is read again. Older keys are not needed afterwards.
    Rotate,
}

pub(crate) fn run(flags: &Flags) -> Result<(), Failure> {
    match flags.action {
        Action::Rotate => {
            let _: Value = ask(&flags.directory, Method::POST, "/secrets/rotate", &())?;
            say("everything on the disk is encrypted with its newest key");
        }
    }
    Ok(())
}
