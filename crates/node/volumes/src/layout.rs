//! Where the kubelet keeps the volumes of pods: upstream's layout, which tools and other runtimes know.
//!
//! ```text
//! ROOT/pods/UID/volumes/kubernetes.io~PLUGIN/NAME
//! ROOT/pods/UID/volume-subpaths/VOLUME/CONTAINER/INDEX
//! ROOT/pods/UID/plugins/kubernetes.io~empty-dir/NAME/ready
//! ROOT/plugins/kubernetes.io/local-volume/mounts/VOLUME
//! ```

use std::path::PathBuf;

/// The plugins that make something at a path of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plugin {
    EmptyDir,
    ConfigMap,
    Secret,
    Projected,
    DownwardApi,
    Local,
}

impl Plugin {
    /// `kubernetes.io/empty-dir` with a tilde for the slash.
    pub(crate) fn directory(self) -> &'static str {
        match self {
            Self::EmptyDir => "kubernetes.io~empty-dir",
            Self::ConfigMap => "kubernetes.io~configmap",
            Self::Secret => "kubernetes.io~secret",
            Self::Projected => "kubernetes.io~projected",
            Self::DownwardApi => "kubernetes.io~downward-api",
            Self::Local => "kubernetes.io~local-volume",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub fn pods(&self) -> PathBuf {
        self.root.join("pods")
    }

    pub fn pod(&self, uid: &str) -> PathBuf {
        self.pods().join(uid)
    }

    pub fn volumes(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("volumes")
    }

    pub fn volume(&self, uid: &str, plugin: Plugin, name: &str) -> PathBuf {
        self.volumes(uid).join(plugin.directory()).join(name)
    }

    /// Says that an emptyDir was completely made, so that what its containers do to it is not undone.
    pub(crate) fn ready_marker(&self, uid: &str, volume: &str) -> PathBuf {
        self.pod(uid).join("plugins").join(Plugin::EmptyDir.directory()).join(volume).join("ready")
    }

    pub(crate) fn sub_paths(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("volume-subpaths")
    }

    pub(crate) fn sub_path(&self, uid: &str, volume: &str, container: &str, index: usize) -> PathBuf {
        self.sub_paths(uid).join(volume).join(container).join(index.to_string())
    }

    /// Where the block device of a local volume is mounted for all pods.
    pub(crate) fn local_device(&self, volume: &str) -> PathBuf {
        self.root.join("plugins/kubernetes.io/local-volume/mounts").join(volume)
    }
}

/// Whether a text can stand for one directory in these paths.
pub(crate) fn is_file_name(text: &str) -> bool {
    !text.is_empty() && !matches!(text, "." | "..") && !text.contains(['/', '\0'])
}
