//! The Container Network Interface, specification 1.1.0 (and 1.0.0, 0.4.0, 0.3.1, 0.3.0).
//!
//! - [`NetworkConfig`] and [`conf_dir`]: what a network is made of, read from files that any CNI can bring.
//! - [`Cni`]: runs a network's plugins for a sandbox: chains, previous results, the cache that makes DEL work after a restart.
//! - [`plugin`]: our own plugin, which a node without another CNI uses: routed veth pairs without a bridge.
//! - [`pod_network`]: how the runtime's sandboxes join and leave.
//! - [`AddResult`], [`CniError`], [`Version`]: the words that runtimes and plugins exchange.
//!
//! The runtime side never assumes that the plugin is ours. The plugin side never assumes that the runtime is ours; it runs as a
//! process of its own, or within the daemon to save that process ([`Options::builtin`]).

pub mod conf_dir;
mod config;
mod error;
mod invoke;
pub mod plugin;
pub mod pod_network;
mod result;
mod validate;
mod version;

pub use config::{ConfigError, NetworkConfig, PluginConfig};
pub use error::{CniError, code};
pub use invoke::{Attachment, CachedAttachment, Cni, InvokeError, Options};
pub use result::{AddResult, Dns, Interface, IpConfig, PortMapping, Route, ValidAttachment};
pub use version::{SUPPORTED_VERSIONS, Version};
