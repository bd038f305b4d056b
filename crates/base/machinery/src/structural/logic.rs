//! `anyOf`, `oneOf`, `allOf` and `not`.
//!
//! Of branches that all fail, those errors are shown whose branch passed most checks, so checks are counted as upstream counts
//! them. Nothing below these ratchets.
//!
//! Source: kube-openapi `pkg/validation/validate/schema_props.go`.

use serde_json::Value;
use windlass_api::text;

use super::findings::Findings;
use super::place::Place;
use super::schema::{Logic, Structural};
use super::validate::Walk;

/// What the branches of `anyOf` or `oneOf` said.
#[derive(Default)]
struct Outcome {
    valid: usize,
    /// The checks that the first valid branch passed.
    first_valid: u64,
    /// The failed branch that passed most checks.
    best: Option<(u64, Findings)>,
}

impl Walk<'_> {
    /// Returns the number of checks passed.
    pub(super) fn logic(&self, logic: &Logic, value: &Value, place: &Place<'_>, out: &mut Findings) -> u64 {
        let mut passed = 0;
        if !logic.any_of.is_empty() {
            passed += self.any_of(&logic.any_of, value, place, out);
        }
        if !logic.one_of.is_empty() {
            passed += self.one_of(&logic.one_of, value, place, out);
        }
        if !logic.all_of.is_empty() {
            passed += self.all_of(&logic.all_of, value, place, out);
        }
        if let Some(not) = &logic.not {
            let mut findings = Findings::default();
            self.value(not, value, place, None, &mut findings);
            if findings.is_empty() {
                out.push(|| self.whole(format!("{} must not validate the schema (not)", quoted(place))));
            }
        }
        passed
    }

    fn any_of(&self, branches: &[Structural], value: &Value, place: &Place<'_>, out: &mut Findings) -> u64 {
        let outcome = self.try_each(branches, value, place, true);
        if outcome.valid > 0 {
            return outcome.first_valid;
        }
        out.push(|| self.whole(format!("{} must validate at least one schema (anyOf)", quoted(place))));
        outcome.take_best(out)
    }

    fn one_of(&self, branches: &[Structural], value: &Value, place: &Place<'_>, out: &mut Findings) -> u64 {
        let outcome = self.try_each(branches, value, place, false);
        let found = match outcome.valid {
            1 => return outcome.first_valid,
            0 => "Found none valid".to_owned(),
            valid => format!("Found {valid} valid alternatives"),
        };
        out.push(|| self.whole(format!("{} must validate one and only one schema (oneOf). {found}", quoted(place))));
        outcome.take_best(out)
    }

    fn all_of(&self, branches: &[Structural], value: &Value, place: &Place<'_>, out: &mut Findings) -> u64 {
        let (mut passed, mut valid) = (0, 0);
        for branch in branches {
            let mark = out.mark();
            passed += self.value(branch, value, place, None, out);
            valid += usize::from(out.is_clean_since(mark));
        }
        if valid < branches.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            out.push(|| self.whole(format!("{} must validate all the schemas (allOf){none}", quoted(place))));
        }
        passed
    }

    fn try_each(&self, branches: &[Structural], value: &Value, place: &Place<'_>, stop_at_valid: bool) -> Outcome {
        let mut outcome = Outcome::default();
        for branch in branches {
            let mut findings = Findings::default();
            let passed = self.value(branch, value, place, None, &mut findings);
            if findings.is_empty() {
                if outcome.valid == 0 {
                    outcome.first_valid = passed;
                }
                outcome.valid += 1;
                outcome.best = None;
                if stop_at_valid {
                    break;
                }
            } else if outcome.valid == 0 && outcome.best.as_ref().is_none_or(|(most, _)| passed > *most) {
                outcome.best = Some((passed, findings));
            }
        }
        outcome
    }
}

impl Outcome {
    fn take_best(self, out: &mut Findings) -> u64 {
        let Some((passed, findings)) = self.best else { return 0 };
        out.append(findings);
        passed
    }
}

fn quoted(place: &Place<'_>) -> String {
    text::quoted(&place.to_string())
}
