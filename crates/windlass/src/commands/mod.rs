//! The commands, one file for each.

pub(crate) mod down;
pub(crate) mod image;
pub(crate) mod secrets;
pub(crate) mod server;
pub(crate) mod status;
pub(crate) mod up;

use hyper::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::control::Connection;
use crate::error::Failure;
use crate::settings::DataDir;

/// Runs a short piece of work that waits for others.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::during("the program cannot start its runtime", error))?;
    runtime.block_on(work)
}

/// Asks the server that runs on a directory.
fn ask<T: DeserializeOwned>(
    directory: &DataDir,
    method: Method,
    path: &str,
    body: &impl Serialize,
) -> Result<T, Failure> {
    let data_dir = directory.path()?;
    block_on(async {
        let connection = Connection::open(&data_dir).await?.ok_or_else(|| {
            Failure::new(format!("no server runs on {}", data_dir.display())).hint("`windlass up` starts one")
        })?;
        connection.ask(method, path, body).await
    })
}
