//! A volume that is set up, as containers mount it.

use std::path::PathBuf;

/// A volume that containers can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mounted {
    Path {
        path: PathBuf,
        /// Whatever the container says.
        read_only: bool,
        /// The volume's name, or that of the PersistentVolume behind it.
        name: String,
    },
    Device {
        path: PathBuf,
        read_only: bool,
    },
    Image {
        reference: String,
    },
}
