//! Which providers are for which resources. Rules are looked through in their order of precedence: the resource itself, its group, everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_api::text::quoted;

use crate::provider::Provider;

/// The resources that a rule is for: `secrets`, `pandas.awesome.bears.example`, `*.apps`, `*.` for the core group, `*.*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pattern {
    pub group: String,
    pub resource: String,
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Self {
        let (resource, group) = text.split_once('.').unwrap_or((text, ""));
        Self { group: group.to_owned(), resource: resource.to_owned() }
    }

    fn all_of(group: &str) -> Self {
        Self { group: group.to_owned(), resource: "*".to_owned() }
    }

    fn is_everything(&self) -> bool {
        self.group == "*" && self.resource == "*"
    }

    /// Whether there are resources that both are for, one of them by a wildcard.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.is_everything()
            || other.is_everything()
            || (self.group == other.group && (self.resource == "*" || other.resource == "*"))
    }

    fn shown(&self) -> String {
        match (self.group.as_str(), self.resource.as_str()) {
            ("", "*") => "*.".to_owned(),
            ("", resource) => resource.to_owned(),
            (group, resource) => format!("{resource}.{group}"),
        }
    }
}

/// The providers of resources; of each the first one writes.
#[derive(Debug, Default)]
pub(crate) struct Rules(BTreeMap<Pattern, Vec<Arc<Provider>>>);

impl Rules {
    /// Adds a rule behind those that there are. The error says which of them leaves it nothing.
    pub(crate) fn add(&mut self, resources: &[String], providers: &[Arc<Provider>]) -> Result<(), String> {
        for name in resources {
            let pattern = Pattern::parse(name);
            let wider = [Pattern::all_of(&pattern.group), Pattern::all_of("*")];
            if let Some(wider) = wider.iter().find(|wider| self.0.contains_key(wider)) {
                let (own, wider) = (pattern.shown(), wider.shown());
                return Err(format!("resource {} is masked by earlier rule {}", quoted(&own), quoted(&wider)));
            }
            self.0.entry(pattern).or_default().extend_from_slice(providers);
        }
        Ok(())
    }

    /// The providers for a table of the store, which has the name of its resource; `None` when no rule is for it.
    pub(crate) fn of(&self, table: &str) -> Option<&[Arc<Provider>]> {
        if self.0.is_empty() {
            return None;
        }
        let own = Pattern::parse(table);
        let group = Pattern::all_of(&own.group);
        let found = [&own, &group, &Pattern::all_of("*")].into_iter().find_map(|pattern| self.0.get(pattern));
        found.map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(rules: &mut Rules, names: &[&str]) -> Result<(), String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        rules.add(&names, &[Arc::new(Provider::Identity)])
    }

    #[test]
    fn the_narrowest_rule_counts() {
        let mut rules = Rules::default();
        assert!(rules.of("secrets").is_none());
        for names in [&["secrets", "pandas.awesome.bears.example"][..], &["secrets"], &["*.apps"], &["*."], &["*.*"]] {
            added(&mut rules, names).unwrap();
        }
        let count = |table: &str| rules.of(table).unwrap().len();
        // Two rules for one resource are one behind the other.
        assert_eq!(
            (count("secrets"), count("pods"), count("deployments.apps"), count("leases.coordination.k8s.io")),
            (2, 1, 1, 1)
        );
        let masked = added(&mut rules, &["daemonsets.apps"]).unwrap_err();
        assert_eq!(masked, r#"resource "daemonsets.apps" is masked by earlier rule "*.apps""#);
        assert_eq!(added(&mut rules, &["pods"]).unwrap_err(), r#"resource "pods" is masked by earlier rule "*.""#);
        assert_eq!(added(&mut rules, &["a.b"]).unwrap_err(), r#"resource "a.b" is masked by earlier rule "*.*""#);
    }
}
