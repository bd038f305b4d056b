//! What is wrong with an expression: messages with their places, shown as cel-go shows them.

use std::fmt;

use crate::source::{Location, Source};

/// How many issues are shown; the rest is counted.
const SHOWN_MAX: usize = 100;
/// Lines longer than this (in bytes) are not quoted.
const SNIPPET_BYTES_MAX: usize = 16384;

/// Why an expression cannot be compiled, in upstream's words.
///
/// Each issue has its line quoted, with a caret below the place:
///
/// ```text
/// ERROR: <input>:1:3: undeclared reference to 'x' (in container '')
///  | 1+x
///  | ..^
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Issues {
    text: String,
    issues: Vec<Issue>,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// From 1, or -1 for the expression as a whole.
    pub line: i32,
    /// In characters, from 0, or -1 for the expression as a whole.
    pub column: i32,
    pub message: String,
}

impl Issues {
    /// What is said when no thread can be had.
    pub(crate) fn no_room() -> Self {
        let message = "no thread for an expression that nests so deep".to_owned();
        let issue = Issue { line: -1, column: -1, message: message.clone() };
        Self { text: format!("ERROR: <input>:-1:0: {message}"), issues: vec![issue] }
    }

    /// Returns the issues in the order of their places.
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

/// Collects issues while an expression is read or checked.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    found: Vec<(Location, String)>,
    count: usize,
}

impl Collector {
    pub(crate) fn report(&mut self, at: Location, message: impl Into<String>) {
        self.count += 1;
        if self.count <= SHOWN_MAX {
            self.found.push((at, message.into()));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns what was collected, if anything was.
    pub(crate) fn into_result(mut self, source: &Source) -> Result<(), Issues> {
        if self.count == 0 {
            return Ok(());
        }
        self.found.sort_by_key(|(at, _)| *at);
        let mut text: Vec<String> = self.found.iter().map(|(at, message)| shown(source, *at, message)).collect();
        if self.count > SHOWN_MAX {
            text.push(format!("{} more errors were truncated", self.count - SHOWN_MAX));
        }
        let issues = self.found.into_iter().map(|(at, message)| Issue { line: at.line, column: at.column, message });
        Err(Issues { text: text.join("\n"), issues: issues.collect() })
    }
}

fn shown(source: &Source, at: Location, message: &str) -> String {
    let head = format!("ERROR: <input>:{}:{}: {message}", at.line, at.column + 1);
    match source.line(at.line).filter(|line| line.len() <= SNIPPET_BYTES_MAX) {
        Some(line) => format!("{head}{}", Snippet { line: &line, column: at.column }),
        None => head,
    }
}

/// A quoted line and a second one that points at the column.
struct Snippet<'a> {
    line: &'a str,
    column: i32,
}

impl fmt::Display for Snippet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n | {}\n | ", self.line.replace('\t', " "))?;
        let mut rest = self.line.chars();
        for _ in 0..self.column {
            match rest.next() {
                // Characters beyond ASCII are taken for wide ones, and so is the mark below them.
                Some(c) => f.write_str(if c.is_ascii() { "." } else { "\u{ff0e}" })?,
                None => break,
            }
        }
        f.write_str(if rest.next().is_some_and(|c| !c.is_ascii()) { "\u{ff3e}" } else { "^" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issues_are_shown_in_the_order_of_places() {
        let source = Source::new("1 +\tx");
        let mut collector = Collector::default();
        collector.report(Location { line: 1, column: 4 }, "second");
        collector.report(Location { line: 1, column: 0 }, "first");
        collector.report(Location::NONE, "whole");
        let issues = collector.into_result(&source).unwrap_err();
        let text = "ERROR: <input>:-1:0: whole\nERROR: <input>:1:1: first\n | 1 + x\n | ^\nERROR: <input>:1:5: second\n | 1 + x\n | ....^";
        assert_eq!(issues.to_string(), text);
        assert_eq!(issues.issues().len(), 3);
    }

    #[test]
    fn more_than_a_hundred_are_counted() {
        let mut collector = Collector::default();
        for _ in 0..103 {
            collector.report(Location::NONE, "x");
        }
        let text = collector.into_result(&Source::new("")).unwrap_err().to_string();
        assert_eq!(text.lines().count(), 101);
        assert!(text.ends_with("\n3 more errors were truncated"));
    }
}
