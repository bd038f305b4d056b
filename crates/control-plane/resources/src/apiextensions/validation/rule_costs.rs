//! What the rules of a schema may cost, and the limits: for each rule, and for all of a schema together.

use windlass_api::field::{Error, Errors, Path};

/// What a rule may cost, in upstream's units.
const RULE_COST_MAX: u64 = 10_000_000;
/// What all rules of a schema may cost.
const SCHEMA_COST_MAX: u64 = 100_000_000;
/// So many rules are named when all of them cost too much.
const NAMED_MAX: usize = 4;

/// The costs of the rules of a schema.
#[derive(Default)]
pub(super) struct Costs {
    total: u64,
    /// The fields of the most expensive rules, the first one being the worst; none that is less than a hundredth of the limit.
    most_expensive: Vec<(String, u64)>,
    /// The schema was accepted before: rules are not held against the limit one by one.
    is_unchanged: bool,
}

impl Costs {
    pub(super) fn new(is_unchanged: bool) -> Self {
        Self { is_unchanged, ..Self::default() }
    }

    /// Counts an expression, and reports it if it alone costs too much. `what` is its name in the message.
    pub(super) fn add(&mut self, errors: &mut Errors, path: &Path<'_>, what: &str, cost: u64) {
        if !self.is_unchanged && cost > RULE_COST_MAX {
            errors.push_with(|| Error::forbidden(path, excess(&format!("estimated {what} cost"), cost, RULE_COST_MAX)));
        }
        self.total = self.total.saturating_add(cost);
        if cost >= SCHEMA_COST_MAX / 100 {
            let place = self.most_expensive.partition_point(|(_, other)| *other >= cost);
            self.most_expensive.insert(place, (path.to_string(), cost));
            self.most_expensive.truncate(NAMED_MAX);
        }
    }

    /// Reports if all rules together cost too much. `path` is that of the schema.
    pub(super) fn validate_total(&self, errors: &mut Errors, path: &Path<'_>) {
        if self.total <= SCHEMA_COST_MAX {
            return;
        }
        for (field, _) in &self.most_expensive {
            let detail = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
            errors.push_with(|| Error { field: field.clone(), ..Error::forbidden(path, detail) });
        }
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        errors.push_with(|| Error::forbidden(path, excess(what, self.total, SCHEMA_COST_MAX)));
    }
}

fn excess(what: &str, cost: u64, limit: u64) -> String {
    let times = cost as f64 / limit as f64;
    let factor = match times {
        // The estimate of such a rule says no more than that it grows with the square of something.
        100.0.. if times > 100.0 => "more than 100x".to_owned(),
        ..1.5 => format!("{times:.6}x"),
        _ => format!("{times:.1}x"),
    };
    let advice = "try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared";
    format!("{what} exceeds budget by factor of {factor} ({advice})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors() {
        for (cost, factor) in [
            (10_000_001, "1.000000x"),
            (14_999_999, "1.500000x"),
            (15_000_000, "1.5x"),
            (1_000_000_000, "100.0x"),
            (1_000_000_001, "more than 100x"),
            (u64::MAX, "more than 100x"),
        ] {
            let text = excess("estimated rule cost", cost, RULE_COST_MAX);
            assert!(
                text.starts_with(&format!("estimated rule cost exceeds budget by factor of {factor} (try")),
                "{text}"
            );
        }
    }

    #[test]
    fn the_worst_are_named() {
        let (mut costs, mut errors, root) = (Costs::default(), Errors::new(), Path::new("s"));
        for cost in [999_999, 5_000_000, 60_000_000, 1_000_000, 7_000_000, 60_000_000, u64::MAX] {
            costs.add(&mut errors, &root.child(&format!("c{cost}")), "rule", cost);
        }
        assert_eq!(
            errors.iter().map(|e| e.field.as_str()).collect::<Vec<_>>(),
            ["s.c60000000", "s.c60000000", &format!("s.c{}", u64::MAX)]
        );
        let mut errors = Errors::new();
        costs.validate_total(&mut errors, &root);
        let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, [&format!("s.c{}", u64::MAX), "s.c60000000", "s.c60000000", "s.c7000000", "s"]);
    }
}
