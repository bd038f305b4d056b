//! When the node runs out of something: what is kept back from pods so that it does not, and which pods go when it does.
//!
//! Every ten seconds the [`manager`] reads the [`signals`] (memory, disks, process IDs) and [`decide`]s purely which thresholds are met
//! and for how long. Then it ends the pods that take more of the [`disk`] than they may; where none does, and a threshold is met, it does
//! one thing about that: removes unused images, or ends the pod that [`rank`] puts first, as far as pods can be [`measure`]d
//! without waiting for it. [`images`] keeps the disk from filling up with images in the first place.

mod decide;
mod disk;
mod images;
mod manager;
mod measure;
mod rank;
mod reserve;
mod signals;

pub(crate) use manager::run;
pub(crate) use reserve::{reserved, resolve};
