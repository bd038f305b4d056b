//! A pod's worker: the loop that observes, decides, writes the status and acts, for one pod from its admission to its end.
//!
//! - [`worker`]: the stages running, ending, ended, and what happens in each
//! - [`volumes`], [`start`], [`kill`]: acting
//! - [`sandbox`], [`container`], [`security`], [`dns`], [`hosts`], [`env`], [`service_env`]: what the runtime is asked for, mostly pure
//! - [`hooks`]: postStart and preStop

mod container;
mod dns;
mod env;
mod hooks;
mod hosts;
mod kill;
mod sandbox;
mod security;
mod service_env;
mod start;
mod worker;

pub(crate) use worker::Worker;
