//! Settings of encryption at rest: kube-apiserver's flags `--encryption-provider-config…`. In the configuration file they are the key
//! `encryption`.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

/// Flags of encryption at rest. Without a configuration Secrets are encrypted with the cluster's own key.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct EncryptionFlags {
    /// A file with an EncryptionConfiguration: how the values of which resources stand on the disk.
    #[arg(long = "encryption-provider-config", env = "WINDLASS_ENCRYPTION_PROVIDER_CONFIG", value_name = "FILE")]
    pub provider_config: Option<PathBuf>,
    /// Read the file of --encryption-provider-config again when it changes.
    #[arg(
        long = "encryption-provider-config-automatic-reload",
        env = "WINDLASS_ENCRYPTION_PROVIDER_CONFIG_AUTOMATIC_RELOAD",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub provider_config_automatic_reload: Option<bool>,
}

impl EncryptionFlags {
    pub(crate) fn is_followed(&self) -> bool {
        self.provider_config_automatic_reload.unwrap_or(false)
    }
}
