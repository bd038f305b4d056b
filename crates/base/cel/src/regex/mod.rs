//! Regular expressions with the syntax and the classes of RE2, as Go has them.
//!
//! The `regex` crate matches the same way, in linear time and leftmost-first, but reads a few things differently: classes of letters
//! and digits are those of Unicode, and there is more syntax. So patterns are read here ([`translate`]), which also finds Go's words for
//! what is wrong with them, and are written anew for it.

mod class;
mod escape;
mod translate;

use std::fmt;

use regex_syntax::hir::{Class, Hir, HirKind};

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(::regex::Regex);

/// What is wrong with a pattern, in Go's words, and with which part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    pub(crate) what: &'static str,
    pub(crate) part: String,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `{}`", self.what, self.part)
    }
}

impl Pattern {
    pub(crate) fn compile(pattern: &str) -> Result<Self, PatternError> {
        let translated = translate::translate(pattern)?;
        let too_large = |_| PatternError { what: "expression too large", part: pattern.to_owned() };
        ::regex::RegexBuilder::new(&translated).build().map(Self).map_err(too_large)
    }

    /// Returns how large a pattern is with its repetitions written out, which says how much work it is to compile.
    pub(crate) fn parts(pattern: &str) -> usize {
        let parsed = translate::translate(pattern).ok().and_then(|translated| regex_syntax::parse(&translated).ok());
        parsed.map_or(pattern.len(), |parsed| parts(&parsed))
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// Returns the first match, or nothing but an empty string.
    pub(crate) fn find<'t>(&self, text: &'t str) -> &'t str {
        self.0.find(text).map_or("", |found| found.as_str())
    }

    /// Returns the first matches, all of them without a limit.
    pub(crate) fn find_all<'t>(&self, text: &'t str, limit: Option<usize>) -> Vec<&'t str> {
        self.0.find_iter(text).take(limit.unwrap_or(usize::MAX)).map(|found| found.as_str()).collect()
    }
}

fn parts(pattern: &Hir) -> usize {
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(Class::Unicode(class)) => class.ranges().len(),
        HirKind::Class(Class::Bytes(class)) => class.ranges().len(),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min + 1).max(1);
            parts(&repetition.sub).saturating_mul(times as usize)
        }
        HirKind::Capture(capture) => parts(&capture.sub),
        HirKind::Concat(all) | HirKind::Alternation(all) => all.iter().map(parts).fold(0, usize::saturating_add),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_ascii() {
        let cases = [
            (r"^\d+$", "١", false),
            (r"^\d+$", "12", true),
            (r"^\w$", "é", false),
            (r"^[\w-]+$", "a-b_", true),
            (r"^\s$", "\u{b}", false),
            (r"^[[:alpha:]]+$", "abc", true),
            (r"a{,2}", "a{,2}", true),
            (r"a{1,2}$", "aa", true),
            (r"[a&&b]", "&", true),
            (r"\Q.*\E", "x.*", true),
            (r"\.\-\/", ".-/", true),
            (r"(?i)STRASSE", "strasse", true),
            (r"\pL", "é", true),
            (r"[^\D]", "5", true),
            (r"\x41\x{42}\103", "ABC", true),
            (r"^$", "", true),
            (r"[]a]", "]", true),
            (r"a|*", "a", false),
            (r"[~~]", "~", true),
            (r"^[a-]+$", "a-", true),
        ];
        for (pattern, text, expected) in cases {
            let matches = Pattern::compile(pattern).is_ok_and(|pattern| pattern.is_match(text));
            assert_eq!(matches, expected, "{pattern}");
        }
    }

    #[test]
    fn faults_in_the_words_of_go() {
        let cases = [
            ("[", "missing closing ]: `[`"),
            ("a(b", "missing closing ): `a(b`"),
            ("a)b", "unexpected ): `a)b`"),
            ("*", "missing argument to repetition operator: `*`"),
            ("a**", "invalid nested repetition operator: `**`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            ("[z-a]", "invalid character class range: `z-a`"),
            (r"\q", r"invalid escape sequence: `\q`"),
            ("a\\", "trailing backslash at end of expression: ``"),
            ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
            ("(?P<n", "invalid named capture: `(?P<n`"),
            (r"\pX", r"invalid character class range: `\pX`"),
            ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
        ];
        for (pattern, expected) in cases {
            assert_eq!(Pattern::compile(pattern).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn matches_are_found() {
        let pattern = Pattern::compile("a*").unwrap();
        assert_eq!(pattern.find_all("baac", None), ["", "aa", ""]);
        assert_eq!(pattern.find_all("baac", Some(1)), [""]);
        assert_eq!(Pattern::compile("b+").unwrap().find("abb"), "bb");
    }
}
