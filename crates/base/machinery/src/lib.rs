//! Schema-driven work on objects: reading and writing their three encodings, defaulting and pruning by structure, patches,
//! OpenAPI, tables. No I/O, and no knowledge of any kind beyond what its [`schema`] says.

pub mod configuration;
pub mod decode;
pub mod digest;
pub mod go;
pub mod go_json;
pub mod json;
pub mod managed;
pub mod names;
pub mod openapi;
pub mod pick;
pub mod protobuf;
pub mod rfc6902;
pub mod rfc7386;
pub mod schema;
pub mod strategic;
pub mod strict;
pub mod structural;
pub mod tree;
pub mod yaml;

pub use schema::Schema;
