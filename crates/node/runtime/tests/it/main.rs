//! The runtime against the kernel. Needs root, busybox-static, overlayfs and namespaces; see [`support`] for how each test
//! gets a node of its own and how it is looked over afterwards.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]
#![expect(clippy::print_stdout, reason = "figures and logs of failed tests are for people")]

mod hostile_images;
mod image_files;
mod images;
mod support;

mod apparmor;
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
