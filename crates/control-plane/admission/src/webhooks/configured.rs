//! Webhooks as their configurations describe them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use windlass_api::Status;
use windlass_cel::Patterns;
use windlass_machinery::tree::{items, number, text};
use windlass_webhook::{ClientConfig, ConfigError};

use crate::expressions::{Inputs, MatchConditions, Variables, Versioned, Write};
use crate::matching::{Followed, Matched, Matcher};
use crate::review::{Cluster, Review};

/// All webhooks of one kind of configuration.
pub(super) type Configurations = Followed<Vec<Webhook>>;

pub(super) fn configurations(table: &'static str) -> Configurations {
    Followed::new(table, |configuration| {
        let name = text(&configuration["metadata"], "name");
        let patterns = Patterns::of_expressions();
        let hooks = items(configuration, "webhooks").enumerate();
        hooks.map(|(index, hook)| Webhook::read(name, index, hook, &patterns)).collect()
    })
}

/// An entry of `webhooks`.
#[derive(Debug)]
pub(super) struct Webhook {
    pub name: String,
    pub configuration: String,
    /// Names it among all webhooks.
    pub id: String,
    pub client: Result<ClientConfig, ConfigError>,
    pub timeout: Duration,
    /// When it cannot be asked, the write goes on (`failurePolicy: Ignore`).
    pub fails_open: bool,
    /// It may be asked about writes that are only tried.
    pub takes_dry_run: bool,
    /// The versions of reviews that it knows, its favourite first.
    pub review_versions: Vec<String>,
    /// It wants to see what others have changed after it.
    pub is_reinvoked: bool,
    matcher: Matcher,
    conditions: MatchConditions,
}

impl Webhook {
    fn read(configuration: &str, index: usize, hook: &Value, patterns: &Arc<Patterns>) -> Self {
        let name = text(hook, "name");
        let seconds = u64::try_from(number(hook, "timeoutSeconds")).ok().filter(|seconds| *seconds > 0);
        Self {
            name: name.to_owned(),
            configuration: configuration.to_owned(),
            id: format!("{configuration}/{name}/{index}"),
            client: ClientConfig::read(&hook["clientConfig"]),
            timeout: Duration::from_secs(seconds.unwrap_or(10)),
            fails_open: text(hook, "failurePolicy") == "Ignore",
            takes_dry_run: ["None", "NoneOnDryRun"].contains(&text(hook, "sideEffects")),
            review_versions: items(hook, "admissionReviewVersions")
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            is_reinvoked: text(hook, "reinvocationPolicy") == "IfNeeded",
            matcher: Matcher::of_webhook(hook),
            conditions: MatchConditions::of_webhook(hook, patterns),
        }
    }

    /// As what the webhook is asked about a write; `None` when it is not.
    pub(super) fn matches<'a>(
        &self,
        review: &Review<'a>,
        cluster: &dyn Cluster,
    ) -> Result<Option<Matched<'a>>, Status> {
        self.matcher.matches(review, cluster)
    }

    /// Whether the conditions hold for a write that matches.
    pub(super) fn holds(
        &self,
        review: &Review<'_>,
        versioned: &Versioned<'_>,
        cluster: &dyn Cluster,
    ) -> Result<bool, Status> {
        if self.conditions.is_empty() {
            return Ok(true);
        }
        let write = Write::of(review, versioned, cluster);
        self.conditions.evaluate(&Inputs::of(&write), &Variables::default()).map_err(|why| review.forbidden(why))
    }
}
