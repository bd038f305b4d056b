//! Reads a pattern as Go does and writes it for the `regex` crate.

use std::collections::HashSet;

use super::PatternError;
use super::class::Classes;
use super::escape::{escaped_character, write_literal, wrong};

const REPEAT_MAX: u32 = 1000;
/// How deep groups may nest.
const DEPTH_MAX: usize = 250;

pub(super) fn translate(pattern: &str) -> Result<String, PatternError> {
    let out = String::with_capacity(pattern.len() + 16);
    let mut translator = Translator { pattern, at: 0, out, names: HashSet::new(), last_colon: pattern.rfind(":]") };
    translator.run()?;
    Ok(translator.out)
}

struct Translator<'a> {
    pattern: &'a str,
    at: usize,
    out: String,
    /// Of groups.
    names: HashSet<&'a str>,
    /// Where the last `:]` stands, so that nobody looks for one in vain again and again.
    last_colon: Option<usize>,
}

impl<'a> Translator<'a> {
    fn rest(&self) -> &'a str {
        &self.pattern[self.at..]
    }

    fn run(&mut self) -> Result<(), PatternError> {
        let mut depth = 0;
        // Whether there is something that could be repeated, and where a repetition of it begins.
        let mut operand = false;
        let mut repetition: Option<usize> = None;
        while let Some(c) = self.rest().chars().next() {
            let mut repeated = None;
            match c {
                '(' => {
                    operand = false;
                    if self.group()? {
                        depth += 1;
                    }
                    if depth > DEPTH_MAX {
                        return wrong("expression nests too deeply", self.pattern);
                    }
                }
                ')' => {
                    if depth == 0 {
                        return wrong("unexpected )", self.pattern);
                    }
                    depth -= 1;
                    operand = true;
                    self.push(c);
                }
                '|' => {
                    operand = false;
                    self.push(c);
                }
                '*' | '+' | '?' => {
                    repeated = Some(self.at);
                    self.repeat(1, operand, repetition)?;
                }
                '{' => match counts(self.rest()) {
                    Some((length, min, max)) => {
                        let part = &self.rest()[..length];
                        if min > REPEAT_MAX || max.is_some_and(|max| max > REPEAT_MAX || max < min) {
                            return wrong("invalid repeat count", part);
                        }
                        repeated = Some(self.at);
                        self.repeat(length, operand, repetition)?;
                    }
                    None => {
                        self.literal(c);
                        operand = true;
                    }
                },
                '[' => {
                    let (length, class) = {
                        let last_colon = self.last_colon.and_then(|last| last.checked_sub(self.at));
                        Classes::bracketed(self.rest(), last_colon.unwrap_or(0))?
                    };
                    self.at += length;
                    self.out.push_str(&class);
                    operand = true;
                }
                '\\' => {
                    self.escape()?;
                    operand = true;
                }
                '.' | '^' | '$' => {
                    self.push(c);
                    operand = true;
                }
                c => {
                    self.literal(c);
                    operand = true;
                }
            }
            repetition = repeated;
        }
        if depth > 0 { wrong("missing closing )", self.pattern) } else { Ok(()) }
    }

    fn push(&mut self, c: char) {
        self.out.push(c);
        self.at += c.len_utf8();
    }

    fn literal(&mut self, c: char) {
        write_literal(&mut self.out, c);
        self.at += c.len_utf8();
    }

    /// A repetition of `length` bytes, with the `?` that makes it lazy.
    fn repeat(&mut self, length: usize, operand: bool, last: Option<usize>) -> Result<(), PatternError> {
        let start = self.at;
        let lazy = usize::from(self.rest()[length..].starts_with('?'));
        self.at += length + lazy;
        if let Some(last) = last {
            return wrong("invalid nested repetition operator", &self.pattern[last..self.at]);
        }
        if !operand {
            return wrong("missing argument to repetition operator", &self.pattern[start..self.at]);
        }
        self.out.push_str(&self.pattern[start..self.at]);
        Ok(())
    }

    /// What follows `(`; returns whether a group was opened, as opposed to flags that were set. Nobody asks for what groups matched, and
    /// to remember it would take memory for each of them at each state.
    fn group(&mut self) -> Result<bool, PatternError> {
        let rest = self.rest();
        if !rest.starts_with("(?") {
            self.out.push_str("(?:");
            self.at += 1;
            return Ok(true);
        }
        if rest.starts_with("(?P<") || rest.starts_with("(?<") {
            return self.named_group().map(|()| true);
        }
        let mut negated = false;
        let mut set = false;
        for (at, c) in rest.char_indices().skip(2) {
            match c {
                'i' | 'm' | 's' | 'U' => set = true,
                '-' if !negated => {
                    negated = true;
                    set = false;
                }
                ':' | ')' if !negated || set => {
                    self.out.push_str(&rest[..=at]);
                    self.at += at + 1;
                    return Ok(c == ':');
                }
                c => return wrong("invalid or unsupported Perl syntax", &rest[..at + c.len_utf8()]),
            }
        }
        wrong("missing closing )", self.pattern)
    }

    fn named_group(&mut self) -> Result<(), PatternError> {
        let rest = self.rest();
        let Some(end) = rest.find('>') else { return wrong("invalid named capture", rest) };
        let name = &rest[rest.find('<').map_or(0, |open| open + 1)..end];
        if name.is_empty() || !name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) {
            return wrong("invalid named capture", &rest[..=end]);
        }
        if !self.names.insert(name) {
            return wrong("duplicate capture group name", name);
        }
        self.out.push_str("(?:");
        self.at += end + 1;
        Ok(())
    }

    fn escape(&mut self) -> Result<(), PatternError> {
        let rest = self.rest();
        let mut after = rest.chars();
        after.next();
        let word = match after.next() {
            Some('A') => r"\A",
            Some('z') => r"\z",
            Some('b') => r"(?-u:\b)",
            Some('B') => r"\B",
            Some('Q') => {
                let quoted = &rest[2..];
                let end = quoted.find("\\E");
                quoted[..end.unwrap_or(quoted.len())].chars().for_each(|c| write_literal(&mut self.out, c));
                self.at += 2 + end.map_or(quoted.len(), |end| end + 2);
                return Ok(());
            }
            _ => {
                if let Some((length, class)) = Classes::escaped(rest)? {
                    self.out.push_str(&format!("[{class}]"));
                    self.at += length;
                    return Ok(());
                }
                let (length, c) = escaped_character(rest)?;
                write_literal(&mut self.out, c);
                self.at += length;
                return Ok(());
            }
        };
        self.out.push_str(word);
        self.at += 2;
        Ok(())
    }
}

/// Reads `{2}`, `{2,}` or `{2,3}`: its length, and how often.
fn counts(text: &str) -> Option<(usize, u32, Option<u32>)> {
    // Whatever else stands between braces is none, and is not looked at again by each brace before it.
    let end = 1 + text[1..].bytes().position(|byte| !byte.is_ascii_digit() && byte != b',')?;
    if !text[end..].starts_with('}') {
        return None;
    }
    let number = |digits: &str| {
        let fits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let leading_zero = digits.len() > 1 && digits.starts_with('0');
        (fits && !leading_zero).then(|| digits.parse().unwrap_or(u32::MAX))
    };
    let inner = &text[1..end];
    match inner.split_once(',') {
        None => number(inner).map(|n| (end + 1, n, Some(n))),
        Some((min, "")) => number(min).map(|min| (end + 1, min, None)),
        Some((min, max)) => Some((end + 1, number(min)?, Some(number(max)?))),
    }
}
