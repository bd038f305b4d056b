//! Nobody may give away what they do not have: whoever writes a role or a binding must hold every right in it.
//!
//! Source: upstream `pkg/registry/rbac/validation`.

use std::collections::{HashMap, HashSet};

use super::Rule;

/// Rights that are looked at one by one. A rule of more (its lists are multiplied) is held as a whole, by one rule, or not at all.
const RIGHTS_MAX: usize = 10_000;

/// The parts of `wanted` that `held` does not cover, broken down to single rights.
pub fn uncovered(held: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    let held: Vec<Held<'_>> = held.iter().map(Held::of).collect();
    let is_held = |right: &Rule| held.iter().any(|held| held.covers(right));
    let (mut missing, mut left) = (Vec::new(), RIGHTS_MAX);
    for rule in wanted.iter().filter(|rule| !is_held(rule)) {
        match left.checked_sub(count(rule)) {
            Some(rest) => {
                left = rest;
                missing.extend(break_down(rule).into_iter().filter(|right| !is_held(right)));
            }
            None => missing.push(rule.clone()),
        }
    }
    missing
}

/// How many single rights a rule is.
fn count(rule: &Rule) -> usize {
    let resources = rule.api_groups.len().saturating_mul(rule.resources.len());
    let named = resources.saturating_mul(rule.resource_names.len().max(1));
    named.saturating_add(rule.non_resource_urls.len()).saturating_mul(rule.verbs.len())
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
    let mut alike = HashMap::new();
    for right in rights {
        let of = (&right.api_groups, &right.resources, &right.resource_names);
        match alike.get(&of).filter(|_| right.non_resource_urls.is_empty()) {
            Some(&index) => {
                let rule: &mut Rule = &mut compact[index];
                rule.verbs.extend_from_slice(&right.verbs);
            }
            None => {
                alike.insert(of, compact.len());
                compact.push(right.clone());
            }
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

/// A rule that somebody holds, with its names in a set: there may be very many, and each is asked for.
struct Held<'a> {
    rule: &'a Rule,
    names: HashSet<&'a str>,
}

impl<'a> Held<'a> {
    fn of(rule: &'a Rule) -> Self {
        Self { rule, names: rule.resource_names.iter().map(String::as_str).collect() }
    }

    fn covers(&self, right: &Rule) -> bool {
        let rule = self.rule;
        let has = |choices: &[String], wanted: &[String]| {
            wanted.iter().all(|w| choices.iter().any(|choice| choice == "*" || choice == w))
        };
        if !has(&rule.verbs, &right.verbs) {
            return false;
        }
        if !right.non_resource_urls.iter().all(|url| rule.allows_path(url)) {
            return false;
        }
        let allows = |resource: &String| {
            let (name, subresource) = resource.split_once('/').unwrap_or((resource, ""));
            rule.resources.iter().any(|choice| choice == resource) || rule.allows_resource(name, subresource)
        };
        if right.resources.is_empty() || right.api_groups.is_empty() {
            return !right.non_resource_urls.is_empty();
        }
        has(&rule.api_groups, &right.api_groups)
            && right.resources.iter().all(allows)
            && (rule.resource_names.is_empty()
                || (!right.resource_names.is_empty()
                    && right.resource_names.iter().all(|name| self.names.contains(name.as_str()))))
    }
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

    /// Lists are multiplied, so that a small rule is millions of rights.
    #[test]
    fn a_rule_of_too_many_rights_is_held_as_a_whole_or_not_at_all() {
        let many: Vec<String> = (0..1000).map(|n| format!("x{n}")).collect();
        let huge = Rule { verbs: many.clone(), api_groups: many.clone(), resources: many, ..Rule::default() };
        let huge = [huge];
        assert_eq!(uncovered(&[rule(&["get"], &[""], &["pods"], &[])], &huge), huge);
        assert!(uncovered(&[rule(&["*"], &["*"], &["*"], &[])], &huge).is_empty());
        let [huge] = huge;
        assert_eq!(uncovered(&[], &[rule(&["get"], &[""], &["pods"], &[]), huge]).len(), 2);
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
