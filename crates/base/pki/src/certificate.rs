//! Certificates (RFC 5280): what is asked for, how it is written, what can be read from one.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::key::{PrivateKey, PublicKey};
use crate::{PkiError, der, pem};

const OID_COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const OID_ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
const OID_SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x0e];
const OID_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const OID_SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const OID_BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const OID_AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x23];
const OID_EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];

/// Clocks of a cluster differ a little: certificates are valid from a moment before they were made, as upstream does.
pub(crate) const BACKDATE: Duration = Duration::from_secs(300);

/// A certificate that identifies a client: a user in groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCert {
    /// The user's name.
    pub common_name: String,
    /// The user's groups.
    pub organizations: Vec<String>,
    pub ttl: Duration,
}

/// A certificate that identifies a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerCert {
    pub common_name: String,
    pub organizations: Vec<String>,
    pub dns_names: Vec<String>,
    pub ip_addresses: Vec<IpAddr>,
    pub ttl: Duration,
}

/// What a certificate is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Issue {
    Client(ClientCert),
    Server(ServerCert),
}

/// A certificate as far as it concerns us.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub der: CertificateDer<'static>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub common_name: String,
    pub organizations: Vec<String>,
    pub dns_names: Vec<String>,
    pub ip_addresses: Vec<IpAddr>,
    pub email_addresses: Vec<String>,
    pub uris: Vec<String>,
    pub is_authority: bool,
    pub(crate) client_auth: bool,
    pub(crate) server_auth: bool,
    pub(crate) serial: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) public_key: Vec<u8>,
}

/// Key usages by their bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyUsage {
    DigitalSignature = 0,
    ContentCommitment = 1,
    KeyEncipherment = 2,
    DataEncipherment = 3,
    KeyAgreement = 4,
    CertSign = 5,
    CrlSign = 6,
    EncipherOnly = 7,
    DecipherOnly = 8,
}

/// Extended key usages by the contents of their object identifier.
pub(crate) type ExtendedUsage = &'static [u8];
pub(crate) const SERVER_AUTH: ExtendedUsage = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
pub(crate) const CLIENT_AUTH: ExtendedUsage = &[0x2b, 6, 1, 5, 5, 7, 3, 2];

/// A name that a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AltName {
    Dns(String),
    Email(String),
    Uri(String),
    Ip(IpAddr),
}

/// Everything that goes into a certificate but the issuer's part.
pub(crate) struct Template {
    /// DER of the subject's Name.
    pub(crate) subject: Vec<u8>,
    pub(crate) alt_names: Vec<AltName>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) usages: Vec<KeyUsage>,
    pub(crate) extended_usages: Vec<ExtendedUsage>,
    pub(crate) is_authority: bool,
}

/// Who signs.
pub(crate) struct Signer<'a> {
    pub(crate) key: &'a PrivateKey,
    /// DER of the issuer's Name.
    pub(crate) name: &'a [u8],
    /// The issuer's subject key identifier; absent for a root.
    pub(crate) key_identifier: Option<&'a [u8]>,
}

impl Issue {
    pub(crate) fn ttl(&self) -> Duration {
        match self {
            Self::Client(client) => client.ttl,
            Self::Server(server) => server.ttl,
        }
    }

    pub(crate) fn template(&self, not_before: Timestamp, not_after: Timestamp) -> Template {
        let (common_name, organizations, alt_names, usage) = match self {
            Self::Client(client) => (&client.common_name, &client.organizations, Vec::new(), CLIENT_AUTH),
            Self::Server(server) => {
                let names = server.dns_names.iter().cloned().map(AltName::Dns);
                let addresses = server.ip_addresses.iter().copied().map(AltName::Ip);
                (&server.common_name, &server.organizations, names.chain(addresses).collect(), SERVER_AUTH)
            }
        };
        Template {
            subject: name(common_name, organizations),
            alt_names,
            not_before,
            not_after,
            // An ECDSA key signs and nothing else.
            usages: vec![KeyUsage::DigitalSignature],
            extended_usages: vec![usage],
            is_authority: false,
        }
    }
}

/// A distinguished name; each organization is an attribute of its own in one set, as Go writes them.
pub(crate) fn name(common_name: &str, organizations: &[String]) -> Vec<u8> {
    let attribute = |oid: &[u8], value: &str| der::sequence(&[der::oid(oid), der::utf8(value)]);
    let mut parts = Vec::with_capacity(2);
    if !organizations.is_empty() {
        parts.push(der::set_of(organizations.iter().map(|value| attribute(OID_ORGANIZATION, value)).collect()));
    }
    if !common_name.is_empty() {
        parts.push(der::set_of(vec![attribute(OID_COMMON_NAME, common_name)]));
    }
    der::sequence(&parts)
}

/// Writes and signs a certificate for a public key.
pub(crate) fn sign(
    template: &Template,
    public_key: &PublicKey,
    signer: &Signer<'_>,
) -> Result<CertificateDer<'static>, PkiError> {
    let algorithm = signer.key.signature_algorithm();
    let to_be_signed = der::sequence(&[
        der::context(0, &der::unsigned(&[2])),
        der::unsigned(&serial_number()?),
        algorithm.clone(),
        signer.name.to_vec(),
        der::sequence(&[der::time(template.not_before), der::time(template.not_after)]),
        template.subject.clone(),
        public_key.spki().to_vec(),
        der::context(3, &der::sequence(&extensions(template, public_key, signer))),
    ]);
    let signature = signer.key.sign_der(&to_be_signed)?;
    Ok(der::sequence(&[to_be_signed, algorithm, der::bit_string(&signature)]).into())
}

/// 127 random bits: positive, never zero, and nobody guesses the next one.
fn serial_number() -> Result<[u8; 16], PkiError> {
    let mut serial = [0; 16];
    #[expect(clippy::disallowed_methods, reason = "nobody can foresee a serial number")]
    SystemRandom::new().fill(&mut serial).map_err(|_| PkiError::Random)?;
    serial[0] = serial[0] & 0x7f | 0x40;
    Ok(serial)
}

fn extensions(template: &Template, public_key: &PublicKey, signer: &Signer<'_>) -> Vec<Vec<u8>> {
    let extension = |oid: &[u8], critical: bool, value: &[u8]| {
        let mut parts = vec![der::oid(oid)];
        if critical {
            parts.push(der::boolean(true));
        }
        parts.push(der::octet_string(value));
        der::sequence(&parts)
    };
    let mut extensions = Vec::with_capacity(6);
    if !template.usages.is_empty() {
        let bits: Vec<u8> = template.usages.iter().map(|usage| *usage as u8).collect();
        extensions.push(extension(OID_KEY_USAGE, true, &der::flags(&bits)));
    }
    if !template.extended_usages.is_empty() {
        let oids: Vec<Vec<u8>> = template.extended_usages.iter().map(|oid| der::oid(oid)).collect();
        extensions.push(extension(OID_EXTENDED_KEY_USAGE, false, &der::sequence(&oids)));
    }
    let constraints = if template.is_authority { vec![der::boolean(true)] } else { Vec::new() };
    extensions.push(extension(OID_BASIC_CONSTRAINTS, true, &der::sequence(&constraints)));
    if template.is_authority {
        extensions.push(extension(OID_SUBJECT_KEY_IDENTIFIER, false, &der::octet_string(&public_key.identifier())));
    }
    if let Some(identifier) = signer.key_identifier {
        let value = der::sequence(&[der::context_primitive(0, identifier)]);
        extensions.push(extension(OID_AUTHORITY_KEY_IDENTIFIER, false, &value));
    }
    if !template.alt_names.is_empty() {
        let names: Vec<Vec<u8>> = template.alt_names.iter().map(AltName::encode).collect();
        // A certificate without a subject is named by these alone.
        let critical = template.subject == name("", &[]);
        extensions.push(extension(OID_SUBJECT_ALT_NAME, critical, &der::sequence(&names)));
    }
    extensions
}

impl AltName {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Email(text) => der::context_primitive(1, text.as_bytes()),
            Self::Dns(text) => der::context_primitive(2, text.as_bytes()),
            Self::Uri(text) => der::context_primitive(6, text.as_bytes()),
            Self::Ip(IpAddr::V4(address)) => der::context_primitive(7, &address.octets()),
            Self::Ip(IpAddr::V6(address)) => der::context_primitive(7, &address.octets()),
        }
    }

    /// `None` for kinds that nobody in a cluster uses; `Err` for what is none.
    pub(crate) fn from_general(name: &GeneralName<'_>) -> Result<Option<Self>, PkiError> {
        let ascii = |text: &str| {
            let fine = text.is_ascii();
            fine.then(|| text.to_owned())
                .ok_or_else(|| PkiError::Certificate("an alternative name is not in ASCII".to_owned()))
        };
        Ok(match name {
            GeneralName::DNSName(text) => Some(Self::Dns(ascii(text)?)),
            GeneralName::RFC822Name(text) => Some(Self::Email(ascii(text)?)),
            GeneralName::URI(text) => Some(Self::Uri(ascii(text)?)),
            GeneralName::IPAddress(bytes) => {
                let address = <[u8; 4]>::try_from(*bytes)
                    .map(IpAddr::from)
                    .or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from))
                    .map_err(|_| PkiError::Certificate("an IP address is neither of 4 nor of 16 bytes".to_owned()))?;
                Some(Self::Ip(address))
            }
            _ => None,
        })
    }
}

impl Certificate {
    /// Reads a certificate.
    pub fn parse(der: CertificateDer<'static>) -> Result<Self, PkiError> {
        let bad = |what: &str| PkiError::Certificate(what.to_owned());
        let (rest, parsed) =
            X509Certificate::from_der(&der).map_err(|error| PkiError::Certificate(error.to_string()))?;
        if !rest.is_empty() {
            return Err(bad("something follows it"));
        }
        let instant = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_second(time.timestamp()).map_err(|_| bad("its validity cannot be expressed"))
        };
        let (common_name, organizations) = crate::client_identity::subject(parsed.subject())?;
        let (mut dns_names, mut ip_addresses) = (Vec::new(), Vec::new());
        let (mut email_addresses, mut uris) = (Vec::new(), Vec::new());
        let names = parsed.subject_alternative_name().map_err(|_| bad("its alternative names cannot be read"))?;
        for general in names.iter().flat_map(|names| &names.value.general_names) {
            match AltName::from_general(general)? {
                Some(AltName::Dns(name)) => dns_names.push(name),
                Some(AltName::Ip(address)) => ip_addresses.push(address),
                Some(AltName::Email(address)) => email_addresses.push(address),
                Some(AltName::Uri(uri)) => uris.push(uri),
                None => {}
            }
        }
        let usage = parsed.extended_key_usage().map_err(|_| bad("its extended key usage cannot be read"))?;
        let may = |what: fn(&x509_parser::extensions::ExtendedKeyUsage<'_>) -> bool| {
            usage.as_ref().is_none_or(|usage| usage.value.any || what(usage.value))
        };
        Ok(Self {
            not_before: instant(parsed.validity().not_before)?,
            not_after: instant(parsed.validity().not_after)?,
            common_name,
            organizations,
            dns_names,
            ip_addresses,
            email_addresses,
            uris,
            is_authority: parsed.is_ca(),
            client_auth: may(|usage| usage.client_auth),
            server_auth: may(|usage| usage.server_auth),
            serial: parsed.raw_serial().to_vec(),
            subject: parsed.subject().as_raw().to_vec(),
            issuer: parsed.issuer().as_raw().to_vec(),
            public_key: parsed.public_key().raw.to_vec(),
            der: der.clone(),
        })
    }

    /// DER of the SubjectPublicKeyInfo.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// Whether the key of `authority` has signed this certificate.
    pub fn is_signed_by(&self, authority: &Self) -> bool {
        let Ok((_, key)) = SubjectPublicKeyInfo::from_der(&authority.public_key) else { return false };
        X509Certificate::from_der(&self.der).is_ok_and(|(_, own)| own.verify_signature(Some(&key)).is_ok())
    }

    pub fn to_pem(&self) -> String {
        pem::pem_encode("CERTIFICATE", &self.der)
    }
}
