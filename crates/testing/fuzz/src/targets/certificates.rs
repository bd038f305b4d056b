//! Certificates, requests for them and keys: in PEM as people write it, or bare.

use windlass_pki::{Certificate, CertificateRequest, RequestedKey, SubjectKey, pem_blocks, pem_encode};

use crate::memory::bounded;

pub(super) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return der(input) };
    let blocks = bounded(input.len(), || pem_blocks(text));
    let written: String = blocks.iter().map(|block| pem_encode(&block.label, &block.contents)).collect();
    let again = pem_blocks(&written);
    assert!(
        blocks
            .iter()
            .map(|block| (&block.label, &block.contents))
            .eq(again.iter().map(|block| (&block.label, &block.contents)))
    );
    assert!(again.iter().all(|block| !block.has_headers));
    blocks.iter().for_each(|block| der(&block.contents));
}

fn der(bytes: &[u8]) {
    bounded(bytes.len(), || {
        if let Ok(certificate) = Certificate::parse(bytes.to_vec().into()) {
            assert_eq!(*certificate.der, *bytes);
        }
        if let Ok(requested) = RequestedKey::parse(bytes) {
            let key = requested.key();
            assert_eq!(SubjectKey::parse(key.spki()).map(|key| key.kind()).ok(), Some(key.kind()));
            // Whoever is read as having the key is read so here, too.
            if CertificateRequest::from_der(bytes).is_ok() {
                assert!(requested.is_signed());
            }
        }
        let _ = SubjectKey::parse(bytes).map(|key| key.has_signed(b"message", bytes));
    });
}
