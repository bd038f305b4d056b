//! What an administrator decides about Pod Security: `PodSecurityConfiguration` of `pod-security.admission.config.k8s.io`.

use std::collections::HashSet;

use serde::Deserialize;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;

use super::Exemptions;
use super::level::{Level, LevelVersion, Version};
use super::policy::Policy;

pub(crate) const GROUP: &str = "pod-security.admission.config.k8s.io";
pub(crate) const KIND: &str = "PodSecurityConfiguration";

/// What counts for namespaces and requests that say nothing of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// What counts where a namespace has no label.
    pub defaults: Policy,
    pub exemptions: Exemptions,
}

/// The configuration as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Written {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    defaults: Defaults,
    exemptions: Exemptions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Defaults {
    enforce: String,
    enforce_version: String,
    warn: String,
    warn_version: String,
    audit: String,
    audit_version: String,
}

impl Written {
    pub(crate) fn check(self) -> Result<Configuration, Errors> {
        let (mut errors, of) = (Errors::new(), self.defaults);
        let mut mode = |name: &str, level: &str, version: &str| {
            let path = Path::new("defaults");
            let level = or(level, "privileged", Level::parse, &path.child(name), &mut errors);
            let version = or(version, "latest", Version::parse, &path.child(&format!("{name}-version")), &mut errors);
            LevelVersion { level, version }
        };
        let defaults = Policy {
            enforce: mode("enforce", &of.enforce, &of.enforce_version),
            warn: mode("warn", &of.warn, &of.warn_version),
            audit: mode("audit", &of.audit, &of.audit_version),
        };
        let path = Path::new("exemptions");
        let username = |name: &str| {
            if name.is_empty() { vec!["username must not be empty".to_owned()] } else { Vec::new() }
        };
        check_names(&path.child("namespaces"), &self.exemptions.namespaces, names::dns1123_label, &mut errors);
        let classes = &self.exemptions.runtime_classes;
        check_names(&path.child("runtimeClasses"), classes, names::dns1123_subdomain, &mut errors);
        check_names(&path.child("usernames"), &self.exemptions.usernames, username, &mut errors);
        if errors.is_empty() { Ok(Configuration { defaults, exemptions: self.exemptions }) } else { Err(errors) }
    }
}

fn or<T: Default>(
    text: &str,
    default: &str,
    parse: fn(&str) -> Result<T, &'static str>,
    path: &Path,
    errors: &mut Errors,
) -> T {
    let parsed = parse(if text.is_empty() { default } else { text });
    parsed.unwrap_or_else(|why| {
        errors.push(Error::invalid(path, text, why));
        T::default()
    })
}

fn check_names(path: &Path, given: &[String], rule: impl Fn(&str) -> Vec<String>, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for (index, name) in given.iter().enumerate() {
        let problems = rule(name);
        if !problems.is_empty() {
            errors.push(Error::invalid(&path.index(index), name.as_str(), problems.join(", ")));
        } else if !seen.insert(name) {
            errors.push(Error::duplicate(&path.index(index), name.as_str()));
        }
    }
}
