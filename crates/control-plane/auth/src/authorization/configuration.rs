//! `AuthorizationConfiguration`: the authorizers in their order.

use std::path::{Path as FilePath, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_api::text::aggregate;
use windlass_api::time::format_duration;

use super::conditions::MatchConditions;
use super::review::ReviewVersion;
use windlass_machinery::configuration::{ConfigurationError, Nanos, decode};

const KIND: &str = "AuthorizationConfiguration";
const WEBHOOK: &str = "Webhook";
const TYPES: [&str; 6] = ["ABAC", "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", WEBHOOK];

/// Answers of webhooks are remembered this long, unless the configuration says otherwise.
const AUTHORIZED: Nanos = Nanos(300_000_000_000);
const UNAUTHORIZED: Nanos = Nanos(30_000_000_000);
const TIMEOUT_MAX: Nanos = Nanos(30_000_000_000);

/// The configuration as it is written, its defaults filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AuthorizationConfiguration {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    authorizers: Vec<Written>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    r#type: String,
    name: String,
    webhook: Option<WrittenWebhook>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct WrittenWebhook {
    #[serde(rename = "authorizedTTL")]
    authorized_ttl: Nanos,
    cache_authorized_requests: Option<bool>,
    #[serde(rename = "unauthorizedTTL")]
    unauthorized_ttl: Nanos,
    cache_unauthorized_requests: Option<bool>,
    timeout: Nanos,
    subject_access_review_version: String,
    match_condition_subject_access_review_version: String,
    failure_policy: String,
    connection_info: ConnectionInfo,
    match_conditions: Vec<MatchCondition>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct ConnectionInfo {
    r#type: String,
    kube_config_file: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MatchCondition {
    expression: String,
}

/// An authorizer of the chain, ready to be asked.
#[derive(Debug)]
pub enum Authorizer {
    Own(Own),
    Webhook(Box<WebhookAuthorizer>),
}

/// An authorizer that the server is itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    AlwaysAllow,
    AlwaysDeny,
    Node,
    Rbac,
}

impl Own {
    const ALL: [Self; 4] = [Self::AlwaysAllow, Self::AlwaysDeny, Self::Node, Self::Rbac];

    /// The `type` in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::AlwaysAllow => "AlwaysAllow",
            Self::AlwaysDeny => "AlwaysDeny",
            Self::Node => "Node",
            Self::Rbac => "RBAC",
        }
    }
}

/// How a webhook is asked.
#[derive(Debug)]
pub struct WebhookAuthorizer {
    pub name: String,
    /// How long answers are remembered; not at all when it is zero.
    pub authorized_ttl: Duration,
    pub unauthorized_ttl: Duration,
    /// How long one attempt may take.
    pub timeout: Duration,
    pub version: ReviewVersion,
    /// Without an answer, the request is denied; otherwise the next authorizer is asked.
    pub denies_on_failure: bool,
    pub kubeconfig: PathBuf,
    pub conditions: MatchConditions,
}

/// The settings of `--authorization-mode` and `--authorization-webhook-…`.
#[derive(Clone, Debug, Default)]
pub struct WebhookFlags {
    pub config_file: Option<PathBuf>,
    /// `v1beta1` unless it is said otherwise.
    pub version: Option<String>,
    pub authorized_ttl: Option<Duration>,
    pub unauthorized_ttl: Option<Duration>,
}

impl AuthorizationConfiguration {
    /// Reads a configuration from YAML or JSON; nothing is validated.
    pub fn parse(text: &str) -> Result<Self, ConfigurationError> {
        let mut read: Self = decode(text, KIND)?;
        for webhook in read.authorizers.iter_mut().filter_map(|authorizer| authorizer.webhook.as_mut()) {
            let defaults = [(&mut webhook.authorized_ttl, AUTHORIZED), (&mut webhook.unauthorized_ttl, UNAUTHORIZED)];
            for (ttl, default) in defaults {
                if *ttl == Nanos::default() {
                    *ttl = default;
                }
            }
        }
        Ok(read)
    }

    /// Validates the configuration. `check` says what is wrong with the path of a file; `required` are the types, webhooks aside, that a
    /// configuration must not lack.
    pub fn authorizers(
        &self,
        check: &dyn Fn(&FilePath) -> Result<(), String>,
        required: &[String],
    ) -> Result<Vec<Authorizer>, ConfigurationError> {
        let mut errors = Errors::new();
        let mut authorizers = Vec::new();
        let root = Path::new("authorizers");
        if self.authorizers.is_empty() {
            errors.push(Error::required(&root, "at least one authorization mode must be defined"));
        }
        for (index, written) in self.authorizers.iter().enumerate() {
            let path = root.index(index);
            authorizers.extend(written.compile(&self.authorizers[..index], check, &mut errors, &path));
        }
        if !errors.is_empty() {
            return Err(ConfigurationError::Invalid(errors));
        }
        let refused = self.refused(required);
        if refused.is_empty() { Ok(authorizers) } else { Err(ConfigurationError::Refused(aggregate(refused))) }
    }

    /// The types that the configuration has, webhooks aside.
    pub fn types(&self) -> Vec<String> {
        self.authorizers.iter().map(|written| written.r#type.clone()).filter(|of| of != WEBHOOK).collect()
    }

    fn refused(&self, required: &[String]) -> Vec<String> {
        let mut refused = Vec::new();
        for Written { r#type: of, name, .. } in self.authorizers.iter().filter(|written| written.r#type != WEBHOOK) {
            let expected = of.to_lowercase();
            if *name != expected {
                refused.push(format!("expected name {expected} for authorizer {of} instead of {name}"));
            }
            if of == "ABAC" {
                refused.push("authorizer type ABAC is not supported here; use RBAC".to_owned());
            }
        }
        let types = self.types();
        let missing: Vec<&str> = required.iter().filter(|of| !types.contains(of)).map(String::as_str).collect();
        if !missing.is_empty() {
            refused.push(format!("missing required types: [{}]", missing.join(" ")));
        }
        // What was not there at the start is not looked after.
        let extra = types
            .iter()
            .filter(|of| !required.is_empty() && matches!(of.as_str(), "Node" | "RBAC") && !required.contains(of));
        refused.extend(
            extra.map(|of| {
                format!("authorizer type {of} is not allowed if it was not enabled at initial server startup")
            }),
        );
        refused
    }

    /// The authorizers that flags name.
    pub fn of_flags(modes: &[String], webhook: &WebhookFlags) -> Result<Self, ConfigurationError> {
        let mut refused = Vec::new();
        for (index, mode) in modes.iter().enumerate() {
            if !TYPES.contains(&mode.as_str()) {
                refused.push(format!("authorization-mode {mode:?} is not a valid mode"));
            }
            if modes[..index].contains(mode) {
                let all: Vec<String> = modes.iter().map(|mode| format!("{mode:?}")).collect();
                refused.push(format!("authorization-mode [{}] has mode specified more than once", all.join(" ")));
            }
        }
        let has_webhook = modes.iter().any(|mode| mode == WEBHOOK);
        if has_webhook && webhook.config_file.is_none() {
            refused.push("authorization-mode Webhook's authorization config file not passed".to_owned());
        }
        if !has_webhook && webhook.config_file.is_some() {
            refused.push("cannot specify --authorization-webhook-config-file without mode Webhook".to_owned());
        }
        if !refused.is_empty() {
            return Err(ConfigurationError::Refused(aggregate(refused)));
        }
        let authorizers = modes.iter().map(|mode| match mode.as_str() {
            WEBHOOK => Written { r#type: mode.clone(), name: "default".to_owned(), webhook: Some(webhook.into()) },
            _ => Written { r#type: mode.clone(), name: mode.to_lowercase(), webhook: None },
        });
        Ok(Self { authorizers: authorizers.collect(), ..Self::default() })
    }
}

impl From<&WebhookFlags> for WrittenWebhook {
    fn from(flags: &WebhookFlags) -> Self {
        let nanos = |ttl: Option<Duration>, default: Nanos| {
            ttl.map_or(default, |ttl| Nanos(i64::try_from(ttl.as_nanos()).unwrap_or(i64::MAX)))
        };
        let file = flags.config_file.as_deref().map(|file| file.display().to_string());
        let authorized = nanos(flags.authorized_ttl, AUTHORIZED);
        let unauthorized = nanos(flags.unauthorized_ttl, UNAUTHORIZED);
        // Zero means that nothing is remembered, where a file would mean the default.
        let or_default = |ttl: Nanos, default| if ttl.0 == 0 { default } else { ttl };
        Self {
            authorized_ttl: or_default(authorized, AUTHORIZED),
            cache_authorized_requests: Some(authorized.0 != 0),
            unauthorized_ttl: or_default(unauthorized, UNAUTHORIZED),
            cache_unauthorized_requests: Some(unauthorized.0 != 0),
            timeout: TIMEOUT_MAX,
            subject_access_review_version: flags.version.clone().unwrap_or_else(|| "v1beta1".to_owned()),
            failure_policy: "NoOpinion".to_owned(),
            connection_info: ConnectionInfo { r#type: "KubeConfigFile".to_owned(), kube_config_file: file },
            ..Self::default()
        }
    }
}

impl Written {
    fn compile(
        &self,
        before: &[Self],
        check: &dyn Fn(&FilePath) -> Result<(), String>,
        errors: &mut Errors,
        path: &Path<'_>,
    ) -> Option<Authorizer> {
        let (of, name) = (self.r#type.as_str(), self.name.as_str());
        let type_path = path.child("type");
        if of.is_empty() {
            errors.push(Error::required(&type_path, ""));
            return None;
        }
        if !TYPES.contains(&of) {
            errors.push(Error::not_supported(&type_path, of, &TYPES));
            return None;
        }
        if of != WEBHOOK && before.iter().any(|before| before.r#type == of) {
            errors.push(Error::duplicate(&type_path, of));
            return None;
        }
        let name_path = path.child("name");
        if name.is_empty() {
            errors.push(Error::required(&name_path, ""));
        } else if before.iter().any(|before| before.name == name) {
            errors.push(Error::duplicate(&name_path, name));
        } else {
            let problems = names::dns1123_subdomain(name);
            if !problems.is_empty() {
                let detail = format!("authorizer name is invalid: {}", problems.join(", "));
                errors.push(Error::invalid(&name_path, name, detail));
            }
        }
        let webhook_path = path.child("webhook");
        match (of, &self.webhook) {
            (WEBHOOK, None) => errors.push(Error::required(&webhook_path, "required when type=Webhook")),
            (WEBHOOK, Some(webhook)) => {
                return webhook
                    .compile(name, check, errors, path)
                    .map(|webhook| Authorizer::Webhook(Box::new(webhook)));
            }
            (_, Some(_)) => {
                let detail = "may only be specified when type=Webhook";
                errors.push(Error::invalid(&webhook_path, "non-null", detail));
            }
            (of, None) => return Own::ALL.into_iter().find(|own| own.name() == of).map(Authorizer::Own),
        }
        None
    }
}

impl WrittenWebhook {
    fn compile(
        &self,
        name: &str,
        check: &dyn Fn(&FilePath) -> Result<(), String>,
        errors: &mut Errors,
        path: &Path<'_>,
    ) -> Option<WebhookAuthorizer> {
        let timeout = path.child("timeout");
        if self.timeout.0 == 0 {
            errors.push(Error::required(&timeout, ""));
        } else if !(0..=TIMEOUT_MAX.0).contains(&self.timeout.0) {
            errors.push(Error::invalid(&timeout, format_duration(self.timeout.0), "must be > 0s and <= 30s"));
        }
        for (field, ttl) in [("authorizedTTL", self.authorized_ttl), ("unauthorizedTTL", self.unauthorized_ttl)] {
            if ttl.0 < 0 {
                errors.push(Error::invalid(&path.child(field), format_duration(ttl.0), "must be > 0s"));
            }
        }
        let version_path = path.child("subjectAccessReviewVersion");
        let version = match self.subject_access_review_version.as_str() {
            "" => {
                errors.push(Error::required(&version_path, ""));
                None
            }
            version => {
                let found = ReviewVersion::parse(version);
                if found.is_none() {
                    errors.push(Error::not_supported(&version_path, version, &["v1", "v1beta1"]));
                }
                found
            }
        };
        let of_conditions = path.child("matchConditionSubjectAccessReviewVersion");
        match self.match_condition_subject_access_review_version.as_str() {
            "" if !self.match_conditions.is_empty() => {
                errors.push(Error::required(&of_conditions, "required if match conditions are specified"));
            }
            "" | "v1" => {}
            other => errors.push(Error::not_supported(&of_conditions, other, &["v1"])),
        }
        let policy = path.child("failurePolicy");
        match self.failure_policy.as_str() {
            "" => errors.push(Error::required(&policy, "")),
            "NoOpinion" | "Deny" => {}
            other => errors.push(Error::not_supported(&policy, other, &["NoOpinion", "Deny"])),
        }
        self.connection_info.check(check, errors, &path.child("connectionInfo"));
        let expressions: Vec<&str> = self.match_conditions.iter().map(|it| it.expression.as_str()).collect();
        let conditions = MatchConditions::compile(&expressions, errors, &path.child("matchConditions"));
        let remembered = |ttl: Nanos, is_remembered: Option<bool>| match is_remembered {
            Some(false) => Duration::ZERO,
            _ => ttl.into(),
        };
        Some(WebhookAuthorizer {
            name: name.to_owned(),
            authorized_ttl: remembered(self.authorized_ttl, self.cache_authorized_requests),
            unauthorized_ttl: remembered(self.unauthorized_ttl, self.cache_unauthorized_requests),
            timeout: self.timeout.into(),
            version: version?,
            denies_on_failure: self.failure_policy == "Deny",
            kubeconfig: self.connection_info.kube_config_file.clone().unwrap_or_default().into(),
            conditions,
        })
    }
}

impl ConnectionInfo {
    fn check(&self, check: &dyn Fn(&FilePath) -> Result<(), String>, errors: &mut Errors, path: &Path<'_>) {
        let (type_path, file_path) = (path.child("type"), path.child("kubeConfigFile"));
        let file = self.kube_config_file.as_deref();
        match self.r#type.as_str() {
            "" => errors.push(Error::required(&type_path, "")),
            "InClusterConfig" => {
                if let Some(file) = file {
                    errors.push(Error::invalid(&file_path, file, "can only be set when type=KubeConfigFile"));
                }
                // It would ask itself.
                let detail = "this mode is not allowed for kube-apiserver; use KubeConfigFile";
                errors.push(Error::invalid(&type_path, "InClusterConfig", detail));
            }
            "KubeConfigFile" => match file {
                None | Some("") => errors.push(Error::required(&file_path, "")),
                Some(file) if !FilePath::new(file).is_absolute() => {
                    errors.push(Error::invalid(&file_path, file, "must be an absolute path"));
                }
                Some(file) => {
                    if let Err(problem) = check(FilePath::new(file)) {
                        errors.push(Error::invalid(&file_path, file, problem));
                    }
                }
            },
            other => errors.push(Error::not_supported(&type_path, other, &["InClusterConfig", "KubeConfigFile"])),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(authorizers: &Value) -> Result<Vec<Authorizer>, String> {
        read_again(authorizers, &[])
    }

    fn read_again(authorizers: &Value, required: &[&str]) -> Result<Vec<Authorizer>, String> {
        let text = json!({"apiVersion": "apiserver.config.k8s.io/v1", "kind": KIND, "authorizers": authorizers});
        let required: Vec<String> = required.iter().map(|of| (*of).to_owned()).collect();
        let check = |path: &FilePath| match path.to_str() {
            Some("/there") => Ok(()),
            _ => Err("error loading file: it is not there".to_owned()),
        };
        let parsed = AuthorizationConfiguration::parse(&text.to_string());
        parsed.and_then(|parsed| parsed.authorizers(&check, &required)).map_err(|error| error.to_string())
    }

    fn webhook(more: &Value) -> Value {
        let mut webhook = json!({
            "timeout": "3s", "subjectAccessReviewVersion": "v1", "failurePolicy": "Deny",
            "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": "/there"},
        });
        for (field, value) in more.as_object().unwrap() {
            webhook[field] = value.clone();
        }
        json!([{"type": "Webhook", "name": "w", "webhook": webhook}])
    }

    #[test]
    fn chains() {
        let own = [json!({"type": "Node", "name": "node"}), json!({"type": "RBAC", "name": "rbac"})];
        let mut all = webhook(&json!({})).as_array().unwrap().clone();
        all.extend(own);
        let read = read(&json!(all)).unwrap();
        let [Authorizer::Webhook(webhook), Authorizer::Own(Own::Node), Authorizer::Own(Own::Rbac)] = read.as_slice()
        else {
            panic!("{read:?}")
        };
        let seconds = [webhook.authorized_ttl, webhook.unauthorized_ttl, webhook.timeout].map(|it| it.as_secs());
        assert_eq!((seconds, webhook.denies_on_failure), ([300, 30, 3], true));
        let uncached = json!({"cacheAuthorizedRequests": false, "cacheUnauthorizedRequests": false});
        let uncached = super::tests::read(&super::tests::webhook(&uncached)).unwrap();
        let [Authorizer::Webhook(webhook)] = uncached.as_slice() else { panic!("{uncached:?}") };
        assert!(webhook.authorized_ttl.is_zero() && webhook.unauthorized_ttl.is_zero());
    }

    #[test]
    fn what_is_wrong_with_chains() {
        let rbac = json!({"type": "RBAC", "name": "rbac"});
        for (authorizers, why) in [
            (json!([]), "authorizers: Required value: at least one authorization mode must be defined"),
            (json!([{}]), "authorizers[0].type: Required value"),
            (
                json!([{"type": "Magic", "name": "m"}]),
                "authorizers[0].type: Unsupported value: \"Magic\": supported values: \"ABAC\", \"AlwaysAllow\", \"AlwaysDeny\", \"Node\", \"RBAC\", \"Webhook\"",
            ),
            (json!([rbac, rbac]), "authorizers[1].type: Duplicate value: \"RBAC\""),
            (json!([{"type": "RBAC"}]), "authorizers[0].name: Required value"),
            (json!([{"type": "RBAC", "name": "r"}]), "expected name rbac for authorizer RBAC instead of r"),
            (json!([{"type": "ABAC", "name": "abac"}]), "authorizer type ABAC is not supported here; use RBAC"),
            (
                json!([{"type": "RBAC", "name": "rbac", "webhook": {}}]),
                "authorizers[0].webhook: Invalid value: \"non-null\": may only be specified when type=Webhook",
            ),
            (
                json!([{"type": "Webhook", "name": "w"}]),
                "authorizers[0].webhook: Required value: required when type=Webhook",
            ),
            (webhook(&json!({"timeout": null})), "strict decoding error"),
            (
                webhook(&json!({"timeout": "31s"})),
                "authorizers[0].timeout: Invalid value: \"31s\": must be > 0s and <= 30s",
            ),
            (webhook(&json!({"timeout": "soon"})), "strict decoding error"),
            (
                webhook(&json!({"authorizedTTL": "-1s"})),
                "authorizers[0].authorizedTTL: Invalid value: \"-1s\": must be > 0s",
            ),
            (
                webhook(&json!({"subjectAccessReviewVersion": "v2"})),
                "authorizers[0].subjectAccessReviewVersion: Unsupported value: \"v2\": supported values: \"v1\", \"v1beta1\"",
            ),
            (
                webhook(&json!({"failurePolicy": "Allow"})),
                "authorizers[0].failurePolicy: Unsupported value: \"Allow\": supported values: \"NoOpinion\", \"Deny\"",
            ),
            (
                webhook(&json!({"connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": "here"}})),
                "authorizers[0].connectionInfo.kubeConfigFile: Invalid value: \"here\": must be an absolute path",
            ),
            (
                webhook(&json!({"connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": "/gone"}})),
                "authorizers[0].connectionInfo.kubeConfigFile: Invalid value: \"/gone\": error loading file: it is not there",
            ),
            (
                webhook(&json!({"connectionInfo": {"type": "InClusterConfig"}})),
                "authorizers[0].connectionInfo.type: Invalid value: \"InClusterConfig\": this mode is not allowed for kube-apiserver; use KubeConfigFile",
            ),
            (
                webhook(&json!({"matchConditions": [{"expression": "true"}]})),
                "authorizers[0].matchConditionSubjectAccessReviewVersion: Required value: required if match conditions are specified",
            ),
            (
                webhook(
                    &json!({"matchConditionSubjectAccessReviewVersion": "v1", "matchConditions": [{"expression": "1"}]}),
                ),
                "authorizers[0].matchConditions[0].expression: Invalid value: \"1\": must evaluate to bool but got int",
            ),
            (
                webhook(
                    &json!({"matchConditionSubjectAccessReviewVersion": "v1", "matchConditions": [{"expression": " "}]}),
                ),
                "authorizers[0].matchConditions[0].expression: Required value",
            ),
            (
                webhook(
                    &json!({"matchConditionSubjectAccessReviewVersion": "v1", "matchConditions": [{"expression": "request.usr == ''"}]}),
                ),
                "authorizers[0].matchConditions[0].expression: Invalid value: \"request.usr == ''\": compilation failed: ERROR: <input>:1:8: undefined field 'usr'",
            ),
        ] {
            let found = read(&authorizers).map(|all| all.len()).unwrap_err();
            assert!(found.starts_with(why), "{authorizers}: {found}");
        }
    }

    #[test]
    fn what_a_later_file_may_change() {
        let own = json!([{"type": "Node", "name": "node"}, {"type": "RBAC", "name": "rbac"}]);
        assert_eq!(read_again(&own, &["Node", "RBAC"]).unwrap().len(), 2);
        let refused = read_again(&json!([own[0]]), &["Node", "RBAC"]).unwrap_err();
        assert_eq!(refused, "missing required types: [RBAC]");
        let refused = read_again(&own, &["Node"]).unwrap_err();
        assert_eq!(refused, "authorizer type RBAC is not allowed if it was not enabled at initial server startup");
    }

    #[test]
    fn flags() {
        let of = |modes: &[&str], file: Option<&str>| {
            let modes: Vec<String> = modes.iter().map(|mode| (*mode).to_owned()).collect();
            let webhook = WebhookFlags { config_file: file.map(PathBuf::from), ..WebhookFlags::default() };
            let configuration = AuthorizationConfiguration::of_flags(&modes, &webhook);
            configuration.and_then(|it| it.authorizers(&|_| Ok(()), &[])).map_err(|error| error.to_string())
        };
        let [Authorizer::Own(Own::Node), Authorizer::Webhook(webhook)] =
            &of(&["Node", "Webhook"], Some("/w")).unwrap()[..]
        else {
            panic!()
        };
        assert_eq!((webhook.name.as_str(), webhook.version), ("default", ReviewVersion::V1Beta1));
        assert!(!webhook.denies_on_failure);
        for (modes, file, why) in [
            (&["Magic"][..], None, "authorization-mode \"Magic\" is not a valid mode"),
            (&["RBAC", "RBAC"], None, "authorization-mode [\"RBAC\" \"RBAC\"] has mode specified more than once"),
            (&["Webhook"], None, "authorization-mode Webhook's authorization config file not passed"),
            (&["RBAC"], Some("/w"), "cannot specify --authorization-webhook-config-file without mode Webhook"),
        ] {
            assert_eq!(of(modes, file).map(|all| all.len()).unwrap_err(), why);
        }
    }

    #[test]
    fn conditions() {
        use crate::authorization::Review;
        use crate::{Attributes, User};
        let jane = User::new("jane", &["dev"]);
        let get = Attributes { resource: "pods", namespace: "team", ..Attributes::of(&jane, "get") };
        let (get, path) = (Review::of(&get), Review::of(&Attributes { path: "/x", ..Attributes::of(&jane, "get") }));
        let matches = |expressions: &[&str], review: &Review| {
            let mut errors = Errors::new();
            let conditions = MatchConditions::compile(expressions, &mut errors, &Path::new("c"));
            assert!(errors.is_empty(), "{:?}", errors.first());
            conditions.match_spec(review.spec())
        };
        assert_eq!(matches(&[], &get), Ok(true));
        let in_team = "has(request.resourceAttributes) && request.resourceAttributes.namespace == 'team'";
        assert_eq!((matches(&[in_team], &get), matches(&[in_team], &path)), (Ok(true), Ok(false)));
        assert_eq!(matches(&["'dev' in request.groups", "request.user == 'joe'"], &get), Ok(false));
        let of_path = "request.nonResourceAttributes.path == '/x'";
        assert_eq!(matches(&[of_path, "false"], &get), Ok(false), "what is false decides");
        let why = matches(&[of_path], &get).unwrap_err();
        assert!(why.starts_with("cel evaluation error: expression 'request.nonResourceAttributes.path == '/x'' resulted in error: no such key"), "{why}");
        assert_eq!(matches(&["request.extra == {} && request.resourceAttributes.name == ''"], &get), Ok(true));
    }
}
