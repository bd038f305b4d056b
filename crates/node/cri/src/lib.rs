//! The Container Runtime Interface (CRI v1) as Rust traits and types: the only door from the kubelet to containers.
//!
//! [`RuntimeService`] and [`ImageService`] say what a runtime must do; whoever implements them (our embedded runtime, a
//! gRPC client of containerd or CRI-O) is interchangeable. The types carry the names and meanings of the CRI protobuf
//! definition, with two differences that only a Rust caller can have: streaming calls return the streams themselves
//! instead of a URL, and enumerations replace integers.
//!
//! This crate holds no behaviour and knows neither Kubernetes objects nor the kernel.

mod container;
mod error;
mod image;
mod neighbours;
mod sandbox;
mod service;
mod stats;
mod stream;

pub use container::*;
pub use error::{Code, Error, Result};
pub use image::*;
pub use neighbours::*;
pub use sandbox::*;
pub use service::*;
pub use stats::*;
pub use stream::*;
