//! What is wrong with a definition, in upstream's words.
//!
//! [`definition`] holds the whole against the rules: of a new one all, of an update those that the old one followed
//! ([`demands`], [`ratcheting`]). [`names`], [`versions`], [`conversion`] and [`approval`](crate::definition::approval) are its parts, [`schema`] is the
//! largest of them: structural schemas, defaults, and the rules of each node with its lists, maps and expressions.
//! [`expressions`] compiles those, in a [`rule_context`], and [`rule_costs`] limits them. Errors name fields as upstream's
//! internal form has them ([`super::layout`]).

mod conversion;
mod defaults;
mod definition;
mod demands;
mod expressions;
mod names;
mod open_api;
mod pattern;
mod ratcheting;
mod rule_context;
mod rule_costs;
mod schema;
mod structural;
mod topology;
mod versions;

pub(super) use definition::{validate_create, validate_status, validate_update};
