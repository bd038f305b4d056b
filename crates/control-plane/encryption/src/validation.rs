//! Rules of an `EncryptionConfiguration`, in upstream's order and words.
//!
//! Source: upstream apiserver `pkg/apis/apiserver/validation/validation_encryption.go`.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::time::format_duration;
use windlass_api::url;
use windlass_machinery::configuration::{ConfigurationError, decode};

use crate::configuration::{
    EncryptionConfiguration, Key, KmsConfiguration, ProviderConfiguration, ResourceConfiguration,
};
use crate::key_ring::Algorithm;
use crate::rules::Pattern;

const KIND: &str = "EncryptionConfiguration";
/// What stands for a key in a message.
const REDACTED: &str = "REDACTED";

impl EncryptionConfiguration {
    /// Reads a configuration from YAML or JSON and validates it. `is_followed` says that the file is read again while the server runs.
    pub fn parse(text: &str, is_followed: bool) -> Result<Self, ConfigurationError> {
        let mut read: Self = decode(text, KIND)?;
        let providers = read.resources.iter_mut().flat_map(|rule| &mut rule.providers);
        for kms in providers.filter_map(|provider| provider.kms.as_mut()) {
            if kms.api_version.is_empty() {
                kms.api_version = "v1".to_owned();
            }
            if kms.api_version == "v1" && kms.cache_size.is_none() {
                kms.cache_size = Some(1000);
            }
        }
        let errors = validate(&read, is_followed);
        if errors.is_empty() { Ok(read) } else { Err(ConfigurationError::Invalid(errors)) }
    }
}

fn validate(configuration: &EncryptionConfiguration, is_followed: bool) -> Errors {
    let mut errors = Errors::new();
    let root = Path::new("resources");
    if configuration.resources.is_empty() {
        errors.push(Error::required(&root, "at least one resources is required"));
    }
    let mut kms_names = BTreeSet::new();
    for (index, rule) in configuration.resources.iter().enumerate() {
        let path = root.index(index);
        validate_resources(rule, &path.child("resources"), &mut errors);
        let path = path.child("providers");
        if rule.providers.is_empty() {
            errors.push(Error::required(&path, format!("at least one {path} is required")));
        }
        for (index, provider) in rule.providers.iter().enumerate() {
            let path = path.index(index);
            validate_one_of(provider, &path, &mut errors);
            if let Some(kms) = &provider.kms {
                validate_kms(kms, &kms_names, is_followed, &path.child("kms"), &mut errors);
                kms_names.insert(&kms.name);
            } else if let Some((algorithm, name, keys)) = key_ring(provider) {
                validate_keys(keys, algorithm, &path.child(name).child("keys"), &mut errors);
            }
        }
    }
    errors
}

/// The keys of a provider that has some of its own, and how they are named.
pub(crate) fn key_ring(provider: &ProviderConfiguration) -> Option<(Algorithm, &'static str, &[Key])> {
    let ProviderConfiguration { aesgcm, aescbc, secretbox, .. } = provider;
    let rings = [
        (Algorithm::AesGcm, "aesgcm", aesgcm),
        (Algorithm::AesCbc, "aescbc", aescbc),
        (Algorithm::Secretbox, "secretbox", secretbox),
    ];
    rings.into_iter().find_map(|(algorithm, name, ring)| Some((algorithm, name, ring.as_ref()?.keys.as_slice())))
}

fn validate_resources(rule: &ResourceConfiguration, path: &Path<'_>, errors: &mut Errors) {
    if rule.resources.is_empty() {
        errors.push(Error::required(path, format!("at least one {path} is required")));
    }
    let patterns: Vec<Pattern> = rule.resources.iter().map(|name| Pattern::parse(name)).collect();
    let pairs = || (0..patterns.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
    if pairs().any(|(a, b)| patterns[a] == patterns[b]) {
        errors.push(Error::invalid(
            path,
            rule.resources.clone(),
            "the same resource cannot be specified multiple times",
        ));
    }
    if pairs().any(|(a, b)| patterns[a].overlaps(&patterns[b])) {
        errors.push(Error::invalid(
            path,
            rule.resources.clone(),
            "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked",
        ));
    }
    for (index, (name, pattern)) in rule.resources.iter().zip(&patterns).enumerate() {
        if let Some(problem) = problem_of_name(name, pattern) {
            errors.push(Error::invalid(&path.index(index), name.as_str(), problem));
        }
    }
}

fn problem_of_name(name: &str, pattern: &Pattern) -> Option<&'static str> {
    if name.to_lowercase() != name {
        return Some("resource name should not contain capital letters");
    }
    match (name, pattern.group.as_str()) {
        ("*", _) => Some("use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources"),
        ("apiserveripinfo" | "serviceipallocations" | "servicenodeportallocations", _) => {
            Some("resources which do not have REST API/s cannot be encrypted")
        }
        (_, "events.k8s.io") => Some(
            "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in the config file",
        ),
        (_, "extensions") => Some("'extensions' group has been removed and cannot be used for encryption"),
        (_, "*") if pattern.resource != "*" => Some("encrypting the same resource across groups is not supported"),
        _ => None,
    }
}

fn validate_one_of(provider: &ProviderConfiguration, path: &Path<'_>, errors: &mut Errors) {
    let ProviderConfiguration { aesgcm, aescbc, secretbox, identity, kms } = provider;
    let all = [
        ("kms", kms.is_some()),
        ("aesgcm", aesgcm.is_some()),
        ("aescbc", aescbc.is_some()),
        ("secretbox", secretbox.is_some()),
        ("identity", identity.is_some()),
    ];
    let names: Vec<&str> = all.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect();
    let problem = match names.len() {
        0 => "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity",
        1 => return,
        _ => "more than one provider specified in a single element, should split into different list elements",
    };
    errors.push(Error::invalid(path, names, problem));
}

fn validate_keys(keys: &[Key], algorithm: Algorithm, path: &Path<'_>, errors: &mut Errors) {
    if keys.is_empty() {
        errors.push(Error::required(path, "at least one keys is required"));
    }
    for (index, key) in keys.iter().enumerate() {
        let path = path.index(index);
        if key.name.is_empty() {
            errors.push(Error::required(&path.child("name"), "name is a mandatory field for a key"));
        }
        let path = path.child("secret");
        if key.secret.is_empty() {
            errors.push(Error::required(&path, "secret is a mandatory field for a key"));
            continue;
        }
        let Ok(secret) = STANDARD.decode(&key.secret) else {
            errors.push(Error::invalid(&path, REDACTED, "secrets must be base64 encoded"));
            continue;
        };
        let lengths = algorithm.key_lengths();
        if !lengths.contains(&secret.len()) {
            let expected = lengths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            let problem =
                format!("secret is not of the expected length, got {}, expected one of [{expected}]", secret.len());
            errors.push(Error::invalid(&path, REDACTED, problem));
        }
    }
}

fn validate_kms(
    kms: &KmsConfiguration,
    names: &BTreeSet<&String>,
    is_followed: bool,
    path: &Path<'_>,
    errors: &mut Errors,
) {
    let KmsConfiguration { api_version, name, cache_size, endpoint, .. } = kms;
    let is_v1 = api_version == "v1";
    let at = path.child("name");
    if name.is_empty() {
        errors.push(Error::required(&at, "name is a mandatory field for a provider"));
    }
    if !is_v1 && name.contains(':') {
        errors.push(Error::invalid(
            &at,
            name.as_str(),
            format!("invalid KMS provider name {name}, must not contain ':'"),
        ));
    }
    if (is_followed || !is_v1) && names.contains(name) {
        errors.push(Error::invalid(
            &at,
            name.as_str(),
            format!("duplicate KMS provider name {name}, names must be unique"),
        ));
    }
    if kms.timeout().0 <= 0 {
        let shown = format_duration(kms.timeout().0);
        errors.push(Error::invalid(&path.child("timeout"), shown, "timeout should be a positive value"));
    }
    if let Some((value, problem)) = problem_of_endpoint(endpoint) {
        errors.push(Error::invalid(&path.child("endpoint"), value, problem));
    }
    let at = path.child("cachesize");
    match cache_size {
        Some(size) if !is_v1 => errors.push(Error::invalid(&at, *size, "cachesize is not supported in v2")),
        Some(0) => {
            errors.push(Error::invalid(&at, 0, "cachesize should be a positive value, or negative to disable"));
        }
        _ => {}
    }
    if !is_v1 && api_version != "v2" {
        let problem = "unsupported apiVersion apiVersion for KMS provider, only v1 and v2 are supported";
        errors.push(Error::invalid(&path.child("apiVersion"), api_version.as_str(), problem));
    }
}

fn problem_of_endpoint(endpoint: &str) -> Option<(&str, String)> {
    if endpoint.is_empty() {
        return Some(("", "endpoint is a mandatory field for a kms".to_owned()));
    }
    match url::parse(endpoint) {
        Err(error) => Some((endpoint, format!("invalid endpoint for kms provider, error: {error}"))),
        Ok(url) if url.scheme != "unix" => {
            Some((endpoint, format!("unsupported scheme {:?} for KMS provider, only unix is supported", url.scheme)))
        }
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::EncryptionConfiguration;

    fn problems(yaml: &str, is_followed: bool) -> String {
        let header = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n";
        EncryptionConfiguration::parse(&format!("{header}{yaml}"), is_followed)
            .map_or_else(|e| e.to_string(), |_| "ok".to_owned())
    }

    const KEY: &str = "c2VjcmV0IGlzIHNlY3VyZQ==";

    fn of(resources: &str, providers: &str) -> String {
        problems(&format!("resources: [{{resources: [{resources}], providers: [{providers}]}}]"), false)
    }

    fn gcm() -> String {
        format!("{{aesgcm: {{keys: [{{name: k, secret: {KEY}}}]}}}}")
    }

    /// What upstream says of the same files, here and below.
    #[test]
    fn something_must_be_said() {
        assert_eq!(of("secrets, '*.apps', pandas.awesome.bears.example", &gcm()), "ok");
        assert_eq!(of("secrets", "{identity: {}}"), "ok");
        assert_eq!(problems("resources: []", false), "resources: Required value: at least one resources is required");
        assert_eq!(
            of("", "{identity: {}}"),
            "resources[0].resources: Required value: at least one resources[0].resources is required"
        );
        assert_eq!(
            of("secrets", ""),
            "resources[0].providers: Required value: at least one resources[0].providers is required"
        );
    }

    #[test]
    fn resources_are_named_as_they_are_stored() {
        for (resources, expected) in [
            (
                "Secrets",
                r#"resources[0].resources[0]: Invalid value: "Secrets": resource name should not contain capital letters"#,
            ),
            (
                "'*'",
                r#"resources[0].resources[0]: Invalid value: "*": use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources"#,
            ),
            (
                "serviceipallocations",
                r#"resources[0].resources[0]: Invalid value: "serviceipallocations": resources which do not have REST API/s cannot be encrypted"#,
            ),
            (
                "events.events.k8s.io",
                r#"resources[0].resources[0]: Invalid value: "events.events.k8s.io": '*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in the config file"#,
            ),
            (
                "ingresses.extensions",
                r#"resources[0].resources[0]: Invalid value: "ingresses.extensions": 'extensions' group has been removed and cannot be used for encryption"#,
            ),
            (
                "secrets.*",
                r#"resources[0].resources[0]: Invalid value: "secrets.*": encrypting the same resource across groups is not supported"#,
            ),
            (
                "secrets, secrets",
                r#"resources[0].resources: Invalid value: ["secrets","secrets"]: the same resource cannot be specified multiple times"#,
            ),
            (
                "secrets, '*.'",
                r#"resources[0].resources: Invalid value: ["secrets","*."]: using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked"#,
            ),
        ] {
            assert_eq!(of(resources, &gcm()), expected);
        }
    }

    #[test]
    fn keys_and_services_are_checked() {
        for (provider, expected) in [
            ("{aesgcm: {keys: []}}", "aesgcm.keys: Required value: at least one keys is required"),
            (
                "{aesgcm: {keys: [{secret: c2VjcmV0IGlzIHNlY3VyZQ==}]}}",
                "aesgcm.keys[0].name: Required value: name is a mandatory field for a key",
            ),
            (
                "{aescbc: {keys: [{name: k}]}}",
                "aescbc.keys[0].secret: Required value: secret is a mandatory field for a key",
            ),
            (
                "{aescbc: {keys: [{name: k, secret: '%%'}]}}",
                "aescbc.keys[0].secret: Invalid value: \"REDACTED\": secrets must be base64 encoded",
            ),
            (
                "{aesgcm: {keys: [{name: k, secret: c2VjcmV0}]}}",
                "aesgcm.keys[0].secret: Invalid value: \"REDACTED\": secret is not of the expected length, got 6, expected one of [16 24 32]",
            ),
            (
                "{secretbox: {keys: [{name: k, secret: c2VjcmV0IGlzIHNlY3VyZQ==}]}}",
                "secretbox.keys[0].secret: Invalid value: \"REDACTED\": secret is not of the expected length, got 16, expected one of [32]",
            ),
            (
                "{kms: {apiVersion: v2, name: 'a:b', endpoint: 'unix:///a'}}",
                "kms.name: Invalid value: \"a:b\": invalid KMS provider name a:b, must not contain ':'",
            ),
            (
                "{kms: {apiVersion: v2, name: a, endpoint: 'tcp://a'}}",
                "kms.endpoint: Invalid value: \"tcp://a\": unsupported scheme \"tcp\" for KMS provider, only unix is supported",
            ),
            (
                "{kms: {apiVersion: v2, name: a}}",
                "kms.endpoint: Invalid value: \"\": endpoint is a mandatory field for a kms",
            ),
            (
                "{kms: {apiVersion: v2, name: a, endpoint: 'unix:///a', cachesize: 5}}",
                "kms.cachesize: Invalid value: 5: cachesize is not supported in v2",
            ),
            (
                "{kms: {apiVersion: v2, name: a, endpoint: 'unix:///a', timeout: 0s}}",
                "kms.timeout: Invalid value: \"0s\": timeout should be a positive value",
            ),
            (
                "{kms: {apiVersion: v3, name: a, endpoint: 'unix:///a'}}",
                "kms.apiVersion: Invalid value: \"v3\": unsupported apiVersion apiVersion for KMS provider, only v1 and v2 are supported",
            ),
        ] {
            assert_eq!(of("secrets", provider), format!("resources[0].providers[0].{expected}"));
        }
    }

    #[test]
    fn each_element_is_one_provider() {
        let twice = "{kms: {apiVersion: v2, name: a, endpoint: 'unix:///a'}}, {kms: {apiVersion: v2, name: a, endpoint: 'unix:///a'}}";
        assert_eq!(
            of("secrets", twice),
            "resources[0].providers[1].kms.name: Invalid value: \"a\": duplicate KMS provider name a, names must be unique"
        );
        assert!(of("secrets", "{}").contains(
            "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity"
        ));
        let both = format!("{{identity: {{}}, aesgcm: {{keys: [{{name: k, secret: {KEY}}}]}}}}");
        let refused = of("secrets", &both);
        assert!(refused.contains("more than one provider specified in a single element"), "{refused}");
        assert!(!refused.contains(KEY), "a key is shown");
        assert!(of("secrets", "{aesgcm: {keys: [], more: 1}}").starts_with("strict decoding error: "));
    }
}
