//! Probes and lifecycle hooks, and the handlers that both are made of.

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{items, number, text};

use crate::rules::{complain, non_negative, object_at, port, port_number, required, supported};

/// Also the rules of startup probes.
pub(super) fn validate_liveness(errors: &mut Errors, container: &Value, path: &Path<'_>, field: &str) {
    let Some(probe) = object_at(container, field) else { return };
    let path = path.child(field);
    validate_probe(errors, probe, &path);
    let threshold = number(probe, "successThreshold");
    if threshold != 1 {
        errors.push(Error::invalid(&path.child("successThreshold"), threshold, "must be 1"));
    }
}

pub(super) fn validate_readiness(errors: &mut Errors, container: &Value, path: &Path<'_>) {
    let Some(probe) = object_at(container, "readinessProbe") else { return };
    let path = path.child("readinessProbe");
    validate_probe(errors, probe, &path);
    if let Some(seconds) = probe.get("terminationGracePeriodSeconds").and_then(Value::as_i64) {
        let field = path.child("terminationGracePeriodSeconds");
        errors.push(Error::invalid(&field, seconds, "must not be set for readinessProbes"));
    }
}

fn validate_probe(errors: &mut Errors, probe: &Value, path: &Path<'_>) {
    validate_handler(errors, probe, path, None);
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        non_negative(errors, &path.child(field), number(probe, field));
    }
    if let Some(seconds) = probe.get("terminationGracePeriodSeconds").and_then(Value::as_i64).filter(|s| *s <= 0) {
        errors.push(Error::invalid(&path.child("terminationGracePeriodSeconds"), seconds, "must be greater than 0"));
    }
}

pub(super) fn validate_lifecycle(errors: &mut Errors, container: &Value, path: &Path<'_>, grace_seconds: Option<i64>) {
    let Some(lifecycle) = object_at(container, "lifecycle") else { return };
    for hook in ["postStart", "preStop"] {
        if let Some(handler) = object_at(lifecycle, hook) {
            validate_handler(errors, handler, &path.child(hook), grace_seconds);
        }
    }
}

/// Exactly one handler.
fn validate_handler(errors: &mut Errors, handler: &Value, path: &Path<'_>, grace_seconds: Option<i64>) {
    let mut is_first = true;
    for kind in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let Some(action) = object_at(handler, kind) else { continue };
        let path = path.child(kind);
        if !is_first {
            errors.push(Error::forbidden(&path, "may not specify more than 1 handler type"));
            continue;
        }
        is_first = false;
        match kind {
            "exec" if items(action, "command").next().is_none() => {
                errors.push(Error::required(&path.child("command"), ""));
            }
            "exec" => {}
            "httpGet" => validate_http_get(errors, action, &path),
            "tcpSocket" => port(errors, &path.child("port"), action.get("port")),
            "grpc" => port_number(errors, &path.child("port"), number(action, "port")),
            _ => validate_sleep(errors, action, &path, grace_seconds),
        }
    }
    if is_first {
        errors.push(Error::required(path, "must specify a handler type"));
    }
}

fn validate_http_get(errors: &mut Errors, action: &Value, path: &Path<'_>) {
    required(errors, action, path, "path");
    port(errors, &path.child("port"), action.get("port"));
    supported(errors, &path.child("scheme"), text(action, "scheme"), &["HTTP", "HTTPS"]);
    for header in items(action, "httpHeaders") {
        let name = text(header, "name");
        complain(errors, &path.child("httpHeaders"), name, names::http_header_name(name));
    }
}

fn validate_sleep(errors: &mut Errors, action: &Value, path: &Path<'_>, grace_seconds: Option<i64>) {
    let seconds = number(action, "seconds");
    if let Some(grace) = grace_seconds
        && !(0..=grace).contains(&seconds)
    {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.push(Error::invalid(path, seconds, detail));
    }
}
