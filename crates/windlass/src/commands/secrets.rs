//! `windlass secrets`: encryption at rest, through the server that runs.

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::Value;

use crate::control::Connection;
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
    let data_dir = flags.directory.path()?;
    match flags.action {
        Action::Rotate => {
            super::block_on(async {
                let connection = Connection::open(&data_dir).await?.ok_or_else(|| {
                    Failure::new(format!("no server runs on {}", data_dir.display())).hint("`windlass up` starts one")
                })?;
                connection.ask::<Value>(Method::POST, "/secrets/rotate", &()).await
            })?;
            say("everything on the disk is encrypted with its newest key");
        }
    }
    Ok(())
}
