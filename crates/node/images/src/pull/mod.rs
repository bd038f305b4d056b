//! Pulling: from a reference to an image in the store.

mod image;

pub(crate) use image::ImageError;
