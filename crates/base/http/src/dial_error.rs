//! Why there is no connection, in the words of Go's network library.

use std::io::{self, ErrorKind};

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{CertificateError, Error, InvalidMessage};

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    #[error("dial tcp: lookup {host}: {reason}")]
    Lookup { host: String, reason: String, transient: bool },
    #[error("dial tcp {address}: connect: {reason}")]
    Connect { address: String, reason: String },
    #[error("proxyconnect tcp: {0}")]
    Proxy(String),
    /// Nobody answered in time.
    #[error("dial tcp {address}: i/o timeout")]
    Timeout { address: String },
    #[error("tls: failed to verify certificate: {0}")]
    Certificate(String),
    #[error("net/http: TLS handshake timeout")]
    HandshakeTimeout,
    /// The other end does not speak TLS.
    #[error("http: server gave HTTP response to HTTPS client")]
    NotTls,
    /// The other end hung up during the handshake.
    #[error("EOF")]
    Eof,
    #[error("{0}")]
    Tls(String),
    #[error("{0:?} is not an address to connect to")]
    Address(String),
}

impl DialError {
    /// Whether the same may succeed a little later: a name that does not exist or a certificate that is not trusted will be the same
    /// in a second.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Lookup { transient, .. } => *transient,
            Self::Connect { .. } | Self::Proxy(_) | Self::Timeout { .. } | Self::HandshakeTimeout | Self::Eof => true,
            Self::Certificate(_) | Self::NotTls | Self::Tls(_) | Self::Address(_) => false,
        }
    }

    pub(super) fn of_connect(address: String, error: &io::Error) -> Self {
        Self::Connect { address, reason: go_words(error) }
    }

    /// A handshake with `host` that failed.
    pub(super) fn of_handshake(error: &io::Error, host: &str) -> Self {
        let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
            return match error.kind() {
                ErrorKind::UnexpectedEof => Self::Eof,
                _ => Self::Tls(format!("read tcp: read: {}", go_words(error))),
            };
        };
        match tls {
            Error::InvalidCertificate(why) => Self::Certificate(certificate(why, host)),
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NotTls,
            Error::AlertReceived(alert) => Self::Tls(format!("remote error: tls: {}", alert_words(*alert))),
            other => Self::Tls(format!("tls: {other}")),
        }
    }
}

/// What Go prints of a failed system call: the C library's text in lower case.
pub fn go_words(error: &io::Error) -> String {
    let known = match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused",
        ErrorKind::HostUnreachable => "no route to host",
        ErrorKind::NetworkUnreachable => "network is unreachable",
        ErrorKind::ConnectionReset => "connection reset by peer",
        ErrorKind::TimedOut => "connection timed out",
        ErrorKind::PermissionDenied => "permission denied",
        ErrorKind::AddrInUse => "address already in use",
        ErrorKind::AddrNotAvailable => "cannot assign requested address",
        _ => return in_lower_case(error),
    };
    known.to_owned()
}

/// The text without the number that Rust puts behind it.
fn in_lower_case(error: &io::Error) -> String {
    let text = error.to_string();
    let number = error.raw_os_error().map(|number| format!(" (os error {number})")).unwrap_or_default();
    text.strip_suffix(&number).unwrap_or(&text).to_lowercase()
}

fn certificate(why: &CertificateError, host: &str) -> String {
    let time = |time: &UnixTime| {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
    };
    let expired = "x509: certificate has expired or is not yet valid";
    match why {
        // A signature that is wrong is that of another authority with the same name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "x509: certificate signed by unknown authority".to_owned()
        }
        CertificateError::ExpiredContext { time: now, not_after } => {
            format!("{expired}: current time {} is after {}", time(now), time(not_after))
        }
        CertificateError::NotValidYetContext { time: now, not_before } => {
            format!("{expired}: current time {} is before {}", time(now), time(not_before))
        }
        CertificateError::Expired | CertificateError::NotValidYet => expired.to_owned(),
        CertificateError::NotValidForNameContext { presented, .. } => not_for(host, presented),
        CertificateError::NotValidForName => not_for(host, &[]),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "x509: certificate specifies an incompatible key usage".to_owned()
        }
        CertificateError::BadEncoding => "x509: malformed certificate".to_owned(),
        CertificateError::UnhandledCriticalExtension => "x509: unhandled critical extension".to_owned(),
        CertificateError::Other(why) => format!("x509: {why}"),
        other => format!("x509: {other}"),
    }
}

/// A certificate for other names; `presented` are rustls' descriptions of them, `DnsName("a")` or `IpAddress(1.2.3.4)`.
fn not_for(host: &str, presented: &[String]) -> String {
    let is_ip = host.parse::<std::net::IpAddr>().is_ok();
    let names: Vec<&str> = presented
        .iter()
        .filter_map(|name| Some((name.split_once('(')?, name)))
        .filter(|((kind, _), _)| (*kind == "IpAddress") == is_ip)
        .map(|((_, rest), _)| rest.trim_matches(['(', ')', '"']))
        .collect();
    match (names.is_empty(), is_ip) {
        (true, true) => {
            format!("x509: cannot validate certificate for {host} because it doesn't contain any IP SANs")
        }
        (true, false) => format!("x509: certificate is not valid for any names, but wanted to match {host}"),
        (false, _) => format!("x509: certificate is valid for {}, not {host}", names.join(", ")),
    }
}

fn alert_words(alert: rustls::AlertDescription) -> String {
    use rustls::AlertDescription as Alert;
    let words = match alert {
        Alert::BadCertificate => "bad certificate",
        Alert::CertificateRequired => "certificate required",
        Alert::CertificateExpired => "expired certificate",
        Alert::CertificateUnknown => "unknown certificate",
        Alert::UnknownCA => "unknown certificate authority",
        Alert::HandshakeFailure => "handshake failure",
        Alert::InternalError => "internal error",
        Alert::ProtocolVersion => "protocol version not supported",
        Alert::UnrecognisedName => "unrecognized name",
        Alert::AccessDenied => "access denied",
        Alert::NoApplicationProtocol => "no application protocol",
        other => return format!("alert({})", u8::from(other)),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(error: Error, host: &str) -> String {
        DialError::of_handshake(&io::Error::new(ErrorKind::InvalidData, error), host).to_string()
    }

    #[test]
    fn words_that_users_search_for() {
        let invalid = Error::InvalidCertificate;
        let names = || CertificateError::NotValidForNameContext {
            expected: rustls::pki_types::ServerName::try_from("x").unwrap(),
            presented: vec!["DnsName(\"a\")".to_owned(), "DnsName(\"b\")".to_owned(), "IpAddress(10.0.0.1)".to_owned()],
        };
        let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let expired = CertificateError::ExpiredContext { time: at(86_400), not_after: at(0) };
        let verify = "tls: failed to verify certificate: x509:";
        for (error, host, expected) in [
            (
                invalid(CertificateError::UnknownIssuer),
                "h",
                format!("{verify} certificate signed by unknown authority"),
            ),
            (invalid(names()), "x", format!("{verify} certificate is valid for a, b, not x")),
            (invalid(names()), "10.0.0.2", format!("{verify} certificate is valid for 10.0.0.1, not 10.0.0.2")),
            (
                invalid(CertificateError::InvalidPurpose),
                "h",
                format!("{verify} certificate specifies an incompatible key usage"),
            ),
            (
                invalid(CertificateError::Other(rustls::OtherError(std::sync::Arc::new(io::Error::other("why"))))),
                "h",
                format!("{verify} why"),
            ),
            (
                invalid(CertificateError::NotValidForName),
                "10.0.0.2",
                format!("{verify} cannot validate certificate for 10.0.0.2 because it doesn't contain any IP SANs"),
            ),
            (
                invalid(expired),
                "h",
                format!(
                    "{verify} certificate has expired or is not yet valid: current time 1970-01-02T00:00:00Z is after 1970-01-01T00:00:00Z"
                ),
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "h",
                "http: server gave HTTP response to HTTPS client".to_owned(),
            ),
            (
                Error::AlertReceived(rustls::AlertDescription::CertificateRequired),
                "h",
                "remote error: tls: certificate required".to_owned(),
            ),
        ] {
            assert_eq!(of(error, host), expected);
        }
        assert_eq!(DialError::HandshakeTimeout.to_string(), "net/http: TLS handshake timeout");
        let refused = DialError::of_connect("1.2.3.4:10250".to_owned(), &ErrorKind::ConnectionRefused.into());
        assert_eq!(refused.to_string(), "dial tcp 1.2.3.4:10250: connect: connection refused");
    }
}
