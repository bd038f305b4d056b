//! The kubelet with a real API server and a real container runtime. Needs root, busybox-static, overlayfs and namespaces; see
//! [`cluster`] for how each test gets a node of its own and how it is looked over afterwards.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]
#![expect(clippy::print_stdout, reason = "figures and logs of failed tests are for people")]

mod certificates;
mod cluster;
mod images;

mod containers;
mod lifecycle;
mod limits;
mod node;
mod resize;
mod restart;
