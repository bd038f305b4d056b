//! Admission webhooks: servers of users that may change what is written, and may refuse it.
//!
//! The configurations are compiled once for each version that is stored ([`configured`]). [`mutating`] asks one webhook after the other,
//! [`validating`] all at once. [`call`] is one question with its answer ([`response`]), [`denial`] what a refusal or a failure means to the
//! client. A write that no rule is about costs comparisons of words.
//!
//! Source: upstream apiserver `pkg/admission/plugin/webhook`.

mod call;
mod configured;
mod denial;
mod figures;
mod mutating;
mod patch;
mod response;
#[cfg(test)]
mod tests;
mod validating;

pub(crate) use figures::Figures;
pub(crate) use mutating::MutatingAdmissionWebhook;
pub(crate) use response::Response;
pub(crate) use validating::ValidatingAdmissionWebhook;
