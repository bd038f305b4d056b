//! The authorities that servers on the internet are trusted by.

use std::sync::OnceLock;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The machine's roots; Mozilla's, as this program carries them, where the machine has none (a minimal system without the
/// package ca-certificates).
pub fn system_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            tracing::debug!("no root certificates on this machine, using those built in");
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        roots
    })
}

/// The authorities of a bundle in PEM, without what is none among them; the machine's, where the bundle is empty. `None` when it is not, and
/// has no authority.
pub fn roots_of(bundle: &[u8]) -> Option<RootCertStore> {
    if bundle.is_empty() {
        return Some(system_roots().clone());
    }
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(CertificateDer::pem_slice_iter(bundle).filter_map(Result::ok));
    (added > 0).then_some(roots)
}
