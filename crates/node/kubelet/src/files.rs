//! Files that containers can shape, as the kubelet reads and removes them: never through a link, never blocking on a pipe, never
//! more than was asked for.

use std::io;
use std::path::PathBuf;

/// Removes a directory of the kubelet's with all that containers have put there. What is not there counts as removed.
pub(crate) async fn remove_tree(path: PathBuf) -> io::Result<()> {
    let removed = tokio::task::spawn_blocking(move || windlass_tree::remove_path(&path)).await;
    Ok(removed.map_err(io::Error::other)??)
}
