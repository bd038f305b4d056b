//! The operations of a network: ADD, DEL, CHECK, STATUS, GC, VERSION.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::RwLock;

use super::cache::{Cache, CachedAttachment};
use super::{Attachment, InvokeError, Options, exec, request};
use crate::conf_dir;
use crate::plugin;
use crate::{AddResult, CniError, NetworkConfig, PluginConfig, ValidAttachment, Version, code, validate};

/// Runs plugins. Operations on different containers may run at the same time; garbage collection waits for all of them and
/// keeps them waiting, as the specification asks.
#[derive(Debug)]
pub struct Cni {
    options: Options,
    cache: Cache,
    running: RwLock<()>,
}

impl Cni {
    pub fn new(options: Options) -> Self {
        let cache = Cache::new(&options.cache_dir);
        Self { options, cache, running: RwLock::new(()) }
    }

    /// The node's network, as the configuration directory has it now.
    pub fn load(&self) -> Result<NetworkConfig, conf_dir::Error> {
        conf_dir::load(&self.options.conf_dir)
    }

    /// Joins a sandbox to a network. After a failure the caller must still call [`Cni::del`].
    pub async fn add(&self, network: &NetworkConfig, attachment: &Attachment) -> Result<AddResult, InvokeError> {
        validate_attachment(attachment)?;
        let _running = self.running.read().await;
        let mut previous: Option<Value> = None;
        for plugin in &network.plugins {
            let stdin = request::attachment(network, plugin, previous.as_ref(), &attachment.capabilities);
            let output = self.run("ADD", plugin, stdin, attachment).await?;
            let result = |source| InvokeError::Result { kind: plugin.kind.clone(), source };
            let mut object: Map<String, Value> = serde_json::from_slice(&output).map_err(result)?;
            // Some plugins leave the version out; it is the configuration's then.
            let version = Value::String(network.cni_version.to_string());
            object.entry("cniVersion").or_insert(version);
            previous = Some(Value::Object(object));
        }
        let last = previous.unwrap_or_default();
        let kind = network.plugins.last().map(|plugin| plugin.kind.clone()).unwrap_or_default();
        let result = AddResult::deserialize(&last).map_err(|source| InvokeError::Result { kind, source })?;
        self.cache.store(&Cache::entry(network, attachment, last)).map_err(self.cache_error())?;
        Ok(result)
    }

    /// Takes a sandbox out of its networks; one that is in none is fine. What is cached of its ADD decides which network and
    /// which configuration that is; `network` serves where nothing is cached (an ADD that failed, a lost cache).
    pub async fn del(&self, network: Option<&NetworkConfig>, attachment: &Attachment) -> Result<(), InvokeError> {
        validate_attachment(attachment)?;
        let _running = self.running.read().await;
        let cached = self.cache.list(Some(&attachment.container_id)).map_err(self.cache_error())?;
        let cached: Vec<_> = cached.into_iter().filter(|entry| entry.if_name == attachment.if_name).collect();
        for entry in &cached {
            self.del_cached(entry, attachment).await?;
        }
        match network.filter(|network| cached.iter().all(|entry| entry.network_name != network.name)) {
            Some(network) => self.del_plugins(network, attachment, None).await,
            None => Ok(()),
        }
    }

    /// Asks the plugins whether a sandbox's network is still as they made it.
    pub async fn check(&self, attachment: &Attachment) -> Result<(), InvokeError> {
        validate_attachment(attachment)?;
        let _running = self.running.read().await;
        let cached = self.cache.list(Some(&attachment.container_id)).map_err(self.cache_error())?;
        for entry in cached.iter().filter(|entry| entry.if_name == attachment.if_name) {
            let network = cached_config(entry)?;
            if network.cni_version < Version::V0_4_0 {
                return Err(InvokeError::CheckNotSupported { version: network.cni_version });
            }
            if network.disable_check {
                continue;
            }
            let attachment = with_cached_arguments(attachment, entry);
            for plugin in &network.plugins {
                let stdin = request::attachment(&network, plugin, entry.result.as_ref(), &attachment.capabilities);
                self.run("CHECK", plugin, stdin, &attachment).await?;
            }
        }
        Ok(())
    }

    /// Asks the plugins whether they could serve an ADD now. Before 1.1.0 there is no way to ask, and the answer is yes if
    /// their executables are there.
    pub async fn status(&self, network: &NetworkConfig) -> Result<(), InvokeError> {
        for plugin in &network.plugins {
            if !self.is_builtin(plugin) {
                exec::find(&plugin.kind, &self.options.bin_dirs)?;
            }
            if network.cni_version >= Version::V1_1_0 {
                self.run("STATUS", plugin, request::status(network, plugin), &Attachment::default()).await?;
            }
        }
        Ok(())
    }

    /// Removes what belongs to no attachment of `valid` any more. Goes on after failures and reports the first.
    pub async fn gc(&self, network: &NetworkConfig, valid: &[ValidAttachment]) -> Result<(), InvokeError> {
        if network.disable_gc {
            return Ok(());
        }
        let _exclusive = self.running.write().await;
        let keep: HashSet<(&str, &str)> = valid.iter().map(|v| (v.container_id.as_str(), v.ifname.as_str())).collect();
        let mut failures = Vec::new();
        for entry in self.cache.list(None).map_err(self.cache_error())? {
            if entry.network_name == network.name && !keep.contains(&(&*entry.container_id, &*entry.if_name)) {
                let attachment = Attachment {
                    netns: Some(PathBuf::from(&entry.netns)).filter(|path| path.exists()),
                    ..Attachment::new(&entry.container_id, &entry.if_name)
                };
                failures.extend(self.del_cached(&entry, &attachment).await.err());
            }
        }
        if network.cni_version >= Version::V1_1_0 {
            for plugin in &network.plugins {
                let stdin = request::collection(network, plugin, valid);
                failures.extend(self.run("GC", plugin, stdin, &Attachment::default()).await.err());
            }
        }
        let count = failures.len();
        match failures.into_iter().next() {
            Some(first) => Err(InvokeError::Collection { count, source: Box::new(first) }),
            None => Ok(()),
        }
    }

    /// What is attached, according to the cache.
    pub fn cached(&self, container_id: Option<&str>) -> Result<Vec<CachedAttachment>, InvokeError> {
        self.cache.list(container_id).map_err(self.cache_error())
    }

    async fn del_cached(&self, entry: &CachedAttachment, attachment: &Attachment) -> Result<(), InvokeError> {
        let network = cached_config(entry)?;
        // Before 0.4.0 DEL did not know previous results.
        let result = entry.result.as_ref().filter(|_| network.cni_version >= Version::V0_4_0);
        self.del_plugins(&network, &with_cached_arguments(attachment, entry), result).await?;
        self.cache.remove(entry).map_err(self.cache_error())
    }

    /// In the reverse order of ADD.
    async fn del_plugins(
        &self,
        network: &NetworkConfig,
        attachment: &Attachment,
        result: Option<&Value>,
    ) -> Result<(), InvokeError> {
        for plugin in network.plugins.iter().rev() {
            let stdin = request::attachment(network, plugin, result, &attachment.capabilities);
            self.run("DEL", plugin, stdin, attachment).await?;
        }
        Ok(())
    }

    fn is_builtin(&self, plugin: &PluginConfig) -> bool {
        self.options.builtin && plugin.kind == plugin::TYPE
    }

    async fn run(
        &self,
        command: &'static str,
        plugin: &PluginConfig,
        stdin: Vec<u8>,
        attachment: &Attachment,
    ) -> Result<Vec<u8>, InvokeError> {
        let environment = self.environment(command, attachment);
        let result = if self.is_builtin(plugin) {
            let invocation = plugin::Invocation::new(environment, stdin);
            let run = tokio::task::spawn_blocking(move || plugin::run(&invocation));
            run.await.map_err(|_| InvokeError::Cancelled).and_then(|result| result.map_err(InvokeError::Failed))
        } else {
            let path = exec::find(&plugin.kind, &self.options.bin_dirs);
            match path {
                Ok(path) => exec::run(&path, &environment, &stdin, &self.options).await,
                Err(error) => Err(error),
            }
        };
        result.map_err(|source| InvokeError::Plugin {
            kind: plugin.kind.clone(),
            command: verb(command),
            source: Box::new(source),
        })
    }

    fn environment(&self, command: &str, attachment: &Attachment) -> Vec<(&'static str, String)> {
        let args = attachment.args.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(";");
        let dirs: Vec<_> = self.options.bin_dirs.iter().map(|dir| dir.display().to_string()).collect();
        let netns = attachment.netns.as_deref().map(Path::display).map(|path| path.to_string());
        vec![
            ("CNI_COMMAND", command.to_owned()),
            ("CNI_CONTAINERID", attachment.container_id.clone()),
            ("CNI_NETNS", netns.unwrap_or_default()),
            ("CNI_IFNAME", attachment.if_name.clone()),
            ("CNI_ARGS", args),
            ("CNI_PATH", dirs.join(":")),
        ]
    }

    fn cache_error(&self) -> impl Fn(io::Error) -> InvokeError {
        |source| InvokeError::Cache { dir: self.options.cache_dir.clone(), source }
    }
}

/// The words of libcni's errors.
fn verb(command: &'static str) -> &'static str {
    match command {
        "ADD" => "add",
        "DEL" => "delete",
        "CHECK" => "check",
        "STATUS" => "status",
        "GC" => "gc",
        other => other,
    }
}

fn validate_attachment(attachment: &Attachment) -> Result<(), InvokeError> {
    let bad_argument = |(key, value): &(String, String)| key.contains(['=', ';']) || value.contains(';');
    if attachment.args.iter().any(bad_argument) {
        let error = CniError::new(code::INVALID_ENVIRONMENT, "CNI_ARGS cannot hold = in a key or ; anywhere");
        return Err(InvokeError::Attachment(error));
    }
    validate::container_id(&attachment.container_id)
        .and_then(|()| validate::interface_name(&attachment.if_name))
        .map_err(InvokeError::Attachment)
}

/// libcni caches the configuration of a single plugin as it is.
fn cached_config(entry: &CachedAttachment) -> Result<NetworkConfig, InvokeError> {
    let list = NetworkConfig::from_list(&entry.config);
    let config = match list {
        Ok(list) if list.plugins.is_empty() => NetworkConfig::from_single(&entry.config),
        config => config,
    };
    config.map_err(|source| InvokeError::CachedConfig { container_id: entry.container_id.clone(), source })
}

/// Arguments must be those of the ADD.
fn with_cached_arguments(attachment: &Attachment, entry: &CachedAttachment) -> Attachment {
    Attachment { args: entry.cni_args.clone(), capabilities: entry.capability_args.clone(), ..attachment.clone() }
}
