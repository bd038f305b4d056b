//! Pulling: from a reference to an image in the store.

mod flight;
mod image;
mod progress;

pub(crate) use flight::Flights;
pub(crate) use image::ImageError;
pub(crate) use progress::{Counted, Progress};
