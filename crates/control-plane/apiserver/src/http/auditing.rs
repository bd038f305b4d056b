//! Where a request has come from, for the audit log. Source: apiserver `endpoints/filters/audit.go`, apimachinery
//! `util/net/http.go`.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::header::{HeaderName, USER_AGENT};
use http::request::Parts;
use jiff::Timestamp;
use windlass_audit::{About, Trail};
use windlass_auth::Attributes;
use windlass_http::header;

use super::connection::ClientAddress;
use super::frontend::{AUDIT_ID, Frontend};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

impl Frontend {
    /// Begins the trail of a request; `None` when nothing of it is recorded.
    pub(super) fn trail(
        &self,
        asked: &Attributes<'_>,
        request: &Parts,
        received: Option<Timestamp>,
    ) -> Option<Arc<Trail>> {
        let (auditor, received) = self.server.auditor.as_ref().zip(received)?;
        let text = |name: &HeaderName| header::first(&request.headers, name).unwrap_or_default();
        let address = request.extensions.get::<ClientAddress>().map(|address| address.0);
        let about = About {
            id: &text(&AUDIT_ID),
            uri: request.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            source_ips: source_ips(&request.headers, address),
            agent: &text(&USER_AGENT),
            received,
        };
        auditor.begin(asked, about)
    }
}

/// The addresses that a request has passed, as the headers say, and the one that it has certainly come from.
fn source_ips(headers: &HeaderMap, client: Option<IpAddr>) -> Vec<IpAddr> {
    let forwarded = header::list(headers, &FORWARDED_FOR);
    let mut all: Vec<IpAddr> = forwarded.iter().filter_map(|part| part.trim().parse().ok()).collect();
    let real = header::first(headers, &REAL_IP).and_then(|text| text.parse().ok());
    all.extend(real.filter(|real| !all.contains(real)));
    let client = client.map(|client| client.to_canonical());
    all.extend(client.filter(|client| all.last() != Some(client)));
    all
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn where_requests_have_come_from() {
        let of = |pairs: &[(HeaderName, &'static str)]| -> Vec<String> {
            let client = "::ffff:10.0.0.9".parse().ok();
            source_ips(&headers(pairs), client).iter().map(ToString::to_string).collect()
        };
        assert_eq!(of(&[]), ["10.0.0.9"]);
        assert_eq!(
            of(&[(FORWARDED_FOR, "1.1.1.1, nonsense, 2.2.2.2"), (REAL_IP, "1.1.1.1")]),
            ["1.1.1.1", "2.2.2.2", "10.0.0.9"]
        );
        assert_eq!(of(&[(FORWARDED_FOR, "10.0.0.9"), (REAL_IP, "3.3.3.3")]), ["10.0.0.9", "3.3.3.3", "10.0.0.9"]);
        assert_eq!(of(&[(FORWARDED_FOR, "10.0.0.9")]), ["10.0.0.9"]);
    }
}
