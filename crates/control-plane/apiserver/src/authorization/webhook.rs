//! An authorizer that another server is.

use tokio::time::Instant;
use windlass_api::{Chance, Expiring};
use windlass_auth::Attributes;
use windlass_auth::authorization::{Answer, Review, WebhookAuthorizer};
use windlass_webhook::{CallError, Remote, Retry};

use super::figures::Figures;
use super::verdict::{Outcome, Verdict};

/// Answers that are remembered of one webhook.
const REMEMBERED_MAX: usize = 8192;

pub(super) struct Webhook {
    settings: WebhookAuthorizer,
    remote: Remote,
    remembered: Expiring<String, Answer>,
    figures: Figures,
    chance: Chance,
}

/// What a webhook says before it is asked.
pub(super) enum Known {
    Verdict(Verdict),
    /// It has to be asked this.
    Unknown(Review),
}

impl Webhook {
    pub(super) fn new(settings: WebhookAuthorizer, remote: Remote, figures: Figures, chance: Chance) -> Self {
        Self { settings, remote, remembered: Expiring::new(REMEMBERED_MAX), figures, chance }
    }

    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    /// What is known without asking: the webhook is none for this request, or has answered the same lately.
    pub(super) fn known(&self, attributes: &Attributes<'_>) -> Known {
        let review = Review::of(attributes);
        if !self.settings.conditions.is_empty() {
            let started = Instant::now();
            let matched = self.settings.conditions.match_spec(review.spec());
            self.figures.matched(self.name(), &matched, started.elapsed());
            match matched {
                Ok(true) => {}
                Ok(false) => return Known::Verdict(no_opinion()),
                Err(why) => return Known::Verdict(self.failed(why)),
            }
        }
        match review.key().and_then(|key| self.remembered.get(&key)) {
            Some(answer) => Known::Verdict(verdict(&answer)),
            None => Known::Unknown(review),
        }
    }

    /// Asks, and remembers the answer.
    pub(super) async fn ask(&self, review: &Review) -> Verdict {
        let body = review.body(self.settings.version).to_string();
        let observe = |answered: &Result<windlass_webhook::Answer, CallError>, took| {
            self.figures.asked(self.name(), result(answered.as_ref().err()), took);
        };
        let answered =
            self.remote.post_patiently(body.into(), self.settings.timeout, Retry::REVIEWS, &self.chance, observe).await;
        let answer = match answered {
            Ok(answered) => Answer::read(&answered.body).map_err(|why| (why, "error")),
            Err(error) => Err((windlass_api::text::with_causes(&error), result(Some(&error)))),
        };
        match answer {
            Ok(answer) => {
                let ttl = if answer.allowed { self.settings.authorized_ttl } else { self.settings.unauthorized_ttl };
                if let Some(key) = review.key() {
                    self.remembered.put(key, answer.clone(), ttl);
                }
                verdict(&answer)
            }
            Err((why, result)) => {
                tracing::error!(webhook = self.name(), error = why, "an authorization webhook gave no answer");
                if !self.settings.denies_on_failure {
                    self.figures.failed_open(self.name(), result);
                }
                self.failed(why)
            }
        }
    }

    fn failed(&self, why: String) -> Verdict {
        let outcome = if self.settings.denies_on_failure { Outcome::Deny } else { Outcome::NoOpinion };
        Verdict { error: Some(why), ..outcome.into() }
    }
}

fn no_opinion() -> Verdict {
    Outcome::NoOpinion.into()
}

fn verdict(answer: &Answer) -> Verdict {
    let (decision, error) = answer.decision();
    Verdict { reason: answer.reason.clone(), error, ..decision.into() }
}

/// How an attempt ended, in the metrics' words.
fn result(error: Option<&CallError>) -> &'static str {
    match error {
        None => "success",
        Some(error) if error.is_timeout() => "timeout",
        Some(_) => "error",
    }
}
