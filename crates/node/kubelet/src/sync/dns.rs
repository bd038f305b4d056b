//! What /etc/resolv.conf of a pod says. Pure.

use windlass_api::k8s::api::core::v1::Pod;
use windlass_cri::DnsConfig;

use crate::pod::PodView;

const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCHES_MAX_BYTES: usize = 2048;

/// Reads a resolv.conf; what is not understood is skipped.
pub(super) fn parse(text: &str) -> DnsConfig {
    let mut config = DnsConfig::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => config.servers.extend(words.next().map(str::to_owned)),
            Some("search") => {
                config.searches =
                    words.map(|word| if word == "." { "." } else { word.trim_end_matches('.') }.to_owned()).collect();
            }
            Some("options") => config.options.extend(words.map(str::to_owned)),
            _ => {}
        }
    }
    config
}

/// The pod's resolver by its dnsPolicy and dnsConfig. `node` is the node's own configuration.
pub(super) fn of_pod(pod: &Pod, node: &DnsConfig, cluster_dns: &[String], domain: &str) -> DnsConfig {
    let policy = pod.pod_spec().dns_policy.as_deref().unwrap_or("ClusterFirst");
    let uses_cluster = match policy {
        "ClusterFirst" => !pod.uses_host_network(),
        "ClusterFirstWithHostNet" => true,
        _ => false,
    };
    let mut config = if policy == "None" {
        DnsConfig::default()
    } else if uses_cluster && !cluster_dns.is_empty() {
        let mut searches =
            vec![format!("{}.svc.{domain}", pod.namespace()), format!("svc.{domain}"), domain.to_owned()];
        searches.extend(node.searches.iter().cloned());
        let mut options = node.options.clone();
        options.retain(|option| !option.starts_with("ndots:"));
        options.insert(0, "ndots:5".to_owned());
        DnsConfig { servers: cluster_dns.to_vec(), searches, options }
    } else {
        node.clone()
    };
    if let Some(own) = &pod.pod_spec().dns_config {
        config.servers.extend(own.nameservers.iter().flatten().cloned());
        config.searches.extend(own.searches.iter().flatten().cloned());
        for option in own.options.iter().flatten() {
            let Some(name) = &option.name else { continue };
            config.options.retain(|known| known.split(':').next() != Some(name));
            let value = option.value.as_deref().filter(|value| !value.is_empty());
            config.options.push(value.map_or_else(|| name.clone(), |value| format!("{name}:{value}")));
        }
    }
    dedup(&mut config.servers);
    dedup(&mut config.searches);
    config.servers.truncate(NAMESERVERS_MAX);
    config.searches.truncate(SEARCHES_MAX);
    while config.searches.iter().map(|search| search.len() + 1).sum::<usize>() > SEARCHES_MAX_BYTES + 1 {
        config.searches.pop();
    }
    config
}

fn dedup(list: &mut Vec<String>) {
    let mut seen = std::collections::HashSet::new();
    list.retain(|item| seen.insert(item.clone()));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn policies() {
        let node = parse("# comment\nnameserver 1.1.1.1\nsearch corp.example. lan\noptions ndots:2 rotate\n");
        let of = |spec: serde_json::Value| {
            let pod: Pod = serde_json::from_value(json!({"metadata": {"namespace": "n"}, "spec": spec})).unwrap();
            let dns = of_pod(&pod, &node, &["10.96.0.10".to_owned()], "cluster.local");
            format!("{} | {} | {}", dns.servers.join(" "), dns.searches.join(" "), dns.options.join(" "))
        };
        let cluster =
            "10.96.0.10 | n.svc.cluster.local svc.cluster.local cluster.local corp.example lan | ndots:5 rotate";
        let plain = "1.1.1.1 | corp.example lan | ndots:2 rotate";
        assert_eq!(of(json!({"containers": []})), cluster);
        assert_eq!(of(json!({"containers": [], "dnsPolicy": "ClusterFirst", "hostNetwork": true})), plain);
        assert_eq!(of(json!({"containers": [], "dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": true})), cluster);
        assert_eq!(of(json!({"containers": [], "dnsPolicy": "Default"})), plain);
        let own = json!({"containers": [], "dnsPolicy": "None", "dnsConfig": {
            "nameservers": ["1.1.1.1"], "searches": ["a.b"], "options": [{"name": "ndots", "value": "3"}, {"name": "rotate"}]}});
        assert_eq!(of(own), "1.1.1.1 | a.b | ndots:3 rotate");
    }
}
