//! Evaluates rules on a value and on everything in it, within a budget.
//!
//! The cost: a node without rules in or below it is not visited. A rule is evaluated on values that borrow the object, so that most
//! rules allocate nothing but the list of their variables.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};
use windlass_api::field::{Error, ErrorType, Errors, Path};
use windlass_cel::{Error as EvaluationError, PER_CALL_LIMIT, RUNTIME_BUDGET, Value};
use windlass_machinery::structural::error;

use super::compile::{OLD_SELF, SELF};
use super::correlation::{Keyed, Pair, Ratchet};
use super::message::NoMessage;
use super::tree::{Rule, Rules};

/// What all rules together may spend on one object.
pub(crate) const BUDGET: i64 = RUNTIME_BUDGET as i64;

/// The field of what is wrong with the object as a whole: Go's print of a path that is not there.
const NO_FIELD: &str = "<nil>";
const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// A value that is validated.
#[derive(Clone, Copy)]
pub(super) struct Place<'r, 'd> {
    /// `None` is the object itself.
    pub(super) path: Option<&'r Path<'r>>,
    pub(super) new: &'d Json,
    pub(super) old: Option<&'d Json>,
    pub(super) ratchet: Ratchet<'r, 'd>,
}

/// An evaluation of rules, and what it has found.
pub(super) struct Run {
    /// What may still be spent; negative once it was too much.
    pub(super) budget: i64,
    /// How often rules may still be asked. Constant ones cost nothing, and there may be as many of them as there are items.
    asked_left: i64,
    pub(super) errors: Errors,
    /// What was wrong before, and has not been touched.
    pub(super) forgiven: Errors,
}

/// The variables of the rules of a node, with the old value as it is and as an optional one.
struct Variables<'a> {
    plain: Vec<(&'a str, Value<'a>)>,
    optional: Vec<(&'a str, Value<'a>)>,
    /// The values are not what their schema says.
    own_fault: Option<EvaluationError>,
    old_fault: Option<EvaluationError>,
    has_old: bool,
}

/// Whether the evaluation goes on.
type GoesOn = bool;

impl Rules {
    /// Holds a value against the rules, as a new one or as an update of an old one whose errors count all the same. What it costs is
    /// taken from the budget, which is negative when it was not enough.
    pub(crate) fn validate(&self, path: &Path<'_>, new: &Json, old: Option<&Json>, budget: &mut i64) -> Errors {
        let mut run = Run::with(*budget);
        run.value(self, Place { path: Some(path), new, old, ratchet: Ratchet::default() });
        *budget = run.budget;
        run.errors
    }
}

impl Run {
    pub(super) fn with(budget: i64) -> Self {
        Self { budget, asked_left: BUDGET, errors: Errors::new(), forgiven: Errors::new() }
    }

    pub(super) fn value<'d>(&mut self, rules: &'d Rules, place: Place<'_, 'd>) -> GoesOn {
        if place.new.is_null() {
            return true;
        }
        self.own(rules, place)
            && match place.new {
                Json::Object(map) => self.fields(rules, map, place),
                Json::Array(items) => self.items(rules, items, place),
                _ => true,
            }
    }

    fn fields<'d>(&mut self, rules: &'d Rules, map: &'d Map<String, Json>, place: Place<'_, 'd>) -> GoesOn {
        let old = place.old.filter(|_| rules.shape.correlates_fields()).and_then(Json::as_object);
        let field = |run: &mut Self, rules: &'d Rules, name: &str, path: Path<'_>, new: &'d Json| {
            let pair = place.ratchet.field(name);
            let ratchet = place.ratchet.below(Some(name), pair.as_ref());
            let old = old.and_then(|old| old.get(name));
            run.value(rules, Place { path: Some(&path), new, old, ratchet })
        };
        if let Some(additional) = &rules.additional {
            const ROOT: Path<'static> = Path::new("");
            let mut entries = map.iter();
            let goes_on = |(name, new): (&'d String, &'d Json)| {
                field(self, additional, name, place.path.unwrap_or(&ROOT).key(name), new)
            };
            if !entries.all(goes_on) {
                return false;
            }
        }
        rules.properties.iter().all(|(name, rules)| {
            let path = place.path.map_or_else(|| Path::new(name), |path| path.child(name));
            map.get(&**name).is_none_or(|new| field(self, rules, name, path, new))
        })
    }

    fn items<'d>(&mut self, rules: &'d Rules, items: &'d [Json], place: Place<'_, 'd>) -> GoesOn {
        let (Some(below), Some(path)) = (&rules.items, place.path) else { return true };
        let old_items = Keyed::of(&rules.shape, place.old);
        items.iter().enumerate().all(|(index, new)| {
            let pair: Option<Pair<'_>> = place.ratchet.item(new);
            let ratchet = place.ratchet.below(None, pair.as_ref());
            let path = path.index(index);
            self.value(below, Place { path: Some(&path), new, old: old_items.find(new), ratchet })
        })
    }

    /// Evaluates the rules of a node itself.
    fn own<'d>(&mut self, rules: &'d Rules, place: Place<'_, 'd>) -> GoesOn {
        if rules.is_untyped {
            let detail = "rule compiler initialization error: failed to convert to declType for CEL validation rules";
            self.invalid(rules, place, || detail.to_owned());
            return true;
        }
        if rules.rules.is_empty() {
            return true;
        }
        if self.budget <= 0 {
            return self.end(rules, place, || OUT_OF_BUDGET.to_owned());
        }
        let variables = Variables::of(rules, place);
        rules.rules.iter().all(|rule| self.rule(rules, rule, &variables, place))
    }

    fn rule(&mut self, rules: &Rules, rule: &Rule, variables: &Variables<'_>, place: Place<'_, '_>) -> GoesOn {
        self.asked_left -= 1;
        if self.asked_left < 0 {
            return self.end(rules, place, || OUT_OF_BUDGET.to_owned());
        }
        let program = match &rule.program {
            Ok(program) => program,
            Err(detail) => {
                self.invalid(rules, place, || format!("rule compile error: {detail}"));
                return true;
            }
        };
        // A transition needs two ends.
        if rule.uses_old_self && !variables.has_old && !rule.is_old_optional {
            return true;
        }
        let (result, cost) = match variables.fault(rule) {
            Some(fault) => (Err(fault), 0),
            None => {
                let evaluation = program.evaluate(variables.seen_by(rule), PER_CALL_LIMIT);
                (evaluation.result.map(|value| value.as_bool()), evaluation.cost)
            }
        };
        match i64::try_from(cost).ok().filter(|cost| *cost <= self.budget) {
            Some(cost) => self.budget -= cost,
            None => return self.end(rules, place, || OUT_OF_BUDGET.to_owned()),
        }
        match result {
            Ok(Some(true)) => true,
            Ok(_) => self.broken(rules, rule, variables, place),
            Err(fault) => self.faulty(rules, rule, &fault, place),
        }
    }

    /// Reports a rule that has no value.
    fn faulty(&mut self, rules: &Rules, rule: &Rule, fault: &EvaluationError, place: Place<'_, '_>) -> GoesOn {
        let shown = &rule.shown;
        let problem = match fault {
            EvaluationError::Budget => "no further validation rules will be run due to call cost exceeds limit",
            EvaluationError::NoSuchOverload | EvaluationError::NoOverload(_) => {
                "call arguments did not match a supported operator, function or macro signature"
            }
            _ => {
                self.invalid(rules, place, || format!("{fault} evaluating rule: {shown}"));
                return true;
            }
        };
        let detail = || format!("'{fault}': {problem} for rule: {shown}");
        if *fault == EvaluationError::Budget {
            return self.end(rules, place, detail);
        }
        self.invalid(rules, place, detail);
        true
    }

    /// Reports a rule that is false.
    fn broken(&mut self, rules: &Rules, rule: &Rule, variables: &Variables<'_>, place: Place<'_, '_>) -> GoesOn {
        let is_forgiven = !rule.uses_old_self && place.ratchet.forgives();
        let message = rule.message.as_ref().map(|message| message.evaluate(&variables.plain, &mut self.budget));
        let type_name = rules.shape.type_name();
        let field = || field_of(place.path, rule);
        let detail = match message {
            Some(Ok(message)) => Cow::Owned(message),
            Some(Err(NoMessage::TooCostly(detail))) => {
                let value = Some(Json::from(type_name));
                self.report(is_forgiven, || Error { kind: ErrorType::Invalid, field: field(), value, detail });
                self.budget = -1;
                return false;
            }
            Some(Err(NoMessage::Replaced)) | None => Cow::Borrowed(&*rule.detail),
        };
        self.report(is_forgiven, || match rule.reason {
            kind @ (ErrorType::Required | ErrorType::Forbidden) => {
                Error { kind, field: field(), value: None, detail: detail.into_owned() }
            }
            kind => {
                let shown = Some(place.new).filter(|_| !matches!(type_name, "object" | "array"));
                let detail = if kind == ErrorType::Duplicate { String::new() } else { detail.into_owned() };
                error(kind, field(), shown, detail)
            }
        });
        true
    }

    /// Errors are made only when they are kept: one can show a whole rule, and be found in every item of a list.
    fn report(&mut self, is_forgiven: bool, make: impl FnOnce() -> Error) {
        if is_forgiven { self.forgiven.push_with(make) } else { self.errors.push_with(make) }
    }

    fn invalid(&mut self, rules: &Rules, place: Place<'_, '_>, detail: impl FnOnce() -> String) {
        self.errors.push_with(|| {
            let field = place.path.map_or_else(|| NO_FIELD.to_owned(), ToString::to_string);
            let value = Some(Json::from(rules.shape.type_name()));
            Error { kind: ErrorType::Invalid, field, value, detail: detail() }
        });
    }

    /// Reports what ends the evaluation of all rules.
    fn end(&mut self, rules: &Rules, place: Place<'_, '_>, detail: impl FnOnce() -> String) -> GoesOn {
        self.invalid(rules, place, detail);
        self.budget = -1;
        false
    }
}

/// The field in which a broken rule shows.
fn field_of(path: Option<&Path<'_>>, rule: &Rule) -> String {
    match (path, &rule.field) {
        (None, None) => NO_FIELD.to_owned(),
        (None, Some(field)) => field.to_string(),
        (Some(path), None) => path.to_string(),
        (Some(path), Some(field)) => format!("{path}.{field}"),
    }
}

impl<'a> Variables<'a> {
    fn of(rules: &'a Rules, place: Place<'_, 'a>) -> Self {
        let value = |data: &'a Json| Value::from_json(data, Some(&*rules.shape));
        let old = place.old.filter(|old| rules.sees_old && !old.is_null()).map(value);
        let mut variables = Self {
            plain: Vec::with_capacity(2),
            optional: Vec::with_capacity(2),
            own_fault: None,
            old_fault: None,
            has_old: old.is_some(),
        };
        match value(place.new) {
            Ok(own) => {
                variables.plain.push((SELF, own.clone()));
                variables.optional.push((SELF, own));
            }
            Err(fault) => variables.own_fault = Some(fault),
        }
        match old {
            Some(Ok(old)) => {
                variables.plain.push((OLD_SELF, old.clone()));
                variables.optional.push((OLD_SELF, Value::Optional(Some(old.into()))));
            }
            Some(Err(fault)) => variables.old_fault = Some(fault),
            None => variables.optional.push((OLD_SELF, Value::Optional(None))),
        }
        variables
    }

    fn seen_by(&self, rule: &Rule) -> &[(&'a str, Value<'a>)] {
        if rule.is_old_optional { &self.optional } else { &self.plain }
    }

    /// Why a rule cannot have the values that it reads.
    fn fault(&self, rule: &Rule) -> Option<EvaluationError> {
        let own = self.own_fault.as_ref().filter(|_| rule.uses_self);
        own.or(self.old_fault.as_ref().filter(|_| rule.uses_old_self)).cloned()
    }
}
