//! When the node runs out of something: what is kept back from pods so that it does not, and which pods go when it does.

mod reserve;

pub(crate) use reserve::{reserved, resolve};
