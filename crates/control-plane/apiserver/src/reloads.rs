//! What operators see of configurations that are read again while the server runs: upstream's metrics, and a line in the log.

use windlass_api::time::Clock;
use windlass_machinery::digest;
use windlass_telemetry::{CounterFamily, GaugeFamily, Metrics};

/// The metrics of one configuration.
pub struct Reloads {
    what: &'static str,
    total: CounterFamily,
    last: GaugeFamily,
    info: GaugeFamily,
    /// The server's identity, as a hash.
    server: String,
    clock: Clock,
}

/// Names of a configuration and of its metrics.
pub struct Names {
    what: &'static str,
    total: &'static str,
    last: &'static str,
    info: &'static str,
}

impl Reloads {
    pub const AUTHENTICATION: Names = Names {
        what: "authentication",
        total: "apiserver_authentication_config_controller_automatic_reloads_total",
        last: "apiserver_authentication_config_controller_automatic_reload_last_timestamp_seconds",
        info: "apiserver_authentication_config_controller_last_config_info",
    };
    pub const AUTHORIZATION: Names = Names {
        what: "authorization",
        total: "apiserver_authorization_config_controller_automatic_reloads_total",
        last: "apiserver_authorization_config_controller_automatic_reload_last_timestamp_seconds",
        info: "apiserver_authorization_config_controller_last_config_info",
    };

    pub const ENCRYPTION: Names = Names {
        what: "encryption",
        total: "apiserver_encryption_config_controller_automatic_reloads_total",
        last: "apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds",
        info: "apiserver_encryption_config_controller_last_config_info",
    };

    pub fn new(metrics: &Metrics, names: Names, identity: &str, clock: Clock) -> Self {
        let labels = ["status", "apiserver_id_hash"];
        Self {
            what: names.what,
            total: metrics.counters(names.total, "Times that the configuration was read again.", &labels),
            last: metrics.gauges(names.last, "When the configuration was last read again.", &labels),
            info: metrics.gauges(names.info, "The configuration in use.", &["apiserver_id_hash", "hash"]),
            server: hash(identity),
            clock,
        }
    }

    /// A configuration is in use from now on.
    pub fn in_use(&self, text: &str) {
        self.info.reset();
        self.info.with_label_values(&[self.server.as_str(), &hash(text)]).set(1);
    }

    pub fn succeeded(&self, text: &str) {
        tracing::info!(configuration = self.what, "a new configuration is in use");
        self.count("success");
        self.in_use(text);
    }

    pub fn failed(&self, why: &str) {
        tracing::error!(
            configuration = self.what,
            error = why,
            "a new configuration cannot be used; the old one stays"
        );
        self.count("failure");
    }

    fn count(&self, status: &str) {
        let labels = [status, &self.server];
        self.total.with_label_values(&labels).inc();
        self.last.with_label_values(&labels).set(self.clock.now().as_second());
    }
}

/// How upstream shows what labels should not repeat.
pub(crate) fn hash(text: &str) -> String {
    format!("sha256:{}", digest::hex(text.as_bytes()))
}
