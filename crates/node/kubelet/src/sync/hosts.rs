//! /etc/hosts of a pod. Pure.

use windlass_api::k8s::api::core::v1::HostAlias;

const HEADER: &str = "# Kubernetes-managed hosts file.\n";
const HEADER_HOST_NETWORK: &str = "# Kubernetes-managed hosts file (host network).\n";
const LOCAL: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::\tip6-localnet\n\
    fe00::\tip6-mcastprefix\n\
    fe00::1\tip6-allnodes\n\
    fe00::2\tip6-allrouters\n";

/// The file of a pod on the pod network. `domain` is what follows the host name in its full name; empty without a subdomain.
pub(super) fn of_pod(ips: &[String], hostname: &str, domain: &str, aliases: &[HostAlias]) -> String {
    let mut text = format!("{HEADER}{LOCAL}");
    for ip in ips {
        if domain.is_empty() {
            text.push_str(&format!("{ip}\t{hostname}\n"));
        } else {
            text.push_str(&format!("{ip}\t{hostname}.{domain}\t{hostname}\n"));
        }
    }
    text.push_str(&alias_lines(aliases));
    text
}

/// The file of a pod on the node's network: the node's own.
pub(super) fn of_host(node: &str, aliases: &[HostAlias]) -> String {
    format!("{HEADER_HOST_NETWORK}{node}{}", alias_lines(aliases))
}

fn alias_lines(aliases: &[HostAlias]) -> String {
    if aliases.is_empty() {
        return String::new();
    }
    let line = |alias: &HostAlias| {
        let names = alias.hostnames.as_deref().unwrap_or_default().join("\t");
        format!("{}\t{names}\n", alias.ip)
    };
    format!("\n# Entries added by HostAliases.\n{}", aliases.iter().map(line).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files() {
        let alias = HostAlias { ip: "1.2.3.4".to_owned(), hostnames: Some(vec!["a".to_owned(), "b".to_owned()]) };
        let text = of_pod(&["10.0.0.1".to_owned()], "p", "s.n.svc.cluster.local", std::slice::from_ref(&alias));
        assert!(text.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"));
        assert!(
            text.ends_with("10.0.0.1\tp.s.n.svc.cluster.local\tp\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n")
        );
        assert!(of_pod(&["10.0.0.1".to_owned()], "p", "", &[]).ends_with("10.0.0.1\tp\n"));
        assert!(of_host("127.0.0.1 x\n", &[alias]).starts_with("# Kubernetes-managed hosts file (host network).\n127"));
    }
}
