//! Nobody may give away what they do not have: whoever writes a role or a binding must hold every right in it.
//!
//! Source: upstream `pkg/registry/rbac/validation`.

use super::Rule;

/// The parts of `wanted` that `held` does not cover, broken down to single rights.
pub fn uncovered(held: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    wanted.iter().flat_map(break_down).filter(|right| !held.iter().any(|rule| covers(rule, right))).collect()
}

/// A rule as rules of one verb, one group, one resource, one name, or one URL.
fn break_down(rule: &Rule) -> Vec<Rule> {
    let mut rights = Vec::new();
    for verb in &rule.verbs {
        let verbs = vec![verb.clone()];
        for url in &rule.non_resource_urls {
            let non_resource_urls = vec![url.clone()];
            rights.push(Rule { verbs: verbs.clone(), non_resource_urls, ..Rule::default() });
        }
        for group in &rule.api_groups {
            for resource in &rule.resources {
                let one = Rule {
                    verbs: verbs.clone(),
                    api_groups: vec![group.clone()],
                    resources: vec![resource.clone()],
                    ..Rule::default()
                };
                if rule.resource_names.is_empty() {
                    rights.push(one);
                } else {
                    let named = rule.resource_names.iter();
                    rights.extend(named.map(|name| Rule { resource_names: vec![name.clone()], ..one.clone() }));
                }
            }
        }
    }
    rights
}

/// The rights of [`uncovered`] as upstream tells them to the user: one line for each resource or URL, sorted.
pub fn describe(rights: &[Rule]) -> String {
    let mut compact: Vec<Rule> = Vec::new();
    for right in rights {
        let is_alike = |other: &&mut Rule| {
            right.non_resource_urls.is_empty() && Rule { verbs: right.verbs.clone(), ..(**other).clone() } == *right
        };
        match compact.iter_mut().find(is_alike) {
            Some(rule) => rule.verbs.extend_from_slice(&right.verbs),
            None => compact.push(right.clone()),
        }
    }
    let mut lines: Vec<String> = compact.iter().map(line).collect();
    lines.sort();
    lines.dedup();
    lines.join("\n")
}

/// `{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}`
fn line(rule: &Rule) -> String {
    let parts = [
        ("APIGroups", &rule.api_groups),
        ("Resources", &rule.resources),
        ("NonResourceURLs", &rule.non_resource_urls),
        ("ResourceNames", &rule.resource_names),
        ("Verbs", &rule.verbs),
    ];
    let parts = parts.into_iter().filter(|(_, words)| !words.is_empty());
    let parts: Vec<String> = parts.map(|(name, words)| format!("{name}:{}", quoted(words))).collect();
    format!("{{{}}}", parts.join(", "))
}

/// A list as Go writes it with `%q`.
pub fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    format!("[{}]", words.join(" "))
}

fn covers(rule: &Rule, right: &Rule) -> bool {
    let has = |choices: &[String], wanted: &[String]| {
        wanted.iter().all(|w| choices.iter().any(|choice| choice == "*" || choice == w))
    };
    if !has(&rule.verbs, &right.verbs) {
        return false;
    }
    if let Some(url) = right.non_resource_urls.first() {
        return rule.allows_path(url);
    }
    let Some(resource) = right.resources.first() else { return false };
    let (name, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    has(&rule.api_groups, &right.api_groups)
        && (rule.resources.iter().any(|choice| choice == resource) || rule.allows_resource(name, subresource))
        && (rule.resource_names.is_empty()
            || (!right.resource_names.is_empty()
                && right.resource_names.iter().all(|name| rule.resource_names.contains(name))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(verbs: &[&str], groups: &[&str], resources: &[&str], names: &[&str]) -> Rule {
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
        Rule {
            verbs: list(verbs),
            api_groups: list(groups),
            resources: list(resources),
            resource_names: list(names),
            non_resource_urls: Vec::new(),
        }
    }

    #[test]
    fn coverage() {
        let held =
            [rule(&["get", "list"], &[""], &["pods", "*/scale"], &[]), rule(&["update"], &[""], &["pods"], &["x"])];
        assert!(uncovered(&held, &[rule(&["get"], &[""], &["pods"], &["y"])]).is_empty());
        assert!(uncovered(&held, &[rule(&["get"], &[""], &["things/scale"], &[])]).is_empty());
        assert!(uncovered(&held, &[rule(&["update"], &[""], &["pods"], &["x"])]).is_empty());
        assert_eq!(uncovered(&held, &[rule(&["update"], &[""], &["pods"], &[])]).len(), 1);
        assert_eq!(uncovered(&held, &[rule(&["get", "delete"], &["", "apps"], &["pods"], &[])]).len(), 3);
        assert_eq!(uncovered(&held, &[rule(&["*"], &["*"], &["*"], &[])]).len(), 1);
        let everything = [rule(&["*"], &["*"], &["*"], &[])];
        assert!(uncovered(&everything, &[rule(&["*"], &["*"], &["*"], &[])]).is_empty());
    }

    #[test]
    fn descriptions() {
        let wanted = [rule(&["get", "list"], &[""], &["secrets", "pods"], &[]), rule(&["get"], &["a"], &["b"], &["n"])];
        let urls = Rule { verbs: vec!["get".into()], non_resource_urls: vec!["/x".into()], ..Rule::default() };
        let missing = uncovered(&[], &[wanted.as_slice(), &[urls]].concat());
        let expected = r#"{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}
{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}
{APIGroups:["a"], Resources:["b"], ResourceNames:["n"], Verbs:["get"]}
{NonResourceURLs:["/x"], Verbs:["get"]}"#;
        assert_eq!(describe(&missing), expected);
    }
}
