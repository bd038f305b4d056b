//! Authorization by configuration: which authorizers are asked, in which order, and what webhooks among them are asked.
//!
//! Source: KEP-3221 (structured authorization), upstream `pkg/kubeapiserver/authorizer`, apiserver `plugin/pkg/authorizer/webhook`.

mod conditions;
mod configuration;
mod review;

pub use conditions::MatchConditions;
pub use configuration::{AuthorizationConfiguration, Authorizer, Own, WebhookAuthorizer, WebhookFlags};
pub use review::{Answer, Review, ReviewVersion};
