//! Upstream's metrics of encryption.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;
use windlass_api::time::Clock;
use windlass_telemetry::{Counter, CounterFamily, GaugeFamily, HistogramFamily, Metrics, exponential};

use crate::key_hash::hash;

/// Keys of services whose figures are kept; the oldest give way.
const KEYS_MAX: usize = 100;

/// Whether a value goes to the disk or comes from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    FromStorage,
    ToStorage,
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Self::FromStorage => "from_storage",
            Self::ToStorage => "to_storage",
        }
    }
}

pub(crate) struct Figures {
    operations: CounterFamily,
    durations: HistogramFamily,
    missed: Counter,
    calls: HistogramFamily,
    uses: CounterFamily,
    last_uses: GaugeFamily,
    last_names: GaugeFamily,
    invalid_keys: CounterFamily,
    cached: GaugeFamily,
    /// Labels of keys in the order in which they came.
    keys: Mutex<Vec<[String; 3]>>,
    /// The key that each service has named last, as a hash.
    named: Mutex<BTreeMap<String, String>>,
    /// This server's identity, as a hash.
    server: String,
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

impl Figures {
    pub(crate) fn new(metrics: &Metrics, identity: &str) -> Self {
        let of_key = ["transformation_type", "provider_name", "key_id_hash", "apiserver_id_hash"];
        Self {
            operations: metrics.counters(
                "apiserver_storage_transformation_operations_total",
                "Total number of transformations. Successful transformation will have a status 'OK' and a varied status string when the transformation fails.",
                &["resource", "transformation_type", "transformer_prefix", "status"],
            ),
            durations: metrics.histograms(
                "apiserver_storage_transformation_duration_seconds",
                "Latencies in seconds of value transformation operations.",
                &["transformation_type", "transformer_prefix"],
                &exponential(5e-6, 2.0, 25),
            ),
            missed: metrics.counter(
                "apiserver_storage_envelope_transformation_cache_misses_total",
                "Total number of cache misses while accessing key decryption key(KEK).",
            ),
            calls: metrics.histograms(
                "apiserver_envelope_encryption_kms_operations_latency_seconds",
                "KMS operation duration with gRPC error code status total.",
                &["provider_name", "method_name", "grpc_status_code"],
                &exponential(0.0001, 2.0, 20),
            ),
            uses: metrics.counters(
                "apiserver_envelope_encryption_key_id_hash_total",
                "Number of times a keyID is used split by transformation type, provider, and apiserver identity.",
                &of_key,
            ),
            last_uses: metrics.gauges(
                "apiserver_envelope_encryption_key_id_hash_last_timestamp_seconds",
                "The last time in seconds when a keyID was used.",
                &of_key,
            ),
            last_names: metrics.gauges(
                "apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds",
                "The last time in seconds when a keyID was returned by the Status RPC call.",
                &of_key[1..],
            ),
            invalid_keys: metrics.counters(
                "apiserver_envelope_encryption_invalid_key_id_from_status_total",
                "Number of times an invalid keyID is returned by the Status RPC call split by error.",
                &["provider_name", "error"],
            ),
            cached: metrics.gauges(
                "apiserver_envelope_encryption_dek_source_cache_size",
                "Number of records in data encryption key (DEK) source cache.",
                &["provider_name"],
            ),
            keys: Mutex::default(),
            named: Mutex::default(),
            server: hash(identity),
        }
    }

    /// A value has been encrypted or decrypted, or not.
    pub(crate) fn transformed<T>(
        &self,
        direction: Direction,
        table: &str,
        prefix: &str,
        took: Duration,
        outcome: &Result<T, String>,
    ) {
        let prefix = if prefix.is_empty() { "identity" } else { prefix };
        let status = if outcome.is_ok() { "OK" } else { "unknown-non-grpc" };
        self.operations.with_label_values(&[table, direction.name(), prefix, status]).inc();
        if outcome.is_ok() {
            self.durations.with_label_values(&[direction.name(), prefix]).observe(took.as_secs_f64());
        }
    }

    /// A seed was not known.
    pub(crate) fn missed(&self) {
        self.missed.inc();
    }

    /// A service has been asked.
    pub(crate) fn asked(&self, provider: &str, method: &str, code: &str, took: Duration) {
        self.calls.with_label_values(&[provider, method, code]).observe(took.as_secs_f64());
    }

    /// A service's key has been used.
    pub(crate) fn used(&self, direction: Direction, provider: &str, key_id: &str, clock: Clock) {
        let labels = [direction.name().to_owned(), provider.to_owned(), hash(key_id)];
        let shown = |labels: &[String; 3]| -> [String; 4] {
            let [direction, provider, key] = labels.clone();
            [direction, provider, key, self.server.clone()]
        };
        let mut keys = self.keys.lock();
        if !keys.contains(&labels) {
            if keys.len() == KEYS_MAX {
                let oldest = shown(&keys.remove(0));
                // Neither is there if nobody has counted it.
                let _ = self.uses.remove_label_values(&oldest);
                let _ = self.last_uses.remove_label_values(&oldest);
            }
            keys.push(labels.clone());
        }
        drop(keys);
        let labels = shown(&labels);
        self.uses.with_label_values(&labels).inc();
        self.last_uses.with_label_values(&labels).set(clock.now().as_second());
    }

    /// A service has named its key. Of each only the newest is kept.
    pub(crate) fn named(&self, provider: &str, key_id: &str, clock: Clock) {
        let key = hash(key_id);
        if let Some(before) = self.named.lock().insert(provider.to_owned(), key.clone()).filter(|before| *before != key)
        {
            // It is there: it was set when it came.
            let _ = self.last_names.remove_label_values(&[provider, &before, &self.server]);
        }
        self.last_names.with_label_values(&[provider, &key, &self.server]).set(clock.now().as_second());
    }

    /// A service has named a key that is none.
    pub(crate) fn invalid(&self, provider: &str, code: &str) {
        self.invalid_keys.with_label_values(&[provider, code]).inc();
    }

    /// So many seeds of a service are known.
    pub(crate) fn cached(&self, provider: &str, seeds: usize) {
        self.cached.with_label_values(&[provider]).set(i64::try_from(seeds).unwrap_or(i64::MAX));
    }
}
