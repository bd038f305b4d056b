//! What the runtime knows of its sandboxes and containers. What is done with them stands in [`sandbox`](crate::sandbox) and
//! [`container`](crate::container).

mod container;
mod sandbox;

pub(crate) use container::{Container, Phase};
pub(crate) use sandbox::Sandbox;
