//! The runtime against the kernel. Needs root, busybox-static, overlayfs and namespaces; see [`support`] for how each test
//! gets a node of its own and how it is looked over afterwards.

mod images;
mod support;

mod attach;
mod exec;
mod limits;
mod mounts;
mod namespaces;
mod parallel;
mod recovery;
mod run;
mod security;
mod stop;
mod users;
