//! How a webhook is called: a URL or a Service, and whom to trust.
//!
//! Source: upstream apiserver `pkg/util/webhook/validation.go`, client-go `transport/transport.go`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_api::url;
use windlass_machinery::tree::{number, text};
use windlass_pki::Certificate;

use crate::rules::{at, object_at};

const URL_FORM: &str = "; desired format: https://host[/path]";
const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

pub(crate) fn validate(errors: &mut Errors, client: &Value, must_be_trusted: bool, path: &Path<'_>) {
    match (at(client, "url").and_then(Value::as_str), object_at(client, "service")) {
        (Some(url), None) => validate_url(errors, url, &path.child("url")),
        (None, Some(service)) => validate_service(errors, service, &path.child("service")),
        _ => errors.push(Error::required(path, "exactly one of url or service is required")),
    }
    if let Some(problem) = ca_bundle_problem(client).filter(|_| must_be_trusted) {
        errors.push(Error::invalid(&path.child("caBundle"), text(client, "caBundle"), problem));
    }
}

fn validate_url(errors: &mut Errors, written: &str, path: &Path<'_>) {
    let url = match url::parse(written) {
        Ok(url) => url,
        Err(problem) => {
            errors.push(Error::required(path, format!("url must be a valid URL: {problem}{URL_FORM}")));
            return;
        }
    };
    let mut refuse = |value: &str, detail: &str| errors.push(Error::invalid(path, value, detail));
    if url.scheme != "https" {
        refuse(&url.scheme, &format!("'https' is the only allowed URL scheme{URL_FORM}"));
    }
    if url.host.is_empty() {
        refuse("", &format!("host must be specified{URL_FORM}"));
    }
    if let Some(user) = url.user {
        refuse(user, "user information is not permitted in the URL");
    }
    if !url.fragment.is_empty() {
        refuse(url.fragment, "fragments are not permitted in the URL");
    }
    if !url.query.is_empty() {
        refuse(url.query, "query parameters are not permitted in the URL");
    }
}

fn validate_service(errors: &mut Errors, service: &Value, path: &Path<'_>) {
    // Upstream mixes the two up.
    for (field, shown) in [("namespace", "name"), ("name", "namespace")] {
        if text(service, field).is_empty() {
            errors.push(Error::required(&path.child(shown), ""));
        }
    }
    let port = number(service, "port");
    let problems = names::port_number(port);
    if !problems.is_empty() {
        let detail = format!("port is not valid: {}", problems.join(", "));
        errors.push(Error::invalid(&path.child("port"), port, detail));
    }
    validate_service_path(errors, text(service, "path"), &path.child("path"));
}

fn validate_service_path(errors: &mut Errors, written: &str, path: &Path<'_>) {
    let mut refuse = |detail: String| errors.push(Error::invalid(path, written, detail));
    match written {
        "" | "/" => return,
        "//" => {
            refuse("segment[0] may not be empty".to_owned());
            return;
        }
        _ => {}
    }
    if !written.starts_with('/') {
        refuse("must start with a '/'".to_owned());
    }
    // Upstream skips the first byte, whatever it is.
    let mut characters = written.chars();
    characters.next();
    let steps = characters.as_str();
    for (index, step) in steps.strip_suffix('/').unwrap_or(steps).split('/').enumerate() {
        if step.is_empty() {
            refuse(format!("segment[{index}] may not be empty"));
            continue;
        }
        names::dns1123_subdomain(step).into_iter().for_each(|problem| refuse(format!("segment[{index}]: {problem}")));
    }
}

/// Why the authorities of a client cannot be read; `None` also when there are none.
pub(crate) fn ca_bundle_problem(client: &Value) -> Option<String> {
    let encoded = text(client, "caBundle");
    if encoded.is_empty() {
        return None;
    }
    let bundle = BASE64.decode(encoded).unwrap_or_default();
    let bundle = String::from_utf8_lossy(&bundle);
    let mut problem = None;
    let mut rest = &*bundle;
    while !rest.is_empty() {
        let Some((block, after)) = next_block(rest) else {
            problem = problem.or(Some("unable to parse bytes as PEM block"));
            break;
        };
        rest = after;
        match block {
            Block::Other => {}
            Block::Certificate(der) => {
                if Certificate::parse(der.into()).is_ok() {
                    return None;
                }
                // Go has words for each way in which a certificate can be broken; these are for most of them.
                problem = problem.or(Some("failed to parse certificate: x509: malformed certificate"));
            }
        }
    }
    Some(format!("unable to load root certificates: {}", problem.unwrap_or("no valid certificate authority data seen")))
}

/// A block of PEM.
enum Block {
    Certificate(Vec<u8>),
    Other,
}

/// The next block of PEM that is well formed, and what follows it. Each byte is looked at once, however blocks begin and do not end.
fn next_block(text: &str) -> Option<(Block, &str)> {
    let mut at = 0;
    loop {
        let begin = at + text[at..].find(BEGIN)?;
        at = begin + BEGIN.len();
        if begin > 0 && !text[..begin].ends_with('\n') {
            continue;
        }
        let (line, body) = text[at..].split_once('\n')?;
        let Some(label) = line.trim_end().strip_suffix(DASHES) else { continue };
        let (body, after) = body.split_once(END)?;
        at = text.len() - after.len();
        let Some(after) = after.strip_prefix(label).and_then(|after| after.strip_prefix(DASHES)) else { continue };
        // A block with headers is no certificate.
        if body.contains(':') {
            return Some((Block::Other, after.trim_start()));
        }
        let compact: String = body.split_whitespace().collect();
        if let Ok(der) = BASE64.decode(compact) {
            let block = if label == "CERTIFICATE" { Block::Certificate(der) } else { Block::Other };
            return Some((block, after.trim_start()));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(client: Value) -> Vec<String> {
        let mut errors = Errors::new();
        validate(&mut errors, &client, true, &Path::new("c"));
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn urls() {
        let url = |url: &str| problems(json!({"url": url}));
        assert_eq!(url("https://host/path"), [] as [&str; 0]);
        let form = URL_FORM;
        assert_eq!(
            url("http://a@host?x#y"),
            [
                format!("c.url: Invalid value: \"http\": 'https' is the only allowed URL scheme{form}"),
                "c.url: Invalid value: \"a\": user information is not permitted in the URL".to_owned(),
                "c.url: Invalid value: \"y\": fragments are not permitted in the URL".to_owned(),
                "c.url: Invalid value: \"x\": query parameters are not permitted in the URL".to_owned(),
            ]
        );
        let missing = "c.url: Required value: url must be a valid URL: parse \":x\": missing protocol scheme";
        assert_eq!(url(":x"), [format!("{missing}{form}")]);
        assert_eq!(problems(json!({})), ["c: Required value: exactly one of url or service is required"]);
    }

    #[test]
    fn services() {
        let service =
            |path: &str| problems(json!({"service": {"name": "n", "namespace": "s", "port": 443, "path": path}}));
        for path in ["", "/", "/a", "/a/", "/a.b/c"] {
            assert_eq!(service(path), [] as [&str; 0], "{path}");
        }
        assert_eq!(service("//"), ["c.service.path: Invalid value: \"//\": segment[0] may not be empty"]);
        assert_eq!(service("/a//b"), ["c.service.path: Invalid value: \"/a//b\": segment[1] may not be empty"]);
        assert_eq!(service("xa"), ["c.service.path: Invalid value: \"xa\": must start with a '/'"]);
        let found = problems(json!({"service": {"port": 0}}));
        assert_eq!(found[0], "c.service.name: Required value");
        assert_eq!(found[1], "c.service.namespace: Required value");
        assert!(found[2].starts_with("c.service.port: Invalid value: 0: port is not valid: must be between"));
    }

    #[test]
    fn authorities() {
        let bundle = |pem: &str| ca_bundle_problem(&json!({"caBundle": BASE64.encode(pem)})).unwrap_or_default();
        let failed = |why: &str| format!("unable to load root certificates: {why}");
        assert_eq!(bundle("junk"), failed("unable to parse bytes as PEM block"));
        let key = "-----BEGIN KEY-----\nAAAA\n-----END KEY-----\n";
        assert_eq!(bundle(key), failed("no valid certificate authority data seen"));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(bundle(broken), failed("failed to parse certificate: x509: malformed certificate"));
        let no_pem = failed("unable to parse bytes as PEM block");
        assert_eq!(bundle("-----BEGIN CERTIFICATE-----\nAAAA\n-----END KEY-----\n"), no_pem);
        assert_eq!(bundle(&"-----BEGIN CERTIFICATE-----\n".repeat(50_000)), no_pem);
        let authority = windlass_pki::Ca::create("test", windlass_api::Timestamp::UNIX_EPOCH).unwrap();
        let authority = authority.certificate().to_pem();
        assert_eq!(bundle(&authority), "");
        assert_eq!(bundle(&format!("{broken}text\n{key}{authority}")), "");
        assert_eq!(ca_bundle_problem(&json!({})), None);
    }
}
