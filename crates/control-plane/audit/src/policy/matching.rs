//! Whether a rule is for a request. Source: apiserver `pkg/audit/policy/checker.go`.

use windlass_auth::Attributes;

use super::{GroupResources, Written};

pub(super) fn is_for(rule: &Written, asked: &Attributes<'_>) -> bool {
    let names = |list: &[String], name: &str| list.is_empty() || has(list, name);
    if !names(&rule.users, &asked.user.name) || !names(&rule.verbs, asked.verb) {
        return false;
    }
    if !rule.user_groups.is_empty() && !asked.user.groups.iter().any(|group| has(&rule.user_groups, group)) {
        return false;
    }
    let is_resource = !asked.resource.is_empty();
    if !rule.namespaces.is_empty() || !rule.resources.is_empty() {
        return is_resource && names(&rule.namespaces, asked.namespace) && of_resources(&rule.resources, asked);
    }
    let urls = &rule.non_resource_urls;
    urls.is_empty() || (!is_resource && urls.iter().any(|url| is_path(url, asked.path)))
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|one| one == wanted)
}

fn of_resources(all: &[GroupResources], asked: &Attributes<'_>) -> bool {
    all.is_empty() || all.iter().any(|one| of_group(one, asked))
}

fn of_group(written: &GroupResources, asked: &Attributes<'_>) -> bool {
    if written.group != "*" && written.group != asked.group {
        return false;
    }
    let of_name = written.resource_names.is_empty() || has(&written.resource_names, asked.name);
    written.resources.is_empty() || (of_name && written.resources.iter().any(|resource| is_resource(resource, asked)))
}

/// `*`, `pods`, `pods/log`, `pods/*` or `*/log`.
fn is_resource(written: &str, asked: &Attributes<'_>) -> bool {
    if written == "*" || written.strip_suffix("/*").is_some_and(|resource| resource == asked.resource) {
        return true;
    }
    let (resource, subresource) = written.split_once('/').unwrap_or((written, ""));
    let is_any = resource == "*" && !asked.subresource.is_empty();
    (is_any || resource == asked.resource) && subresource == asked.subresource
}

/// A star at the end stands for any rest.
fn is_path(written: &str, path: &str) -> bool {
    written == path || (written.ends_with('*') && path.starts_with(written.trim_end_matches('*')))
}

#[cfg(test)]
mod tests {
    use windlass_auth::User;

    use super::*;

    fn rule(yaml: &str) -> Written {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn whom_rules_are_for() {
        let user = User::new("tim", &["humans"]);
        let of = |verb| Attributes::of(&user, verb);
        let pod = Attributes { resource: "pods", version: "v1", namespace: "default", name: "busybox", ..of("get") };
        let log = Attributes { subresource: "log", ..pod };
        let node = Attributes { resource: "nodes", version: "v1", name: "n", ..of("list") };
        let role = Attributes { resource: "roles", group: "rbac.authorization.k8s.io", namespace: "a", ..of("create") };
        let path = Attributes { path: "/logs/kubelet.log", ..of("get") };
        // Which of pod, pod's log, node, role and path each is for.
        let cases = [
            ("{}", [true, true, true, true, true]),
            ("{users: [tim]}", [true, true, true, true, true]),
            ("{users: [bob]}", [false; 5]),
            ("{userGroups: [x, humans]}", [true, true, true, true, true]),
            ("{userGroups: [x]}", [false; 5]),
            ("{verbs: [get]}", [true, true, false, false, true]),
            ("{namespaces: [default]}", [true, true, false, false, false]),
            ("{namespaces: ['']}", [false, false, true, false, false]),
            ("{resources: [{}]}", [true, true, true, false, false]),
            ("{resources: [{group: '*'}]}", [true, true, true, true, false]),
            ("{resources: [{resources: [pods]}]}", [true, false, false, false, false]),
            ("{resources: [{resources: ['*']}]}", [true, true, true, false, false]),
            ("{resources: [{resources: [pods/log]}]}", [false, true, false, false, false]),
            ("{resources: [{resources: ['pods/*']}]}", [true, true, false, false, false]),
            ("{resources: [{resources: ['*/log']}]}", [false, true, false, false, false]),
            ("{resources: [{resources: [pods], resourceNames: [busybox]}]}", [true, false, false, false, false]),
            ("{resources: [{resources: [pods], resourceNames: [other]}]}", [false; 5]),
            ("{nonResourceURLs: ['/logs*']}", [false, false, false, false, true]),
            ("{nonResourceURLs: ['*']}", [false, false, false, false, true]),
            ("{nonResourceURLs: ['/logs']}", [false; 5]),
        ];
        for (text, expected) in cases {
            let rule = rule(text);
            assert_eq!([&pod, &log, &node, &role, &path].map(|asked| is_for(&rule, asked)), expected, "{text}");
        }
    }
}
