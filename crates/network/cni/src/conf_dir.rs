//! The directory in which CNI configurations are dropped (`/etc/cni/net.d`): the first file by name is the node's network.
//!
//! A first file that is broken is an error, as in containerd, and does not make the next one the network: it may be half
//! written, and pods must not land in another network meanwhile.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::{ConfigError, NetworkConfig, PluginConfig};

/// No configuration is longer than this.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no network config found in {}: cni plugin not initialized", dir.display())]
    Empty { dir: PathBuf },
    #[error("cannot read {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("cannot load CNI configuration {}", path.display())]
    Config { path: PathBuf, source: ConfigError },
}

/// Loads the first of `*.conflist`, `*.conf` and `*.json` by name, with the plugins that files in the folder of the network's
/// name add.
pub fn load(dir: &Path) -> Result<NetworkConfig, Error> {
    let path = files(dir, &["conflist", "conf", "json"])?.into_iter().next();
    let path = path.ok_or_else(|| Error::Empty { dir: dir.to_owned() })?;
    let text = read(&path)?;
    let is_list = path.extension().is_some_and(|extension| extension == "conflist");
    let loaded = if is_list { NetworkConfig::from_list(&text) } else { NetworkConfig::from_single(&text) };
    let broken = |source| Error::Config { path: path.clone(), source };
    let mut config = loaded.map_err(broken)?;
    if is_list && !config.load_only_inlined_plugins {
        let mut plugins = Vec::new();
        for path in files(&dir.join(&config.name), &["conf"])? {
            let broken = |source| Error::Config { path: path.clone(), source };
            let object = serde_json::from_slice(&read(&path)?).map_err(ConfigError::Syntax).map_err(broken)?;
            plugins.push(PluginConfig::from_object(object).map_err(broken)?);
        }
        config.append(plugins).map_err(broken)?;
    }
    if config.plugins.is_empty() {
        return Err(broken(ConfigError::NoPlugins));
    }
    Ok(config)
}

/// The directory's files with one of the extensions, sorted by name. A directory that does not exist has none.
fn files(dir: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Io { path: dir.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let wanted = path.extension().and_then(|extension| extension.to_str()).is_some_and(|e| extensions.contains(&e));
        if wanted && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    windlass_tree::read_config(path, CONFIG_BYTES_MAX).map_err(|source| Error::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_file_is_the_network() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        assert!(matches!(load(dir.path()), Err(Error::Empty { .. })));
        assert!(matches!(load(&dir.path().join("none")), Err(Error::Empty { .. })));
        write("20-b.conf", r#"{"cniVersion":"0.3.1","name":"b","type":"ptp"}"#);
        write("00-note.txt", "not a configuration");
        assert_eq!(load(dir.path()).unwrap().name, "b");
        write("10-a.conflist", r#"{"cniVersion":"1.0.0","name":"a","plugins":[{"type":"bridge"}]}"#);
        fs::create_dir(dir.path().join("a")).unwrap();
        write("a/10-tuning.conf", r#"{"type":"tuning","sysctl":{}}"#);
        let config = load(dir.path()).unwrap();
        assert_eq!(config.plugins.iter().map(|plugin| plugin.kind.as_str()).collect::<Vec<_>>(), ["bridge", "tuning"]);
        assert_eq!(NetworkConfig::from_list(&config.source).unwrap().plugins.len(), 2);
        // Nothing waits on a pipe.
        nix::unistd::mkfifo(&dir.path().join("07-pipe.conflist"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(matches!(load(dir.path()), Err(Error::Io { .. })));
        write("05-broken.conflist", "{");
        assert!(matches!(load(dir.path()), Err(Error::Config { .. })));
    }
}
