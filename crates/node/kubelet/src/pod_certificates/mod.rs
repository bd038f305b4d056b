//! Certificates of pods: for each `podCertificate` source of a pod's volumes the kubelet makes a key, asks the source's signer for a
//! certificate by a PodCertificateRequest, and asks again, with another key, when the certificate is to be renewed.
//!
//! [`State`](state::State) is one source's way through that, as a machine without I/O; [`PodCertificates`] asks and follows the answers.
//! Keys are kept in memory alone: a kubelet that comes back makes new ones. What is not known here: how files get into volumes (the
//! volumes ask for [`credentials`](PodCertificates::credentials) when they are set up), and who signs.

mod answer;
mod manager;
#[cfg(test)]
mod scenario;
mod sources;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use manager::{Context, PodCertificates};
