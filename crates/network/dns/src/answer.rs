//! What the cluster's zone answers: a pure function of the index and a question.
//!
//! The rules are those of the Kubernetes DNS specification 1.1.0. Where it is silent, CoreDNS decides: a Service's name answers
//! SRV for all its ports, endpoints of any Service have names below it, a headless Service without ready endpoints does not
//! exist. A name that exists but not with the type asked for is answered without records (NODATA), so that a resolver does not
//! go on searching; one that does not exist with NXDOMAIN, so that it does.

use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use ipnet::IpNet;

use crate::index::{Endpoint, Entry, Index, Port, Records, dashed};

const SPECIFICATION: &str = "1.1.0";
/// The specification's text does not change while the server runs.
const SPECIFICATION_TTL_SECONDS: u32 = 28_800;
const WEIGHT_SUM: usize = 100;

/// What is needed besides the index.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    /// In lower case, with the final dot.
    pub(crate) name: Name,
    /// The same as text.
    text: String,
    pub(crate) service_ips: Vec<IpAddr>,
    pub(crate) ttl_seconds: u32,
    pub(crate) reverse_ranges: Vec<IpNet>,
}

/// A finished answer about the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) response_code: ResponseCode,
    pub(crate) answers: Vec<Record>,
    pub(crate) authorities: Vec<Record>,
    pub(crate) additionals: Vec<Record>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Answer(Answer),
    /// The name is an alias; the rest of the answer is wherever this CNAME leads.
    Alias(Box<Record>),
    /// Somebody else's name.
    NotOurs,
}

impl Zone {
    pub(crate) fn new(name: Name, service_ips: Vec<IpAddr>, ttl_seconds: u32, reverse_ranges: Vec<IpNet>) -> Self {
        let text = name.to_ascii();
        Self { name, text, service_ips, ttl_seconds, reverse_ranges }
    }

    /// Answers a question of class IN. `serial` is the SOA's.
    pub(crate) fn answer(&self, index: &Index, name: &Name, kind: RecordType, serial: u32) -> Outcome {
        let text = name.to_ascii().to_lowercase();
        let found = if let Some(relative) = self.relative(&text) {
            self.forward(index, name, relative, kind)
        } else if let Some(address) = reverse_address(&text) {
            match self.reverse(index, name, address, kind) {
                Some(found) => found,
                None => return Outcome::NotOurs,
            }
        } else {
            return Outcome::NotOurs;
        };
        match found {
            Found::Alias(record) => Outcome::Alias(record),
            // What is not there may only not be known yet.
            Found::Nothing if !index.initialized => {
                Outcome::Answer(Answer { response_code: ResponseCode::ServFail, ..Answer::default() })
            }
            Found::Nothing => Outcome::Answer(Answer {
                response_code: ResponseCode::NXDomain,
                authorities: vec![self.soa(serial)],
                ..Answer::default()
            }),
            Found::Exists { answers, .. } if answers.is_empty() && kind == RecordType::SOA && *name == self.name => {
                Outcome::Answer(Answer { answers: vec![self.soa(serial)], ..Answer::default() })
            }
            Found::Exists { answers, additionals } => {
                let authorities = if answers.is_empty() { vec![self.soa(serial)] } else { Vec::new() };
                Outcome::Answer(Answer { answers, additionals, authorities, ..Answer::default() })
            }
        }
    }

    /// The part of a name before the zone; `None` when it is not in the zone.
    fn relative<'a>(&self, text: &'a str) -> Option<&'a str> {
        let before = text.strip_suffix(self.text.as_str())?;
        if before.is_empty() { Some(before) } else { before.strip_suffix('.') }
    }

    fn soa(&self, serial: u32) -> Record {
        let below = |labels: &str| self.below(labels).unwrap_or_else(|| self.name.clone());
        let soa = SOA::new(below("ns.dns"), below("hostmaster"), serial, 7200, 1800, 86_400, self.ttl_seconds);
        Record::from_rdata(self.name.clone(), self.ttl_seconds, RData::SOA(soa))
    }

    /// A name in the zone.
    fn below(&self, labels: &str) -> Option<Name> {
        Name::from_ascii(labels).ok()?.append_domain(&self.name).ok()
    }

    fn forward(&self, index: &Index, name: &Name, relative: &str, kind: RecordType) -> Found {
        let (rest, last) = match relative.rsplit_once('.') {
            Some((rest, last)) => (Some(rest), last),
            None => (None, relative),
        };
        match (last, rest) {
            ("", None) => self.apex(kind),
            ("svc" | "pod" | "dns", None) => Found::empty(),
            ("dns-version", None) => self.version(name, kind),
            ("dns", Some("ns")) => self.addresses(name, &self.service_ips, kind),
            ("svc", Some(rest)) => self.service(index, name, rest, kind),
            ("pod", Some(rest)) => self.pod(index, name, rest, kind),
            _ => Found::Nothing,
        }
    }

    fn apex(&self, kind: RecordType) -> Found {
        let Some(server) = self.below("ns.dns").filter(|_| kind == RecordType::NS) else { return Found::empty() };
        let record = Record::from_rdata(self.name.clone(), self.ttl_seconds, RData::NS(NS(server.clone())));
        let glue = self.service_ips.iter().map(|address| self.address(&server, *address));
        Found::Exists { answers: vec![record], additionals: glue.collect() }
    }

    fn version(&self, name: &Name, kind: RecordType) -> Found {
        if kind != RecordType::TXT {
            return Found::empty();
        }
        let text = RData::TXT(TXT::new(vec![SPECIFICATION.to_owned()]));
        Found::answers(vec![Record::from_rdata(name.clone(), SPECIFICATION_TTL_SECONDS, text)])
    }

    /// `rest` is what stands before `svc`: at least a namespace.
    fn service(&self, index: &Index, name: &Name, rest: &str, kind: RecordType) -> Found {
        let labels: Vec<&str> = rest.split('.').collect();
        let service_at = |skipped: usize| {
            let start = labels.iter().take(skipped).map(|label| label.len() + 1).sum();
            rest.get(start..).and_then(|service| index.entry(service))
        };
        match labels.as_slice() {
            [namespace] if index.has_namespace(namespace) => Found::empty(),
            [_] => Found::Nothing,
            [_, _] => service_at(0).map_or(Found::Nothing, |entry| self.whole_service(entry, name, kind)),
            [label, _, _] => service_at(1).map_or(Found::Nothing, |entry| self.below_service(entry, name, label, kind)),
            [port, protocol, _, _] => {
                service_at(2).map_or(Found::Nothing, |entry| self.service_port(entry, name, port, protocol, kind))
            }
            _ => Found::Nothing,
        }
    }

    fn whole_service(&self, entry: &Entry, name: &Name, kind: RecordType) -> Found {
        match &entry.records {
            Records::ExternalName(target) => {
                let record = Record::from_rdata(name.clone(), self.ttl_seconds, RData::CNAME(CNAME(target.clone())));
                match kind {
                    RecordType::SRV => Found::empty(),
                    RecordType::CNAME => Found::answers(vec![record]),
                    _ => Found::Alias(Box::new(record)),
                }
            }
            Records::ClusterIp { addresses, ports } if kind == RecordType::SRV => {
                self.service_srv(name, name, addresses, ports.iter())
            }
            Records::ClusterIp { addresses, .. } => self.addresses(name, addresses, kind),
            Records::Headless if entry.endpoints.is_empty() => Found::Nothing,
            Records::Headless => self.endpoints(name, name, &entry.endpoints, kind, |_| true),
        }
    }

    /// An endpoint's own name, or the name above those of a protocol's ports.
    fn below_service(&self, entry: &Entry, name: &Name, label: &str, kind: RecordType) -> Found {
        if matches!(entry.records, Records::ExternalName(_)) {
            return Found::Nothing;
        }
        let named: Vec<Endpoint> = entry.endpoints.iter().filter(|endpoint| endpoint.label == label).cloned().collect();
        if !named.is_empty() {
            let service = name.base_name();
            return self.endpoints(name, &service, &named, kind, |_| true);
        }
        let has_ports = ports(entry).any(|port| port.protocol.label() == label && !port.name.is_empty());
        if has_ports { Found::empty() } else { Found::Nothing }
    }

    /// `_port._protocol` of a Service.
    fn service_port(&self, entry: &Entry, name: &Name, port: &str, protocol: &str, kind: RecordType) -> Found {
        let Some(port) = port.strip_prefix('_').filter(|port| !port.is_empty()) else { return Found::Nothing };
        let matches = |candidate: &Port| candidate.name == port && candidate.protocol.label() == protocol;
        if !ports(entry).any(matches) {
            return Found::Nothing;
        }
        if kind != RecordType::SRV {
            return Found::empty();
        }
        let service = name.trim_to(usize::from(name.num_labels()).saturating_sub(2));
        match &entry.records {
            Records::ClusterIp { addresses, ports } => {
                self.service_srv(name, &service, addresses, ports.iter().filter(|port| matches(port)))
            }
            _ => self.endpoints(name, &service, &entry.endpoints, kind, matches),
        }
    }

    fn service_srv<'a>(
        &self,
        name: &Name,
        service: &Name,
        addresses: &[IpAddr],
        ports: impl Iterator<Item = &'a Port>,
    ) -> Found {
        let ports: Vec<&Port> = ports.collect();
        let weight = weight_of(ports.len());
        let record = |port: &&Port| self.srv(name, weight, port.port, service.clone());
        Found::Exists {
            answers: ports.iter().map(record).collect(),
            additionals: addresses.iter().map(|address| self.address(service, *address)).collect(),
        }
    }

    /// Endpoints under `name`: their addresses, or their ports.
    fn endpoints(
        &self,
        name: &Name,
        service: &Name,
        endpoints: &[Endpoint],
        kind: RecordType,
        matches: impl Fn(&Port) -> bool,
    ) -> Found {
        if kind != RecordType::SRV {
            let mut addresses: Vec<IpAddr> = endpoints.iter().map(|endpoint| endpoint.address).collect();
            addresses.sort_unstable();
            addresses.dedup();
            return self.addresses(name, &addresses, kind);
        }
        let mut targets = Vec::new();
        for endpoint in endpoints {
            let Ok(target) = service.prepend_label(endpoint.label.as_str()) else { continue };
            let ports = endpoint.ports.iter().filter(|port| matches(port));
            targets.extend(ports.map(|port| (target.clone(), port.port, endpoint.address)));
        }
        let weight = weight_of(targets.len());
        let mut answers: Vec<Record> = Vec::new();
        let mut additionals: Vec<Record> = Vec::new();
        for (target, port, address) in targets {
            let record = self.srv(name, weight, port, target.clone());
            // An endpoint with addresses of both families has one target.
            if !answers.contains(&record) {
                answers.push(record);
            }
            let glue = self.address(&target, address);
            if !additionals.contains(&glue) {
                additionals.push(glue);
            }
        }
        Found::Exists { answers, additionals }
    }

    /// `10-0-0-1.namespace`, which answers with the address that it names, whether there is such a pod or not: CoreDNS'
    /// `pods insecure`, as clusters usually have it.
    fn pod(&self, index: &Index, name: &Name, rest: &str, kind: RecordType) -> Found {
        let (label, namespace) = match rest.rsplit_once('.') {
            Some((label, namespace)) => (Some(label), namespace),
            None => (None, rest),
        };
        if !index.may_have_namespace(namespace) {
            return Found::Nothing;
        }
        match label {
            None => Found::empty(),
            Some(label) => match undashed(label) {
                Some(address) => self.addresses(name, &[address], kind),
                None => Found::Nothing,
            },
        }
    }

    /// `None` when somebody else may know the address.
    fn reverse(&self, index: &Index, name: &Name, address: IpAddr, kind: RecordType) -> Option<Found> {
        let names = index.names_of(address);
        if names.is_empty() {
            let ours = self.reverse_ranges.iter().any(|net| net.contains(&address));
            return ours.then_some(Found::Nothing);
        }
        if kind != RecordType::PTR {
            return Some(Found::empty());
        }
        let targets = names.iter().filter_map(|relative| self.below(&format!("{relative}.svc")));
        let record = |target| Record::from_rdata(name.clone(), self.ttl_seconds, RData::PTR(PTR(target)));
        Some(Found::answers(targets.map(record).collect()))
    }

    fn addresses(&self, name: &Name, addresses: &[IpAddr], kind: RecordType) -> Found {
        let wanted = addresses.iter().filter(|address| match kind {
            RecordType::A => address.is_ipv4(),
            RecordType::AAAA => address.is_ipv6(),
            _ => false,
        });
        Found::answers(wanted.map(|address| self.address(name, *address)).collect())
    }

    fn address(&self, name: &Name, address: IpAddr) -> Record {
        let data = match address {
            IpAddr::V4(address) => RData::A(A(address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
        };
        Record::from_rdata(name.clone(), self.ttl_seconds, data)
    }

    fn srv(&self, name: &Name, weight: u16, port: u16, target: Name) -> Record {
        Record::from_rdata(name.clone(), self.ttl_seconds, RData::SRV(SRV::new(0, weight, port, target)))
    }
}

/// What the index says of a name.
enum Found {
    /// No such name.
    Nothing,
    /// The name exists; no answers means that it has nothing of the type asked for.
    Exists {
        answers: Vec<Record>,
        additionals: Vec<Record>,
    },
    Alias(Box<Record>),
}

impl Found {
    fn empty() -> Self {
        Self::answers(Vec::new())
    }

    fn answers(answers: Vec<Record>) -> Self {
        Self::Exists { answers, additionals: Vec::new() }
    }
}

/// All ports that have SRV names.
fn ports(entry: &Entry) -> Box<dyn Iterator<Item = &Port> + '_> {
    match &entry.records {
        Records::ClusterIp { ports, .. } => Box::new(ports.iter()),
        Records::Headless => Box::new(entry.endpoints.iter().flat_map(|endpoint| endpoint.ports.iter())),
        Records::ExternalName(_) => Box::new(std::iter::empty()),
    }
}

/// All targets are equal and share a hundred, as CoreDNS has it.
fn weight_of(targets: usize) -> u16 {
    u16::try_from(WEIGHT_SUM / targets.max(1)).unwrap_or(0).max(1)
}

/// The inverse of [`dashed`].
fn undashed(label: &str) -> Option<IpAddr> {
    if let Ok(address) = label.replace('-', ".").parse() {
        return Some(IpAddr::V4(address));
    }
    let address: IpAddr = label.replace('-', ":").parse().ok()?;
    debug_assert!(!dashed(address).is_empty());
    address.is_ipv6().then_some(address)
}

/// The address that a name of the reverse zones stands for.
fn reverse_address(text: &str) -> Option<IpAddr> {
    if let Some(labels) = text.strip_suffix(".in-addr.arpa.") {
        let mut octets: Vec<u8> = labels.split('.').map(|label| label.parse().ok()).collect::<Option<_>>()?;
        octets.reverse();
        return <[u8; 4]>::try_from(octets).ok().map(IpAddr::from);
    }
    let labels = text.strip_suffix(".ip6.arpa.")?;
    let nibble = |label: &str| (label.len() == 1).then(|| u8::from_str_radix(label, 16).ok()).flatten();
    let mut nibbles: Vec<u8> = labels.split('.').map(nibble).collect::<Option<_>>()?;
    nibbles.reverse();
    let octets: Vec<u8> = nibbles.chunks(2).map(|pair| pair.iter().fold(0, |octet, half| octet << 4 | half)).collect();
    if nibbles.len() != 32 {
        return None;
    }
    <[u8; 16]>::try_from(octets).ok().map(IpAddr::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{EndpointSlice, Service};
    use windlass_api::ObjectKey;

    fn zone() -> Zone {
        let ranges = ["10.96.0.0/16".parse().unwrap(), "10.244.0.0/16".parse().unwrap()];
        Zone::new(crate::options::zone_name("cluster.local"), vec!["10.96.0.10".parse().unwrap()], 5, ranges.to_vec())
    }

    fn index() -> Index {
        let mut index = Index::default();
        index.initialized = true;
        let mut service = |name: &str, spec: &str| {
            let service = Service::from_json(format!(r#"{{"spec":{spec}}}"#).as_bytes()).unwrap();
            index.set_service(&ObjectKey::new("default", name), Some(&service));
        };
        let ports = r#"[{"name":"http","port":80},{"name":"dns","port":53,"protocol":"UDP"}]"#;
        service("web", &format!(r#"{{"clusterIP":"10.96.0.1","clusterIPs":["10.96.0.1","fd00::1"],"ports":{ports}}}"#));
        service("db", r#"{"clusterIP":"None"}"#);
        service("empty", r#"{"clusterIP":"None"}"#);
        service("out", r#"{"type":"ExternalName","externalName":"www.example.com"}"#);
        let slice = |service: &str, endpoints: &str| {
            let json = format!(
                r#"{{"metadata":{{"labels":{{"kubernetes.io/service-name":"{service}"}}}},"endpoints":{endpoints},
                "ports":[{{"name":"pg","port":5432,"protocol":"TCP"}}]}}"#
            );
            EndpointSlice::from_json(json.as_bytes()).unwrap()
        };
        let db = r#"[{"addresses":["10.244.0.5"],"hostname":"db-0"},{"addresses":["10.244.0.6"]}]"#;
        index.set_slice(&ObjectKey::new("default", "db-x"), Some(&slice("db", db)));
        let web = r#"[{"addresses":["10.244.0.7"]}]"#;
        index.set_slice(&ObjectKey::new("default", "web-x"), Some(&slice("web", web)));
        index.set_namespace("default", true);
        index.set_namespace("other", true);
        index
    }

    /// The answer as `code: data, data [additional]`.
    fn ask(name: &str, kind: RecordType) -> String {
        let name = Name::from_ascii(name).unwrap();
        match zone().answer(&index(), &name, kind, 7) {
            Outcome::NotOurs => "not ours".into(),
            Outcome::Alias(record) => format!("alias {}", record.data),
            Outcome::Answer(answer) => {
                let show = |records: &[Record]| {
                    let mut all: Vec<String> =
                        records.iter().map(|record| format!("{} {}", record.record_type(), record.data)).collect();
                    all.sort();
                    all.join(", ")
                };
                let soa = answer.authorities.iter().any(|record| record.record_type() == RecordType::SOA);
                assert_eq!(soa, answer.answers.is_empty(), "{name}");
                let code = match (answer.response_code, answer.answers.is_empty()) {
                    (ResponseCode::NoError, true) => return "nodata".into(),
                    (ResponseCode::NXDomain, _) => return "nxdomain".into(),
                    (code, _) => code,
                };
                assert_eq!(code, ResponseCode::NoError);
                let additionals = show(&answer.additionals);
                let additionals = if additionals.is_empty() { additionals } else { format!(" [{additionals}]") };
                format!("{}{additionals}", show(&answer.answers))
            }
        }
    }

    #[test]
    fn addresses() {
        for (name, kind, expected) in [
            ("web.default.svc.cluster.local.", RecordType::A, "A 10.96.0.1"),
            ("WEB.Default.SVC.cluster.LOCAL.", RecordType::A, "A 10.96.0.1"),
            ("web.default.svc.cluster.local.", RecordType::AAAA, "AAAA fd00::1"),
            ("web.default.svc.cluster.local.", RecordType::MX, "nodata"),
            ("web.other.svc.cluster.local.", RecordType::A, "nxdomain"),
            ("web.nowhere.svc.cluster.local.", RecordType::A, "nxdomain"),
            ("db.default.svc.cluster.local.", RecordType::A, "A 10.244.0.5, A 10.244.0.6"),
            ("db.default.svc.cluster.local.", RecordType::AAAA, "nodata"),
            ("empty.default.svc.cluster.local.", RecordType::A, "nxdomain"),
            ("db-0.db.default.svc.cluster.local.", RecordType::A, "A 10.244.0.5"),
            ("10-244-0-6.db.default.svc.cluster.local.", RecordType::A, "A 10.244.0.6"),
            ("10-244-0-5.db.default.svc.cluster.local.", RecordType::A, "nxdomain"),
            ("10-244-0-7.web.default.svc.cluster.local.", RecordType::A, "A 10.244.0.7"),
            ("out.default.svc.cluster.local.", RecordType::A, "alias www.example.com."),
            ("out.default.svc.cluster.local.", RecordType::CNAME, "CNAME www.example.com."),
            ("out.default.svc.cluster.local.", RecordType::SRV, "nodata"),
            ("a.out.default.svc.cluster.local.", RecordType::A, "nxdomain"),
            ("1-2-3-4.default.pod.cluster.local.", RecordType::A, "A 1.2.3.4"),
            ("1-2-3-4.default.pod.cluster.local.", RecordType::AAAA, "nodata"),
            ("fd00--4.default.pod.cluster.local.", RecordType::AAAA, "AAAA fd00::4"),
            ("1-2-3.default.pod.cluster.local.", RecordType::A, "nxdomain"),
            ("a.1-2-3-4.default.pod.cluster.local.", RecordType::A, "nxdomain"),
            ("1-2-3-4.nowhere.pod.cluster.local.", RecordType::A, "nxdomain"),
        ] {
            assert_eq!(ask(name, kind), expected, "{name} {kind}");
        }
    }

    #[test]
    fn names_in_between_exist_and_what_the_search_list_makes_does_not() {
        for (name, expected) in [
            ("cluster.local.", "nodata"),
            ("svc.cluster.local.", "nodata"),
            ("default.svc.cluster.local.", "nodata"),
            ("other.svc.cluster.local.", "nodata"),
            ("nowhere.svc.cluster.local.", "nxdomain"),
            ("default.pod.cluster.local.", "nodata"),
            ("_tcp.web.default.svc.cluster.local.", "nodata"),
            ("_sctp.web.default.svc.cluster.local.", "nxdomain"),
            ("web.cluster.local.", "nxdomain"),
            ("www.example.com.default.svc.cluster.local.", "nxdomain"),
            ("www.example.com.svc.cluster.local.", "nxdomain"),
            ("www.example.com.", "not ours"),
            ("notcluster.local.", "not ours"),
            ("local.", "not ours"),
            (".", "not ours"),
        ] {
            assert_eq!(ask(name, RecordType::A), expected, "{name}");
        }
    }

    #[test]
    fn ports() {
        let glue = "[A 10.96.0.1, AAAA fd00::1]";
        for (name, expected) in [
            ("_http._tcp.web.default.svc.cluster.local.", format!("SRV 0 100 80 web.default.svc.cluster.local. {glue}")),
            ("_dns._udp.web.default.svc.cluster.local.", format!("SRV 0 100 53 web.default.svc.cluster.local. {glue}")),
            ("_dns._tcp.web.default.svc.cluster.local.", "nxdomain".into()),
            ("http._tcp.web.default.svc.cluster.local.", "nxdomain".into()),
            (
                "web.default.svc.cluster.local.",
                format!("SRV 0 50 53 web.default.svc.cluster.local., SRV 0 50 80 web.default.svc.cluster.local. {glue}"),
            ),
            (
                "_pg._tcp.db.default.svc.cluster.local.",
                "SRV 0 50 5432 10-244-0-6.db.default.svc.cluster.local., SRV 0 50 5432 db-0.db.default.svc.cluster.local. \
                 [A 10.244.0.5, A 10.244.0.6]"
                    .into(),
            ),
            (
                "db-0.db.default.svc.cluster.local.",
                "SRV 0 100 5432 db-0.db.default.svc.cluster.local. [A 10.244.0.5]".into(),
            ),
        ] {
            assert_eq!(ask(name, RecordType::SRV), expected, "{name}");
        }
        assert_eq!(ask("_http._tcp.web.default.svc.cluster.local.", RecordType::A), "nodata");
    }

    #[test]
    fn reverse() {
        for (name, expected) in [
            ("1.0.96.10.in-addr.arpa.", "PTR web.default.svc.cluster.local."),
            ("5.0.244.10.in-addr.arpa.", "PTR db-0.db.default.svc.cluster.local."),
            ("6.0.244.10.in-addr.arpa.", "PTR 10-244-0-6.db.default.svc.cluster.local."),
            ("9.9.244.10.in-addr.arpa.", "nxdomain"),
            ("8.8.8.8.in-addr.arpa.", "not ours"),
            ("0.244.10.in-addr.arpa.", "not ours"),
            (
                "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.",
                "PTR web.default.svc.cluster.local.",
            ),
            ("1.0.ip6.arpa.", "not ours"),
        ] {
            assert_eq!(ask(name, RecordType::PTR), expected, "{name}");
        }
        assert_eq!(ask("1.0.96.10.in-addr.arpa.", RecordType::A), "nodata");
    }

    #[test]
    fn the_zone_itself() {
        assert_eq!(ask("dns-version.cluster.local.", RecordType::TXT), "TXT 1.1.0");
        assert_eq!(ask("dns-version.cluster.local.", RecordType::A), "nodata");
        assert_eq!(ask("ns.dns.cluster.local.", RecordType::A), "A 10.96.0.10");
        assert_eq!(ask("cluster.local.", RecordType::NS), "NS ns.dns.cluster.local. [A 10.96.0.10]");
        let Outcome::Answer(answer) = zone().answer(&index(), &zone().name, RecordType::SOA, 7) else { panic!() };
        let soa = "ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 5";
        assert_eq!(answer.answers[0].data.to_string(), soa);
    }

    #[test]
    fn before_all_is_known_nothing_is_denied() {
        let index = Index::default();
        let name = Name::from_ascii("web.default.svc.cluster.local.").unwrap();
        let Outcome::Answer(answer) = zone().answer(&index, &name, RecordType::A, 7) else { panic!() };
        assert_eq!((answer.response_code, answer.authorities.len()), (ResponseCode::ServFail, 0));
    }
}
