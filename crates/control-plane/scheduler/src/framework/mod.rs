//! The framework: at which points plugins have their say about a pod's placement, and how their answers are put together.
//!
//! The extension points are upstream's. Where upstream keeps what a plugin computed for a pod in an untyped state, here the plugin
//! gives back an object: a PreFilter returns the [`Filter`] for this pod, a PreScore the [`Score`].

mod diagnosis;
mod event;
mod plugin;
mod profile;

pub(crate) use crate::rejection::Rejection;
pub(crate) use diagnosis::{Diagnosis, PluginSet, fit_message};
pub(crate) use event::Event;
pub(crate) use plugin::{
    Bind, Filter, MAX_SCORE, Plugin, PostBind, PostFilter, PostFiltered, PreBind, PreEnqueue, PreFilter, PreFiltered,
    PreScore, PreparedFilter, QueueSort, Requeue, Reserve, Score,
};
pub(crate) use profile::{Profile, check};
