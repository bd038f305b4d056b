//! What tests stand on: a whole cluster in the process, on time that tests move.
//!
//! - [`Cluster`] is a store in memory and an API server over it, with clients through the direct transport. Under tokio's paused time
//!   its clock moves only when nothing is left to do, and then to the next timer at once.
//! - [`Kubelet`] registers a node and runs pods on paper: nothing is started, but their status goes the way that it would.
//! - [`Faults`] make a transport misbehave as networks and servers do, by a seed; [`Component`] is restarted when one makes it crash.
//! - [`History`] keeps every change of every object, and holds what watches and acknowledgements said against it.
//! - [`repeatable`] is what makes a run the same again; [`Dice`] make choices.
//!
//! - [`FailingDisk`] is a disk under a store until the test breaks it.
//! - [`Way`] is how a component reaches the API: `Cluster::controllers` and `Cluster::scheduler` run over one.
//!
//! No product code may depend on this crate.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod component;
mod control_plane;
mod dice;
mod disk;
mod faults;
mod faulty;
mod history;
mod kubelet;
mod machine;
pub mod repeatable;
mod story;
mod until;
mod watched;

pub use cluster::{Access, Cluster, ISSUER, admin};
pub use component::{Component, Life};
pub use control_plane::{Running, Way};
pub use dice::Dice;
pub use disk::FailingDisk;
pub use faults::{Faults, Rates};
pub use history::{Acknowledged, History, Record};
pub use kubelet::{Kubelet, NodeShape};
pub use machine::{Machine, Machines, knob};
pub use story::Story;
pub use watched::Watched;
