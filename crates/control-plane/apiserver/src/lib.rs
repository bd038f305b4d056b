//! The API server: one generic request path for every resource.
//!
//! A request becomes a [`windlass_client::Request`] (from HTTP, or handed over within the process), and [`Server::call`] takes it:
//! authorize, then the verb: decode, default, admit, validate, store. What comes out is an [`Outcome`], which the caller encodes.
//! There is no handler for a kind; a kind is a value ([`windlass_resources::Resource`]).
//!
//! - [`verbs`]: one file for each verb.
//! - [`http`]: connections, and what a request is for; [`message`]: paths, content negotiation, encoding.
//! - [`direct`]: the transport for components in the same process.

mod aggregation;
mod allocation;
mod apart;
mod api_services;
mod auditing;
mod authentication;
mod authorization;
mod body;
mod bootstrap;
mod call;
mod components;
mod connector;
mod context;
mod conversion;
mod definitions;
pub mod direct;
mod encode;
mod endpoints;
mod escalation;
mod fairness;
mod flow_schemas;
#[doc(hidden)]
pub mod fuzz;
mod gate;
pub mod http;
mod list_pieces;
mod list_token;
mod message;
mod outcome;
mod outgoing;
pub mod pages;
mod param_rights;
mod registry;
mod reloads;
mod reviews;
mod scale_view;
mod selection;
mod server;
mod storage;
mod subresources;
mod table;
mod tokens;
mod verbs;
mod watcher;

pub use api_services::ApiServices;
pub use authentication::{Anonymous, Authentication, IssuerAlgorithms, TokenReviewVersion, TokenWebhook};
pub use authorization::{Authorization, AuthorizationError, OpenRemote};
pub use bootstrap::FirstObjects;
pub use components::Components;
pub use context::Context;
pub use definitions::Definitions;
pub use flow_schemas::FlowSchemas;
pub use outcome::{Listed, Outcome, Payload};
pub use pages::VERSION;
pub use registry::{Registry, Served};
pub use reloads::Reloads;
pub use server::{Options, Server};
pub use tokens::Tokens;
pub use windlass_resources::first::ApiServer;
