//! Settings of the audit log: kube-apiserver's flags `--audit-…`. In the configuration file they are the key `audit`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::duration::GoDuration;

/// Flags of the audit log. Without a policy nothing is recorded.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct AuditFlags {
    /// A file with an audit Policy: which requests are recorded, and how much of each.
    #[arg(long = "audit-policy-file", env = "WINDLASS_AUDIT_POLICY_FILE", value_name = "FILE")]
    pub policy_file: Option<PathBuf>,
    #[command(flatten)]
    pub log: LogFlags,
    #[command(flatten)]
    pub webhook: WebhookFlags,
}

#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct LogFlags {
    /// The file that audit events are appended to; - for standard output.
    #[arg(long = "audit-log-path", env = "WINDLASS_AUDIT_LOG_PATH", value_name = "FILE")]
    pub path: Option<PathBuf>,
    /// Days that old parts of the log are kept; 0 for ever [default: 366].
    #[arg(long = "audit-log-maxage", env = "WINDLASS_AUDIT_LOG_MAXAGE", value_name = "DAYS")]
    pub maxage: Option<u32>,
    /// Old parts of the log that are kept; 0 for any number [default: 100].
    #[arg(long = "audit-log-maxbackup", env = "WINDLASS_AUDIT_LOG_MAXBACKUP", value_name = "NUMBER")]
    pub maxbackup: Option<usize>,
    /// Megabytes at which the log is put aside; 0 for never [default: 100].
    #[arg(long = "audit-log-maxsize", env = "WINDLASS_AUDIT_LOG_MAXSIZE", value_name = "MEGABYTES")]
    pub maxsize: Option<u64>,
    /// Compress parts of the log that are put aside.
    #[arg(long = "audit-log-compress", env = "WINDLASS_AUDIT_LOG_COMPRESS", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub compress: Option<bool>,
    /// How events are written: json, or legacy for a line of words [default: json].
    #[arg(long = "audit-log-format", env = "WINDLASS_AUDIT_LOG_FORMAT", value_name = "FORMAT")]
    pub format: Option<Format>,
    #[command(flatten)]
    pub delivery: LogDelivery,
}

#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct WebhookFlags {
    /// A kubeconfig that names the server that audit events are sent to.
    #[arg(long = "audit-webhook-config-file", env = "WINDLASS_AUDIT_WEBHOOK_CONFIG_FILE", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// How long after a failure it is tried again for the first time [default: 10s].
    #[arg(
        long = "audit-webhook-initial-backoff",
        env = "WINDLASS_AUDIT_WEBHOOK_INITIAL_BACKOFF",
        value_name = "DURATION"
    )]
    pub initial_backoff: Option<GoDuration>,
    #[command(flatten)]
    pub delivery: WebhookDelivery,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    Json,
    Legacy,
}

/// When events are delivered.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// Later, several at a time.
    Batch,
    /// While the request waits.
    Blocking,
    /// The same, and a request whose arrival cannot be recorded is refused.
    BlockingStrict,
}

/// The only version in which events are written.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Version {
    #[value(name = "audit.k8s.io/v1")]
    #[serde(rename = "audit.k8s.io/v1")]
    V1,
}

/// How events get to one destination; nothing where kube-apiserver's default holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DeliverySettings {
    pub mode: Option<Mode>,
    pub batch_buffer_size: Option<usize>,
    pub batch_max_size: Option<usize>,
    pub batch_max_wait: Option<Duration>,
    pub batch_throttle_enable: Option<bool>,
    pub batch_throttle_qps: Option<f64>,
    pub batch_throttle_burst: Option<u32>,
    pub truncate_enabled: Option<bool>,
    pub truncate_max_batch_size: Option<usize>,
    pub truncate_max_event_size: Option<usize>,
}

/// The flags that both destinations have, under the names of each.
macro_rules! delivery {
    ($name:ident, $flag:literal, $environment:literal) => {
        #[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub(crate) struct $name {
            /// When events are delivered: batch, blocking or blocking-strict.
            #[arg(id = concat!($flag, "mode"), long = concat!($flag, "mode"), env = concat!($environment, "MODE"), value_name = "MODE")]
            mode: Option<Mode>,
            /// Events that may wait to be delivered in batches; more are lost [default: 10000].
            #[arg(id = concat!($flag, "batch-buffer-size"), long = concat!($flag, "batch-buffer-size"), env = concat!($environment, "BATCH_BUFFER_SIZE"), value_name = "NUMBER")]
            batch_buffer_size: Option<usize>,
            /// Events of a batch.
            #[arg(id = concat!($flag, "batch-max-size"), long = concat!($flag, "batch-max-size"), env = concat!($environment, "BATCH_MAX_SIZE"), value_name = "NUMBER")]
            batch_max_size: Option<usize>,
            /// How long a batch that is not full waits [default: 30s].
            #[arg(id = concat!($flag, "batch-max-wait"), long = concat!($flag, "batch-max-wait"), env = concat!($environment, "BATCH_MAX_WAIT"), value_name = "DURATION")]
            batch_max_wait: Option<GoDuration>,
            /// Whether the number of batches in a second is bounded.
            #[arg(id = concat!($flag, "batch-throttle-enable"), long = concat!($flag, "batch-throttle-enable"), env = concat!($environment, "BATCH_THROTTLE_ENABLE"), value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
            batch_throttle_enable: Option<bool>,
            /// Batches in a second [default: 10].
            #[arg(id = concat!($flag, "batch-throttle-qps"), long = concat!($flag, "batch-throttle-qps"), env = concat!($environment, "BATCH_THROTTLE_QPS"), value_name = "NUMBER")]
            batch_throttle_qps: Option<f64>,
            /// Batches at once after a while without any [default: 15].
            #[arg(id = concat!($flag, "batch-throttle-burst"), long = concat!($flag, "batch-throttle-burst"), env = concat!($environment, "BATCH_THROTTLE_BURST"), value_name = "NUMBER")]
            batch_throttle_burst: Option<u32>,
            /// Whether events that are too large lose their objects.
            #[arg(id = concat!($flag, "truncate-enabled"), long = concat!($flag, "truncate-enabled"), env = concat!($environment, "TRUNCATE_ENABLED"), value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
            truncate_enabled: Option<bool>,
            /// Bytes of a batch; a larger one is sent as several [default: 10485760].
            #[arg(id = concat!($flag, "truncate-max-batch-size"), long = concat!($flag, "truncate-max-batch-size"), env = concat!($environment, "TRUNCATE_MAX_BATCH_SIZE"), value_name = "BYTES")]
            truncate_max_batch_size: Option<usize>,
            /// Bytes of an event that is not too large [default: 102400].
            #[arg(id = concat!($flag, "truncate-max-event-size"), long = concat!($flag, "truncate-max-event-size"), env = concat!($environment, "TRUNCATE_MAX_EVENT_SIZE"), value_name = "BYTES")]
            truncate_max_event_size: Option<usize>,
            /// The version of events: audit.k8s.io/v1.
            #[arg(id = concat!($flag, "version"), long = concat!($flag, "version"), env = concat!($environment, "VERSION"), value_name = "VERSION")]
            version: Option<Version>,
        }

        impl $name {
            pub(crate) fn settings(&self) -> DeliverySettings {
                DeliverySettings {
                    mode: self.mode,
                    batch_buffer_size: self.batch_buffer_size,
                    batch_max_size: self.batch_max_size,
                    batch_max_wait: self.batch_max_wait.map(|wait| wait.0),
                    batch_throttle_enable: self.batch_throttle_enable,
                    batch_throttle_qps: self.batch_throttle_qps,
                    batch_throttle_burst: self.batch_throttle_burst,
                    truncate_enabled: self.truncate_enabled,
                    truncate_max_batch_size: self.truncate_max_batch_size,
                    truncate_max_event_size: self.truncate_max_event_size,
                }
            }
        }
    };
}

delivery!(LogDelivery, "audit-log-", "WINDLASS_AUDIT_LOG_");
delivery!(WebhookDelivery, "audit-webhook-", "WINDLASS_AUDIT_WEBHOOK_");

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::merged;
    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        audit: AuditFlags,
    }

    #[test]
    fn flags_come_before_the_file() {
        let of = |flags: &[&str]| Program::try_parse_from(std::iter::once(&"p").chain(flags)).unwrap().audit;
        let flags = of(&[
            "--audit-log-path=-",
            "--audit-log-mode=blocking-strict",
            "--audit-webhook-batch-max-wait=5s",
            "--audit-log-truncate-enabled",
            "--audit-webhook-version=audit.k8s.io/v1",
        ]);
        let file: AuditFlags = serde_saphyr::from_str(
            "policy-file: p\nlog: {path: /a, maxage: 3, delivery: {mode: batch}}\nwebhook: {initial-backoff: 1m30s}\n",
        )
        .unwrap();
        let both = merged(&flags, &file).unwrap();
        assert_eq!(both.policy_file.unwrap().to_str(), Some("p"));
        assert_eq!((both.log.path.unwrap().to_str(), both.log.maxage), (Some("-"), Some(3)));
        assert_eq!(both.log.delivery.settings().mode, Some(Mode::BlockingStrict));
        assert_eq!(both.log.delivery.settings().truncate_enabled, Some(true));
        assert_eq!(both.webhook.delivery.settings().batch_max_wait, Some(Duration::from_secs(5)));
        assert_eq!(both.webhook.initial_backoff, Some(GoDuration(Duration::from_secs(90))));
        assert!(Program::try_parse_from(["p", "--audit-log-version=audit.k8s.io/v1beta1"]).is_err());
        assert!(serde_saphyr::from_str::<AuditFlags>("log: {pathh: x}").is_err());
    }
}
