//! Why an archive could not be imported.

use std::path::PathBuf;

use windlass_api::io::is_full;
use windlass_api::text::with_causes;
use windlass_cri::{Code, Error};

use crate::digest::Digest;
use crate::manifest::ManifestError;
use crate::pull::ImageError;
use crate::tar::TarError;

#[derive(Debug, thiserror::Error)]
#[expect(private_interfaces, reason = "causes are for printing the chain, not for matching")]
pub enum ImportError {
    #[error("failed to open {path:?}")]
    Open { path: PathBuf, source: std::io::Error },
    #[error("failed to read the archive")]
    Read(#[source] std::io::Error),
    #[error("failed to unpack the archive into the image store")]
    Spool(#[source] std::io::Error),
    #[error("not a readable tar archive")]
    Tar(#[source] TarError),
    #[error("not an image archive: it has neither index.json (OCI) nor manifest.json (docker save)")]
    NotAnImage,
    #[error("the archive lacks {0:?}")]
    Missing(String),
    #[error("{path:?} in the archive has {size} bytes, more than {max}")]
    TooLarge { path: String, size: u64, max: u64 },
    #[error("invalid {path:?} in the archive")]
    Json { path: String, source: serde_json::Error },
    #[error("invalid {path:?} in the archive")]
    Document { path: String, source: ManifestError },
    #[error("{path:?} in the archive does not have the digest {expected}")]
    Digest { path: String, expected: Digest },
    #[error("the archive holds no image for {0}")]
    NoPlatform(String),
    #[error("failed to import")]
    Image(#[source] Box<ImageError>),
}

impl From<ImportError> for Error {
    fn from(error: ImportError) -> Self {
        let code = match &error {
            ImportError::Image(source) => source.code(),
            ImportError::Spool(source) if is_full(source) => Code::ResourceExhausted,
            ImportError::Read(_) | ImportError::Spool(_) => Code::Internal,
            _ => Code::InvalidArgument,
        };
        Self::new(code, with_causes(&error))
    }
}
