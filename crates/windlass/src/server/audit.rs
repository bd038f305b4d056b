//! The audit log as the settings want it.

use std::sync::Arc;
use std::time::Duration;

use windlass_api::Chance;
use windlass_api::time::Clock;
use windlass_audit::{
    Auditor, Backend, BatchOptions, Delivery, Destination, LogFile, LogFormat, Policy, Rotation, Throttle, Truncation,
    WebhookServer,
};
use windlass_telemetry::Metrics;
use windlass_webhook::Remote;

use crate::error::Failure;
use crate::settings::audit::{AuditFlags, DeliverySettings, Format, LogFlags, Mode, WebhookFlags};

/// How long after a failure the webhook is tried again for the first time, as kube-apiserver.
const BACKOFF: Duration = Duration::from_secs(10);

const MEGABYTE: u64 = 1024 * 1024;

/// Reads the policy and opens where events go. `None` without a policy, or without a place for events.
pub(crate) fn auditor(flags: &AuditFlags, clock: Clock, metrics: &Metrics) -> Result<Option<Arc<Auditor>>, Failure> {
    let Some(path) = &flags.policy_file else {
        if flags.log.path.is_some() || flags.webhook.config_file.is_some() {
            tracing::info!("No audit policy file provided, no events will be recorded");
        }
        return Ok(None);
    };
    let what = format!("loading audit policy file {}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| Failure::during(&what, error))?;
    let policy = Policy::parse(&text).map_err(|error| Failure::during(what, error))?;
    let mut backends = Vec::new();
    backends.extend(log(&flags.log, clock, metrics)?);
    backends.extend(webhook(&flags.webhook, metrics)?);
    Ok((!backends.is_empty()).then(|| Arc::new(Auditor::new(policy, backends, clock, metrics))))
}

fn log(flags: &LogFlags, clock: Clock, metrics: &Metrics) -> Result<Option<Backend>, Failure> {
    let Some(path) = &flags.path else { return Ok(None) };
    let file = if path.as_os_str() == "-" {
        LogFile::output(clock)
    } else {
        let rotation = Rotation {
            bytes_max: flags.maxsize.unwrap_or(100).saturating_mul(MEGABYTE),
            days_max: flags.maxage.unwrap_or(366),
            parts_max: flags.maxbackup.unwrap_or(100),
            compresses: flags.compress.unwrap_or(false),
        };
        let failed = |error| Failure::during(format!("the audit log {} cannot be opened", path.display()), error);
        LogFile::open(path, Some(rotation).filter(|rotation| rotation.bytes_max > 0), clock).map_err(failed)?
    };
    let format = match flags.format {
        Some(Format::Legacy) => LogFormat::Legacy,
        Some(Format::Json) | None => LogFormat::Json,
    };
    let defaults =
        BatchOptions { buffer: 10_000, events_max: 1, wait_max: Duration::ZERO, throttle: None, side_by_side: false };
    let settings = flags.delivery.settings();
    let delivery = delivery("log", &settings, Mode::Blocking, defaults)?;
    let truncation = truncation("log", &settings)?;
    Ok(Some(Backend::new(Destination::Log(Box::new(file), format), delivery, truncation, metrics)))
}

fn webhook(flags: &WebhookFlags, metrics: &Metrics) -> Result<Option<Backend>, Failure> {
    let Some(path) = &flags.config_file else { return Ok(None) };
    let failed = |error| Failure::during(format!("initializing audit webhook by {}", path.display()), error);
    let remote = Remote::open(path).map_err(failed)?;
    let server = WebhookServer::new(remote, flags.initial_backoff.map_or(BACKOFF, |pause| pause.0), Chance::system());
    let defaults = BatchOptions {
        buffer: 10_000,
        events_max: 400,
        wait_max: Duration::from_secs(30),
        throttle: Some(THROTTLE),
        side_by_side: true,
    };
    let settings = flags.delivery.settings();
    let delivery = delivery("webhook", &settings, Mode::Batch, defaults)?;
    let truncation = truncation("webhook", &settings)?;
    Ok(Some(Backend::new(Destination::Webhook(Box::new(server)), delivery, truncation, metrics)))
}

const THROTTLE: Throttle = Throttle { per_second: 10.0, burst: 15 };

fn delivery(
    plugin: &str,
    settings: &DeliverySettings,
    mode: Mode,
    defaults: BatchOptions,
) -> Result<Delivery, Failure> {
    match settings.mode.unwrap_or(mode) {
        Mode::Blocking => return Ok(Delivery::Blocking { strict: false }),
        Mode::BlockingStrict => return Ok(Delivery::Blocking { strict: true }),
        Mode::Batch => {}
    }
    let throttle = Throttle {
        per_second: settings.batch_throttle_qps.unwrap_or(THROTTLE.per_second),
        burst: settings.batch_throttle_burst.unwrap_or(THROTTLE.burst),
    };
    let options = BatchOptions {
        buffer: settings.batch_buffer_size.unwrap_or(defaults.buffer),
        events_max: settings.batch_max_size.unwrap_or(defaults.events_max),
        wait_max: settings.batch_max_wait.unwrap_or(defaults.wait_max),
        throttle: settings.batch_throttle_enable.unwrap_or(defaults.throttle.is_some()).then_some(throttle),
        ..defaults
    };
    let wrong = |what: &str, value: &dyn std::fmt::Display| {
        Err(Failure::new(format!("invalid audit batch {plugin} {what} {value}, must be a positive number")))
    };
    match options {
        BatchOptions { buffer: 0, .. } => wrong("buffer size", &0),
        BatchOptions { events_max: 0, .. } => wrong("max batch size", &0),
        BatchOptions { throttle: Some(Throttle { burst: 0, .. }), .. } => wrong("throttle burst", &0),
        BatchOptions { throttle: Some(Throttle { per_second, .. }), .. }
            if per_second.is_nan() || per_second <= 0.0 =>
        {
            wrong("throttle QPS", &per_second)
        }
        options => Ok(Delivery::Batch(options)),
    }
}

fn truncation(plugin: &str, settings: &DeliverySettings) -> Result<Option<Truncation>, Failure> {
    let event_bytes_max = settings.truncate_max_event_size.unwrap_or(100 * 1024);
    let batch_bytes_max = settings.truncate_max_batch_size.unwrap_or(10 * 1024 * 1024);
    if event_bytes_max == 0 {
        let text = format!("invalid audit truncate {plugin} max event size 0, must be a positive number");
        return Err(Failure::new(text));
    }
    if batch_bytes_max < event_bytes_max {
        return Err(Failure::new(format!(
            "invalid audit truncate {plugin} max batch size {batch_bytes_max}, must be greater than max event size ({event_bytes_max})"
        )));
    }
    let truncation = Truncation { event_bytes_max, batch_bytes_max };
    Ok(settings.truncate_enabled.unwrap_or(false).then_some(truncation))
}
