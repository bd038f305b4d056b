//! Certificate requests of strangers.

use proptest::prelude::*;
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use windlass_pki::{Ca, CertificateRequest, ClientVerifier, PkiError, SigningPolicy};

use crate::{DAY, now};

/// openssl's, with a relative name of several values.
const JANE: &[u8] = include_bytes!("data/jane.csr");
const RSA: &[u8] = include_bytes!("data/rsa.csr");

fn policy(usages: &[&str]) -> SigningPolicy {
    SigningPolicy { ttl: DAY, usages: usages.iter().map(|usage| (*usage).to_owned()).collect() }
}

#[test]
fn a_request_says_what_it_wants() {
    let request = CertificateRequest::from_pem(JANE).unwrap();
    assert_eq!(request.common_name, "jane");
    assert_eq!(request.organizations, ["team-a", "team-b"]);
    assert_eq!(request.dns_names, ["a.example"]);
    assert_eq!(request.ip_addresses, ["10.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!((request.email_addresses, request.uris), (vec!["j@example".into()], vec!["spiffe://x/y".into()]));
    assert_eq!(CertificateRequest::from_pem(RSA).unwrap().common_name, "rsa");
}

#[test]
fn signed_as_it_stands() {
    let ca = Ca::create("kubernetes", now()).unwrap();
    let request = CertificateRequest::from_pem(JANE).unwrap();
    let usages = ["client auth", "digital signature", "server auth", "signing"];
    let certificate = ca.sign_request(&request, &policy(&usages), now()).unwrap();
    assert_eq!(certificate.organizations, ["team-a", "team-b"], "both groups, in their order");
    assert_eq!(certificate.dns_names, ["a.example"]);
    assert!(certificate.is_signed_by(ca.certificate()) && !certificate.is_authority);
    let verifier = ClientVerifier::new([&ca.certificate().der]).unwrap();
    assert_eq!(verifier.verify(std::slice::from_ref(&certificate.der), now()).unwrap().unwrap().groups.len(), 2);

    let no_client = ca.sign_request(&request, &policy(&["server auth"]), now()).unwrap();
    assert!(verifier.verify(&[no_client.der], now()).is_err());
    let error = ca.sign_request(&request, &policy(&["fly", "client auth", "swim"]), now()).unwrap_err();
    assert_eq!(error.to_string(), "unrecognized usage values: [\"fly\", \"swim\"]");
    assert!(ca.sign_request(&CertificateRequest::from_pem(RSA).unwrap(), &policy(&["any"]), now()).is_ok());
}

#[test]
fn the_requester_must_have_the_key() {
    let mut der = CertificateSigningRequestDer::from_pem_slice(JANE).unwrap().to_vec();
    let at = der.windows(4).position(|window| window == b"jane").unwrap();
    der[at] = b'k';
    assert!(matches!(CertificateRequest::from_der(&der), Err(PkiError::RequestSignature)));
    assert!(matches!(CertificateRequest::from_pem(b"junk"), Err(PkiError::Request(_))));
    let certificate = include_bytes!("data/rsa-ca.crt");
    assert!(matches!(CertificateRequest::from_pem(certificate), Err(PkiError::Request(_))));
}

#[test]
fn an_empty_name() {
    // rcgen's request with a name that has no parts.
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["only.example".into()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let request = params.serialize_request(&key).unwrap();
    let request = CertificateRequest::from_der(request.der()).unwrap();
    assert_eq!((request.common_name.as_str(), request.dns_names.len()), ("", 1));
    let ca = Ca::create("kubernetes", now()).unwrap();
    assert!(ca.sign_request(&request, &policy(&["server auth"]), now()).is_ok());
}

proptest! {
    #[test]
    fn whatever_bytes_change_nothing_panics(changes in prop::collection::vec((0..2000_usize, any::<u8>()), 1..6)) {
        for pem in [JANE, RSA] {
            let mut der = CertificateSigningRequestDer::from_pem_slice(pem).unwrap().to_vec();
            for (at, byte) in &changes {
                let at = at % der.len();
                der[at] = *byte;
            }
            let _ = CertificateRequest::from_der(&der);
        }
        let mut certificate =
            rustls_pki_types::CertificateDer::from_pem_slice(include_bytes!("data/rsa-ca.crt")).unwrap().to_vec();
        for (at, byte) in &changes {
            let at = at % certificate.len();
            certificate[at] = *byte;
        }
        let _ = windlass_pki::Certificate::parse(certificate.clone().into());
        let _ = windlass_pki::client_identity(&certificate.into());
    }
}
