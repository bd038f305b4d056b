//! Authorities and what they issue, in memory and in files.

use std::os::unix::fs::PermissionsExt;

use windlass_pki::{Ca, Certificate, ClientVerifier, Identity, PkiError};

use crate::{DAY, client, now, server};

#[test]
fn a_client_is_a_user_in_groups() {
    let ca = Ca::create("kubernetes", now()).unwrap();
    let verifier = ClientVerifier::new([&ca.certificate().der]).unwrap();
    let groups = ["system:masters", "team-a", "team-ä"];
    let identity = ca.issue(&client("admin", &groups), now()).unwrap();
    let chain = [identity.certificate().der.clone()];
    let found = verifier.verify(&chain, now()).unwrap().unwrap();
    assert_eq!(found.name, "admin");
    let mut sorted = found.groups.clone();
    sorted.sort();
    assert_eq!(sorted, groups);
    assert!(found.credential_id.starts_with("X509SHA256=") && found.credential_id.len() == 11 + 64);

    assert!(verifier.verify(&chain, now() + 366 * DAY).is_err(), "expired");
    assert!(verifier.verify(&chain, now() - DAY).is_err(), "not yet valid");
    let other = Ca::create("kubernetes", now()).unwrap();
    assert!(ClientVerifier::new([&other.certificate().der]).unwrap().verify(&chain, now()).is_err());
    let of_server = ca.issue(&server(&["a"], &[]), now()).unwrap();
    assert!(verifier.verify(&[of_server.certificate().der.clone()], now()).is_err(), "a server is no client");
    let nobody = ca.issue(&client("", &["group"]), now()).unwrap();
    assert_eq!(verifier.verify(&[nobody.certificate().der.clone()], now()).unwrap(), None);
    assert_eq!(verifier.verify(&[], now()).unwrap(), None);
}

#[test]
fn nothing_outlives_its_authority() {
    let made = now();
    let ca = Ca::create("kubernetes", made).unwrap();
    let late = ca.certificate().not_after - DAY;
    let identity = ca.issue(&client("a", &[]), late).unwrap();
    assert_eq!(identity.certificate().not_after, ca.certificate().not_after);
    let error = ca.issue(&client("a", &[]), ca.certificate().not_after).unwrap_err();
    assert!(matches!(error, PkiError::SignerExpired(_)), "{error}");
}

#[test]
fn serial_numbers_differ() {
    let ca = Ca::create("kubernetes", now()).unwrap();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..50 {
        let identity = ca.issue(&client("a", &[]), now()).unwrap();
        let (_, parsed) = x509(&identity.certificate().der);
        assert!(seen.insert(parsed));
    }
}

/// The serial number, by way of a parser.
fn x509(der: &[u8]) -> ((), Vec<u8>) {
    use x509_parser::prelude::{FromDer, X509Certificate};
    let (_, parsed) = X509Certificate::from_der(der).unwrap();
    assert!(parsed.raw_serial().len() <= 20 && parsed.raw_serial()[0] < 0x80);
    ((), parsed.raw_serial().to_vec())
}

#[test]
fn kept_in_files() {
    let dir = tempfile::tempdir().unwrap();
    let pki = dir.path().join("pki");
    let first = Ca::load_or_create(&pki, "ca", "kubernetes", now()).unwrap();
    let again = Ca::load_or_create(&pki, "ca", "ignored", now()).unwrap();
    assert_eq!(first.certificate().der, again.certificate().der);
    assert_eq!(again.certificate().common_name, "kubernetes");
    let mode = |name: &str| std::fs::metadata(pki.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("ca.key"), mode("ca.crt")), (0o600, 0o644));

    let kept = std::fs::read(pki.join("ca.key")).unwrap();
    std::fs::remove_file(pki.join("ca.key")).unwrap();
    let error = Ca::load_or_create(&pki, "ca", "kubernetes", now()).unwrap_err();
    assert!(error.to_string().contains("restore the missing file"), "{error}");
    let other = Ca::load_or_create(&pki, "other", "other", now()).unwrap();
    std::fs::copy(pki.join("other.key"), pki.join("ca.key")).unwrap();
    assert!(matches!(Ca::load_or_create(&pki, "ca", "kubernetes", now()), Err(PkiError::Mismatch { .. })));
    std::fs::write(pki.join("ca.key"), "junk").unwrap();
    assert!(matches!(Ca::load_or_create(&pki, "ca", "kubernetes", now()), Err(PkiError::PrivateKey(_))));
    std::fs::write(pki.join("ca.key"), kept).unwrap();
    std::fs::write(pki.join("ca.crt"), other.issue(&client("x", &[]), now()).unwrap().certificates_pem()).unwrap();
    assert!(matches!(Ca::load_or_create(&pki, "ca", "kubernetes", now()), Err(PkiError::NotAnAuthority { .. })));
}

#[test]
fn issued_once_and_renewed_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Ca::create("kubernetes", now()).unwrap();
    let wanted = server(&["kubernetes", "kubernetes.default"], &["10.96.0.1"]);
    let issue =
        |wanted: &windlass_pki::Issue, at| Identity::load_or_issue(dir.path(), "apiserver", &ca, wanted, at).unwrap();
    let (first, due) = issue(&wanted, now());
    let (again, due_again) = issue(&wanted, now() + DAY);
    assert_eq!((&first.certificate().der, due), (&again.certificate().der, due_again));
    let (renewed, later) = issue(&wanted, due);
    assert!(renewed.certificate().der != first.certificate().der && later > due);
    let (named, _) = issue(&server(&["kubernetes", "new.example"], &[]), due);
    assert_eq!(named.certificate().dns_names, ["kubernetes", "new.example"]);

    for name in ["apiserver.crt", "apiserver.key"] {
        std::fs::write(dir.path().join(name), "").unwrap();
        let (fresh, _) = issue(&wanted, now());
        assert_eq!(fresh.certificate().ip_addresses, ["10.96.0.1".parse::<std::net::IpAddr>().unwrap()], "{name}");
    }
    let mode = std::fs::metadata(dir.path().join("apiserver.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn an_authority_that_others_made() {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data");
    let ca = Ca::load(&data.join("rsa-ca.crt"), &data.join("rsa-pkcs1.pem")).unwrap();
    assert_eq!(
        (ca.certificate().common_name.as_str(), &ca.certificate().organizations[..]),
        ("kubernetes", &["kubeadm".to_owned()][..])
    );
    let at = ca.certificate().not_before + DAY;
    let identity = ca.issue(&client("jane", &["dev"]), at).unwrap();
    assert!(identity.certificate().is_signed_by(ca.certificate()));
    let verifier = ClientVerifier::new([&ca.certificate().der]).unwrap();
    assert_eq!(verifier.verify(&[identity.certificate().der.clone()], at).unwrap().unwrap().name, "jane");
    let wrong_key = Ca::load(&data.join("rsa-ca.crt"), &data.join("ec-sec1.pem"));
    assert!(matches!(wrong_key, Err(PkiError::Mismatch { .. })));
}

#[test]
fn an_identity_travels_as_pem() {
    let ca = Ca::create("kubernetes", now()).unwrap();
    let identity = ca.issue(&client("a", &[]), now()).unwrap();
    let bundle = format!("{}{}", identity.certificates_pem(), ca.certificate().to_pem());
    let read = Identity::from_pem(bundle.as_bytes(), identity.key_pem().as_bytes()).unwrap();
    assert_eq!(read.certificates_pem(), bundle, "what follows the certificate is kept");
    let other = ca.issue(&client("b", &[]), now()).unwrap();
    assert!(Identity::from_pem(bundle.as_bytes(), other.key_pem().as_bytes()).is_err());
    assert!(Certificate::parse(vec![0x30, 0x03, 1, 2, 3].into()).is_err());
}
