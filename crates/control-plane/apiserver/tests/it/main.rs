//! A real server on a temporary directory, spoken to by both transports and by plain HTTP.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod admission;
mod aggregation;
mod answers;
mod apply;
mod audit;
mod certificates;
mod custom_resources;
mod fairness;
mod first_objects;
mod harness;
mod hostile;
mod identity;
mod life;
mod objects;
mod pages;
mod policies;
mod quotas;
mod transports;
mod watches;
mod webhook_server;
mod webhooks;
