//! A pod's worker: the loop that observes, decides, writes the status and acts, for one pod from its admission to its end.
//!
//! - [`mailbox`]: what the worker is told from outside
//! - [`record`]: what others see of it
//! - [`worker`]: the stages running, ending, ended, and what happens in each
//! - [`volumes`], [`start`], [`kill`]: acting
//! - [`sandbox`], [`container`], [`security`], [`dns`], [`hosts`], [`env`], [`service_env`]: what the runtime is asked for, mostly pure
//! - [`image`]: images are there before their containers
//! - [`hooks`]: postStart and preStop

mod container;
mod dns;
mod env;
mod hooks;
mod hosts;
pub(crate) mod image;
mod kill;
mod mailbox;
mod record;
mod sandbox;
mod security;
mod service_env;
mod start;
mod worker;

pub(crate) use mailbox::{Ending, Mailbox};
pub(crate) use record::Record;
pub(crate) use worker::Worker;
