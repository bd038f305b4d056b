//! Images on the node: what containerd's image service is upstream.
//!
//! [`ImageStore`] pulls images from registries, imports them from archives, keeps them unpacked, and hands their file systems
//! to the runtime. It implements [`windlass_cri::ImageService`] for the kubelet and [`windlass_cri::ImageSource`] for the
//! runtime. Layers are unpacked while they arrive, straight into directories that overlayfs uses as they are; the compressed
//! bytes are not kept.
//!
//! What it deliberately does not know: containers, pods, and which images ought to be removed. The kubelet decides that; what
//! containers still stand on, the runtime tells through [`LayersInUse`].

mod digest;
mod flights;
mod import;
mod manifest;
mod options;
mod platform;
mod progress;
mod pull;
mod reference;
mod registry;
mod store;
mod tar;
pub mod unpack;

pub use digest::{Digest, DigestError};
pub use import::{ImportError, Imported};
pub use options::Options;
pub use platform::Platform;
pub use reference::{Object, Reference, ReferenceError};
pub use registry::{
    Backoff, Capability, ClientCertificate, Credentials, Endpoint, Proxy, Registries, RegistryConfig, Tls,
};
pub use store::{ImageStore, LayersInUse, Lease, OpenError, Reclaimed, StoreError};
