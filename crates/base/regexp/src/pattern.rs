//! One pattern.

use std::sync::{Arc, OnceLock};

use regex::{Regex, RegexBuilder};

use super::PatternError;
use super::translate::translate;
use super::weight::{self, Weighed};

/// Bytes in which a compiled pattern may remember what it has seen of texts.
const CACHE_BYTES_MAX: usize = 256 << 10;

/// A pattern that is right and not too large. Copies share what is compiled.
#[derive(Clone, Debug)]
pub struct Pattern(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Box<str>,
    /// In the syntax of the `regex` crate.
    translated: Box<str>,
    weight: usize,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// Reads a pattern that may weigh so much.
    pub fn parse(source: &str, weight_max: usize) -> Result<Self, PatternError> {
        let at_least = weight::at_least(source);
        if at_least > weight_max {
            return Err(PatternError::too_large(source));
        }
        let translated = translate(source)?;
        let weight = match weight::of(&translated, weight_max) {
            Weighed::Bytes(bytes) if bytes <= weight_max => bytes.max(at_least),
            Weighed::Bytes(_) => return Err(PatternError::too_large(source)),
            Weighed::TooDeep => {
                let part = source.to_owned();
                return Err(PatternError::Invalid { what: "expression nests too deeply", part });
            }
        };
        let translated = translated.into();
        Ok(Self(Arc::new(Inner { source: source.into(), translated, weight, compiled: OnceLock::new() })))
    }

    /// What it takes at least to read a pattern, in bytes as [`Self::weight`] has them. Known by a look at the text.
    pub fn weight_min(source: &str) -> usize {
        weight::at_least(source)
    }

    /// The bytes that the compiled pattern takes at most, as one automaton. The crate builds a second one that runs backwards.
    pub fn weight(&self) -> usize {
        self.0.weight
    }

    pub fn is_match(&self, text: &str) -> Result<bool, PatternError> {
        Ok(self.compiled()?.is_match(text))
    }

    /// Returns the first match, or nothing but an empty string.
    pub fn find<'t>(&self, text: &'t str) -> Result<&'t str, PatternError> {
        Ok(self.compiled()?.find(text).map_or("", |found| found.as_str()))
    }

    /// Returns the first matches, all of them without a limit.
    pub fn find_all<'t>(&self, text: &'t str, limit: Option<usize>) -> Result<Vec<&'t str>, PatternError> {
        let found = self.compiled()?.find_iter(text).take(limit.unwrap_or(usize::MAX));
        Ok(found.map(|found| found.as_str()).collect())
    }

    /// Fails where the crate needs more than twice of what was weighed, which is no reason to let it have that.
    fn compiled(&self) -> Result<&Regex, PatternError> {
        let compiled = self.0.compiled.get_or_init(|| self.compile(2 * self.0.weight));
        compiled.as_ref().ok_or_else(|| PatternError::too_large(&self.0.source))
    }

    pub(crate) fn compile(&self, bytes_max: usize) -> Option<Regex> {
        RegexBuilder::new(&self.0.translated).size_limit(bytes_max).dfa_size_limit(CACHE_BYTES_MAX).build().ok()
    }

    #[cfg(test)]
    pub(crate) fn is_compiled(&self) -> bool {
        self.0.compiled.get().is_some()
    }
}
