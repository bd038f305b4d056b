//! Whether a certificate is still good: a pure decision.
//!
//! A certificate is renewed when between 80 and 90 percent of its life are over (where exactly, its serial number decides, so
//! that the certificates of many nodes are not renewed in the same minute), and at once when it is not what is wanted.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::certificate::{Certificate, Issue};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Good until then.
    KeepUntil(Timestamp),
    Now(RenewalReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewalReason {
    /// There is none, or it cannot be read.
    Missing,
    /// Its end is near, or past.
    Expiring,
    /// Its validity begins in the future: a clock was wrong.
    NotYetValid,
    /// Another user or other groups.
    Subject,
    /// A name or address is missing.
    AltNames,
    /// A client certificate for a server, or the other way round.
    Usage,
    /// The authority has changed.
    Authority,
}

/// Decides about `current`, of which `wanted` is what it should be and `authority` who should have signed it.
pub fn renewal(current: Option<&Certificate>, wanted: &Issue, authority: &Certificate, now: Timestamp) -> Renewal {
    let Some(current) = current else { return Renewal::Now(RenewalReason::Missing) };
    if let Some(reason) = wrong(current, wanted, authority) {
        return Renewal::Now(reason);
    }
    if now < current.not_before {
        return Renewal::Now(RenewalReason::NotYetValid);
    }
    let due = due(current);
    if now >= due { Renewal::Now(RenewalReason::Expiring) } else { Renewal::KeepUntil(due) }
}

fn wrong(current: &Certificate, wanted: &Issue, authority: &Certificate) -> Option<RenewalReason> {
    if current.issuer != authority.subject || !current.is_signed_by(authority) {
        return Some(RenewalReason::Authority);
    }
    let set = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
    let (common_name, organizations, usage) = match wanted {
        Issue::Client(client) => (&client.common_name, &client.organizations, current.client_auth),
        Issue::Server(server) => (&server.common_name, &server.organizations, current.server_auth),
    };
    if !usage {
        return Some(RenewalReason::Usage);
    }
    if current.common_name != *common_name || set(&current.organizations) != set(organizations) {
        return Some(RenewalReason::Subject);
    }
    if let Issue::Server(server) = wanted {
        let has_name = |name: &String| current.dns_names.contains(name);
        let has_address = |address| current.ip_addresses.contains(address);
        if !server.dns_names.iter().all(has_name) || !server.ip_addresses.iter().all(has_address) {
            return Some(RenewalReason::AltNames);
        }
    }
    None
}

/// The instant from which a certificate ought to be renewed.
fn due(certificate: &Certificate) -> Timestamp {
    let life = certificate.not_after.as_second().saturating_sub(certificate.not_before.as_second()).max(0);
    let spread = i64::from(certificate.serial.last().copied().unwrap_or(0));
    // 80 % and up to 10 % more.
    let until = life / 10 * 8 + life / 10 * spread / 256;
    Timestamp::from_second(certificate.not_before.as_second().saturating_add(until)).unwrap_or(certificate.not_after)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Ca, ClientCert, ServerCert};

    const DAY: i64 = 86_400;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + days * DAY).unwrap()
    }

    fn client(groups: &[&str]) -> Issue {
        Issue::Client(ClientCert {
            common_name: "system:node:a".into(),
            organizations: groups.iter().map(|group| (*group).to_owned()).collect(),
            ttl: Duration::from_secs(100 * DAY as u64),
        })
    }

    fn server(names: &[&str], addresses: &[&str]) -> Issue {
        Issue::Server(ServerCert {
            common_name: "apiserver".into(),
            dns_names: names.iter().map(|name| (*name).to_owned()).collect(),
            ip_addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            ttl: Duration::from_secs(100 * DAY as u64),
            ..ServerCert::default()
        })
    }

    #[test]
    fn decisions() {
        let ca = Ca::create("ca", at(0)).unwrap();
        let other = Ca::create("ca", at(0)).unwrap();
        let (nodes, names) = (client(&["system:nodes", "b"]), server(&["a", "b"], &["10.0.0.1", "::1"]));
        let issue = |wanted: &Issue| Some(ca.issue(wanted, at(0)).unwrap().certificate().clone());
        let (own_client, own_server) = (issue(&nodes), issue(&names));
        let decide = |current: &Option<Certificate>, wanted: &Issue, day| match renewal(
            current.as_ref(),
            wanted,
            ca.certificate(),
            at(day),
        ) {
            Renewal::KeepUntil(_) => None,
            Renewal::Now(reason) => Some(reason),
        };
        assert_eq!(decide(&None, &nodes, 0), Some(RenewalReason::Missing));
        assert_eq!(decide(&own_client, &nodes, 0), None);
        assert_eq!(decide(&own_client, &nodes, 79), None);
        assert_eq!(decide(&own_client, &nodes, 91), Some(RenewalReason::Expiring));
        assert_eq!(decide(&own_client, &nodes, 1000), Some(RenewalReason::Expiring));
        assert_eq!(decide(&own_client, &nodes, -1), Some(RenewalReason::NotYetValid));
        assert_eq!(decide(&own_client, &client(&["b", "system:nodes"]), 1), None, "the order is of no matter");
        assert_eq!(decide(&own_client, &client(&["system:nodes"]), 1), Some(RenewalReason::Subject));
        assert_eq!(decide(&own_client, &names, 1), Some(RenewalReason::Usage));
        assert_eq!(decide(&own_server, &server(&["b"], &["::1"]), 1), None, "more names than wanted do no harm");
        assert_eq!(decide(&own_server, &server(&["c"], &[]), 1), Some(RenewalReason::AltNames));
        assert_eq!(decide(&own_server, &server(&[], &["10.0.0.2"]), 1), Some(RenewalReason::AltNames));
        let foreign = renewal(own_client.as_ref(), &nodes, other.certificate(), at(1));
        assert_eq!(foreign, Renewal::Now(RenewalReason::Authority), "the same name, another key");
    }

    #[test]
    fn spread_between_80_and_90_percent() {
        let ca = Ca::create("ca", at(0)).unwrap();
        for _ in 0..20 {
            let current = ca.issue(&client(&[]), at(0)).unwrap().certificate().clone();
            match renewal(Some(&current), &client(&[]), ca.certificate(), at(1)) {
                Renewal::KeepUntil(due) => assert!(due >= at(79) && due <= at(91), "{due}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
