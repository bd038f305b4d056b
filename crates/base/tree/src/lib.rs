//! File trees that strangers shape: layers of images, volumes that containers write to.
//!
//! Whoever made them may have put symbolic links where directories were, may be changing them this very moment, and may have
//! made them deeper than stacks and descriptor tables are. Everything here works with directory descriptors, never follows
//! a link out of its root, never crosses into a mounted file system, and needs memory and descriptors that do not grow
//! with the depth of the tree. Everything blocks, but for waiting for [`Changes`].
//!
//! Beside them, files of our own that are [`replace`]d in one step, and what the machine says: where the mounts of a tree are, which cgroups there are, and which boot this is.

mod beneath;
mod boot;
mod cgroups;
mod changes;
mod file;
mod meter;
mod mounts;
mod remove;
mod replace;
mod usage;
mod walk;

pub use beneath::{Links, clean, is_mount_point, make_dirs, open_dir, open_path};
pub use boot::boot_id;
pub use cgroups::{Hierarchies, Hierarchy};
pub use changes::{Change, Changes, Told};
pub use file::{open_file, open_file_at, read_config, read_file};
pub use meter::Meter;
pub use mounts::{Mount, mounts, parse_mounts};
pub use remove::{empty_path, remove, remove_path};
pub use replace::{Loss, replace};
pub use usage::{FileSystem, Usage, file_system, usage};
pub use walk::{Entry, walk};
