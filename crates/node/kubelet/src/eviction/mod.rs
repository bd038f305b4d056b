//! When the node runs out of something: what is kept back from pods so that it does not, and which pods go when it does.
//!
//! Every ten seconds the [`manager`] reads the [`signals`] (memory, disks, process IDs), [`decide`]s purely which thresholds are met
//! and for how long, and does one thing about it: removes unused images, or ends the pod that [`rank`] puts first. [`images`]
//! keeps the disk from filling up with images in the first place.

mod decide;
mod images;
mod manager;
mod rank;
mod reserve;
mod signals;

pub(crate) use manager::run;
pub(crate) use reserve::{reserved, resolve};
