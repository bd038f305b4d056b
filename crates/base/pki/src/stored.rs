//! A certificate with its key in files, renewed in time.

use std::path::Path;

use jiff::Timestamp;

use crate::certificate::Issue;
use crate::files::{self, Loss, PRIVATE, PUBLIC};
use crate::renewal::{Renewal, RenewalReason, renewal};
use crate::{Ca, Identity, PkiError};

impl Identity {
    /// Loads `DIRECTORY/NAME.crt` and `NAME.key`; `None` when one is missing.
    pub fn load(directory: &Path, name: &str) -> Result<Option<Self>, PkiError> {
        let certificate = files::read(&directory.join(format!("{name}.crt")))?;
        let key = files::read(&directory.join(format!("{name}.key")))?;
        match (certificate, key) {
            (Some(certificate), Some(key)) => Self::from_pem(&certificate, &key).map(Some),
            _ => Ok(None),
        }
    }

    /// Loads the identity, or has it issued when there is none, or when [`renewal`] says so. A damaged one is replaced:
    /// the authority can always issue another. Also returns when to ask again.
    pub fn load_or_issue(
        directory: &Path,
        name: &str,
        ca: &Ca,
        wanted: &Issue,
        now: Timestamp,
    ) -> Result<(Self, Timestamp), PkiError> {
        let current = match Self::load(directory, name) {
            Err(error @ PkiError::File { .. }) => return Err(error),
            Err(error) => {
                tracing::warn!(name, %error, "replacing a certificate that cannot be used");
                None
            }
            Ok(current) => current,
        };
        let decision = renewal(current.as_ref().map(Self::certificate), wanted, ca.certificate(), now);
        let reason = match (decision, current) {
            (Renewal::KeepUntil(due), Some(identity)) => return Ok((identity, due)),
            (Renewal::KeepUntil(_), None) => RenewalReason::Missing,
            (Renewal::Now(reason), _) => reason,
        };
        tracing::info!(name, ?reason, "issuing a certificate");
        let identity = ca.issue(wanted, now)?;
        identity.store(directory, name)?;
        let due = match renewal(Some(identity.certificate()), wanted, ca.certificate(), now) {
            Renewal::KeepUntil(due) => due,
            // An authority that is about to end issues certificates that are.
            Renewal::Now(_) => identity.certificate().not_after,
        };
        Ok((identity, due))
    }

    /// Writes the files. Should the power fail between the two, they do not fit, and the next load issues anew.
    pub fn store(&self, directory: &Path, name: &str) -> Result<(), PkiError> {
        files::make_directory(directory)?;
        let (certificate, key) = (self.certificates_pem(), self.key_pem());
        files::write(&directory.join(format!("{name}.key")), key.as_bytes(), PRIVATE, Loss::Bearable)?;
        files::write(&directory.join(format!("{name}.crt")), certificate.as_bytes(), PUBLIC, Loss::Bearable)
    }
}
