//! Bounds and factors of numbers.
//!
//! A value is an integer or a float as it was written, and a bound is a float that is converted to the value's kind: an integer
//! is held against 1 where the schema says 1.5. Upstream does so, and the numbers in its messages show it.
//!
//! Source: kube-openapi `pkg/validation/validate/{validator,values}.go`.

use windlass_api::field::ErrorType;

use super::compare::to_int;
use super::findings::Findings;
use super::formats::{Format, Width};
use super::go_print::{Num, print_float};
use super::kind::Kind;
use super::place::Place;
use super::schema::{NumberRules, Structural};
use super::validate::Walk;

/// A number and where it stands.
struct Number<'a> {
    value: Num,
    kind: Kind,
    width: Option<Width>,
    place: &'a Place<'a>,
}

impl Walk<'_> {
    pub(super) fn number(&self, schema: &Structural, value: Num, place: &Place<'_>, out: &mut Findings) {
        let rules = schema.rules.as_deref();
        let width = rules.and_then(|rules| rules.format.as_deref()).and_then(Format::width);
        let number = Number { value, kind: schema.kind, width, place };
        self.fits(&number, value, "Checked", out);
        let Some(rules) = rules.and_then(|rules| rules.number.as_deref()) else { return };
        if let Some(factor) = rules.multiple_of {
            let fits = self.fits(&number, Num::Float(factor), "MultipleOf", out);
            self.multiple_of(&number, if fits { value } else { Num::Float(value.as_f64()) }, factor, out);
        }
        self.bound(&number, rules, Bound::Minimum, out);
        self.bound(&number, rules, Bound::Maximum, out);
    }

    fn multiple_of(&self, number: &Number<'_>, value: Num, factor: f64, out: &mut Findings) {
        let place = number.place;
        let (factor, is_multiple) = match value {
            Num::Int(value) => {
                let factor = to_int(factor);
                (Num::Int(factor), factor > 0 && value % factor == 0)
            }
            Num::Float(value) => {
                let quotient = if factor < 1.0 { 1.0 / factor * value } else { value / factor };
                (Num::Float(factor), is_integer(quotient))
            }
        };
        let shown = factor.print();
        if factor.as_f64() <= 0.0 {
            let detail = move || format!("factor MultipleOf declared for {place} must be positive: {shown}");
            self.invalid_number(place, factor, detail, out);
        } else if !is_multiple {
            self.invalid_number(place, value, move || format!("{place} in body should be a multiple of {shown}"), out);
        }
    }

    fn bound(&self, number: &Number<'_>, rules: &NumberRules, bound: Bound, out: &mut Findings) {
        let (limit, is_exclusive, prefix, words) = match (bound, rules.excludes_minimum, rules.excludes_maximum) {
            (Bound::Minimum, true, _) => (rules.minimum, true, "Minimum boundary", "greater than"),
            (Bound::Minimum, false, _) => (rules.minimum, false, "Minimum boundary", "greater than or equal to"),
            (Bound::Maximum, _, true) => (rules.maximum, true, "Maximum boundary", "less than"),
            (Bound::Maximum, _, false) => (rules.maximum, false, "Maximum boundary", "less than or equal to"),
        };
        let Some(limit) = limit else { return };
        let fits = self.fits(number, Num::Float(limit), prefix, out);
        let value = if fits { number.value } else { Num::Float(number.value.as_f64()) };
        let (limit, is_beyond) = match value {
            Num::Int(value) => {
                let limit = to_int(limit);
                (Num::Int(limit), bound.is_crossed(value, limit, is_exclusive))
            }
            Num::Float(value) => (Num::Float(limit), bound.is_crossed(value, limit, is_exclusive)),
        };
        if is_beyond {
            let place = number.place;
            let detail = move || format!("{place} in body should be {words} {}", limit.print());
            self.invalid_number(place, value, detail, out);
        }
    }

    /// Whether the schema's type and format can hold a number; it is an error of the whole object when they cannot.
    fn fits(&self, number: &Number<'_>, checked: Num, prefix: &str, out: &mut Findings) -> bool {
        let fits = match (number.kind, number.width, checked) {
            (Kind::Integer, Some(Width::Int32), Num::Int(int)) => i32::try_from(int).is_ok(),
            (Kind::Integer, Some(Width::Int32), Num::Float(float)) => {
                float.fract() == 0.0 && float >= f64::from(i32::MIN) && float <= f64::from(i32::MAX)
            }
            // The least integer is not among them: its float prints as a number that is less.
            (Kind::Integer, _, Num::Float(float)) => float.fract() == 0.0 && float.abs() < 9_223_372_036_854_775_808.0,
            (Kind::Number, Some(Width::Float), Num::Float(float)) => (float as f32).is_finite(),
            _ => true,
        };
        if !fits {
            out.push(|| {
                let format = match number.width {
                    Some(width) => format!("with format {}", width.name()),
                    None => "(default format)".to_owned(),
                };
                let (kind, place) = (number.kind.name(), number.place);
                self.whole(format!("{prefix} value must be of type {kind} {format} in {place}"))
            });
        }
        fits
    }

    fn invalid_number(&self, place: &Place<'_>, value: Num, detail: impl FnOnce() -> String, out: &mut Findings) {
        out.push(|| {
            let mut error = self.error(ErrorType::Invalid, place, None, detail());
            match value {
                Num::Int(int) => error.value = Some(int.into()),
                // As in `findings::error`: serde_json would print it in its own way.
                Num::Float(float) => error.detail = format!("{}: {}", print_float(float), error.detail),
            }
            error
        });
    }
}

#[derive(Clone, Copy)]
enum Bound {
    Minimum,
    Maximum,
}

impl Bound {
    fn is_crossed<T: PartialOrd>(self, value: T, limit: T, is_exclusive: bool) -> bool {
        match self {
            Self::Minimum => value < limit || is_exclusive && value == limit,
            Self::Maximum => value > limit || is_exclusive && value == limit,
        }
    }
}

/// Whether a float is an integer that JSON's readers agree on, but for a billionth of itself.
pub(super) fn is_integer(float: f64) -> bool {
    const SAFE_MAX: f64 = 9_007_199_254_740_991.0;
    if !(-SAFE_MAX..=SAFE_MAX).contains(&float) {
        return false;
    }
    let rounded = float.round();
    float == rounded || (rounded != 0.0 && (float - rounded).abs() < 1e-9 * rounded.abs())
}
