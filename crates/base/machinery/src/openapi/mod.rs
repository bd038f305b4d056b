//! OpenAPI schemas of the built-in types and of custom ones, for both versions of OpenAPI, and the protobuf form of version 2.
//!
//! The structure comes from the table of types, the descriptions from k8s-openapi. Everything here is made when it is asked for:
//! few clients ever do.

mod custom;
mod descriptions;
mod gnostic;
mod schemas;

pub use custom::{custom_list, custom_name, custom_schema};
pub use gnostic::document as v2_protobuf;
pub use schemas::{Dialect, schemas};
