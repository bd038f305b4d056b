//! `windlass status`: what runs, since when, and where its things are.

use hyper::Method;

use crate::control::{Connection, StatusReport};
use crate::error::Failure;
use crate::output::say;
use crate::settings::DataDir;

pub(crate) fn run(directory: &DataDir) -> Result<(), Failure> {
    let data_dir = directory.path()?;
    let report: StatusReport = super::block_on(async {
        match Connection::open(&data_dir).await? {
            Some(connection) => connection.ask(Method::GET, "/status", &()).await,
            None => {
                Err(Failure::new(format!("no server runs on {}", data_dir.display())).hint("`windlass up` starts one"))
            }
        }
    })?;
    let StatusReport { version, pid, started, api_server, kubeconfig, node, node_state, components } = report;
    say(format_args!("windlass {version}, process {pid}, since {started}"));
    say(format_args!("  API server   {api_server}"));
    match node_state.as_str() {
        "" => say(format_args!("  node         none on this machine")),
        state => say(format_args!("  node         {node}, {state}")),
    }
    say(format_args!("  components   {}", components.join(", ")));
    say(format_args!("  data         {}", data_dir.display()));
    say(format_args!("  kubeconfig   {}", kubeconfig.display()));
    Ok(())
}
