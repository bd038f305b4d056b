//! The patterns of one definition.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Pattern, PatternError};

/// How much patterns may weigh, in bytes of [`Pattern::weight`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub each: usize,
    pub together: usize,
}

impl Limits {
    /// For the schemas of a definition: `^[\p{L}\p{N}]{1,253}$` is among what people write.
    pub const OF_SCHEMAS: Self = Self { each: 32 << 20, together: 32 << 20 };
    /// For the expressions of a definition.
    pub const OF_EXPRESSIONS: Self = Self { each: 8 << 20, together: 32 << 20 };
}

/// The patterns of one definition (a CustomResourceDefinition, a policy), each of which is read and compiled once, within a common
/// budget. They are freed with the definition.
#[derive(Debug)]
pub struct Patterns {
    limits: Limits,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    left: usize,
    by_source: HashMap<Box<str>, Result<Pattern, PatternError>>,
}

impl Patterns {
    /// Those of the schemas of a definition.
    pub fn of_schemas() -> Arc<Self> {
        Arc::new(Self::new(Limits::OF_SCHEMAS))
    }

    /// Those of the expressions of a definition.
    pub fn of_expressions() -> Arc<Self> {
        Arc::new(Self::new(Limits::OF_EXPRESSIONS))
    }

    /// Those of a definition that was accepted before there were limits, and that may stay.
    pub fn accepted() -> Arc<Self> {
        Arc::new(Self::new(Limits { each: usize::MAX, together: usize::MAX }))
    }

    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, known: Mutex::new(Known { left: limits.together, by_source: HashMap::new() }) }
    }

    /// Returns a pattern, which is charged when it is first asked for. What is wrong with one stays wrong.
    pub fn get(&self, source: &str) -> Result<Pattern, PatternError> {
        let mut known = self.known.lock();
        if let Some(pattern) = known.by_source.get(source) {
            return pattern.clone();
        }
        let pattern = self.read(source, &mut known.left);
        known.by_source.insert(source.into(), pattern.clone());
        pattern
    }

    fn read(&self, source: &str, left: &mut usize) -> Result<Pattern, PatternError> {
        let over_budget = || PatternError::OverBudget { part: source.to_owned() };
        let at_least = Pattern::weight_min(source);
        if at_least > *left && at_least <= self.limits.each {
            return Err(over_budget());
        }
        let pattern = Pattern::parse(source, self.limits.each)?;
        *left = left.checked_sub(pattern.weight()).ok_or_else(over_budget)?;
        Ok(pattern)
    }
}
