//! Regular expressions as Go takes them: what it refuses, in its words.
//!
//! Matching is done elsewhere, by another engine; a pattern that passes here is one that upstream would have stored. One pass
//! over the text, with a stack of open groups, so that nothing is recursed over. [`parser`] reads, [`size`] keeps the bounds,
//! [`classes`] knows the names of classes.
//!
//! Source: Go's `regexp/syntax` (the flags of `regexp.Compile`).

mod classes;
mod parser;
mod size;

pub(super) use parser::problem;

#[cfg(test)]
mod tests {
    use super::problem;

    #[test]
    fn words_of_go() {
        let cases = include_str!("cases.txt");
        let mut count = 0;
        for case in cases.lines() {
            let (pattern, expected) = case.split_once('\t').unwrap();
            assert_eq!(problem(pattern).unwrap_or_default(), expected, "{pattern}");
            count += 1;
        }
        assert!(count > 100);
    }

    #[test]
    fn bounds() {
        let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
        assert_eq!(problem(&nested(900)), None);
        assert!(problem(&nested(1100)).unwrap().starts_with("error parsing regexp: expression nests too deeply: `((("));
        let large = format!("({}){{1000}}", "a".repeat(4000));
        assert!(problem(&large).unwrap().starts_with("error parsing regexp: expression too large: `(aaa"));
        assert!(problem(&"(".repeat(9000)).unwrap().starts_with("error parsing regexp: missing closing )"));
        assert!(
            problem(&"(".repeat(1 << 20)).unwrap().starts_with("error parsing regexp: expression nests too deeply")
        );
        assert!(problem(&"[[:".repeat(1 << 18)).unwrap().starts_with("error parsing regexp: missing closing ]"));
    }
}
