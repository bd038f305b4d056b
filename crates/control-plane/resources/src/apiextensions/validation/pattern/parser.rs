//! The syntax.

use super::classes::{is_posix_class, is_unicode_class};
use super::size::{COPIES_MAX, Repeat, Sum, Term};

const RANGE: &str = "invalid character class range";
const ESCAPE: &str = "invalid escape sequence";
const NAMED_CAPTURE: &str = "invalid named capture";
const PERL: &str = "invalid or unsupported Perl syntax";
const NESTED_REPEAT: &str = "invalid nested repetition operator";
const REPEAT_COUNT: &str = "invalid repeat count";
const NO_BRACKET: &str = "missing closing ]";
const NO_PAREN: &str = "missing closing )";
const NO_ARGUMENT: &str = "missing argument to repetition operator";
const BACKSLASH: &str = "trailing backslash at end of expression";
const SURPLUS_PAREN: &str = "unexpected )";
const TOO_DEEP: &str = "expression nests too deeply";
const TOO_LARGE: &str = "expression too large";

/// As many groups may be open at once. Go has no such bound for groups that are not remembered.
const OPEN_MAX: usize = 10_000;

/// Why Go does not take a pattern, if so.
pub(in super::super) fn problem(pattern: &str) -> Option<String> {
    let parsed = Parser { text: pattern, rest: pattern, open: Vec::new(), current: Group::default() }.run();
    parsed.err().map(|(code, shown)| format!("error parsing regexp: {code}: `{shown}`"))
}

/// What is wrong, and the part of the text that shows it.
type Problem<'p> = (&'static str, &'p str);

struct Parser<'p> {
    text: &'p str,
    /// What has not been read.
    rest: &'p str,
    /// The groups around the current one.
    open: Vec<Group>,
    current: Group,
}

/// A group that is being read; the whole pattern is one.
#[derive(Default)]
struct Group {
    captures: bool,
    /// The alternatives before the last `|`.
    alternatives: Sum,
    sequence: Sum,
    /// The last part of the sequence, which a repetition would be about.
    last: Option<Term>,
}

impl Group {
    fn push(&mut self, term: Term) {
        if let Some(before) = self.last.replace(term) {
            self.sequence.add(before);
        }
    }

    fn end_alternative(&mut self) {
        if let Some(last) = self.last.take() {
            self.sequence.add(last);
        }
        self.alternatives.add(std::mem::take(&mut self.sequence).sequence());
    }

    /// The group as a part of the one around it.
    fn close(mut self) -> Term {
        self.end_alternative();
        let term = self.alternatives.alternatives();
        if self.captures { term.captured() } else { term }
    }
}

impl<'p> Parser<'p> {
    fn run(mut self) -> Result<(), Problem<'p>> {
        // From where the repetition was written that has just been read.
        let mut repetition = None;
        while let Some(first) = self.rest.chars().next() {
            let before = self.rest;
            repetition = match first {
                '*' | '+' | '?' => {
                    self.rest = &before[1..];
                    let repeat = if first == '*' { Repeat::Star } else { Repeat::PlusOrQuest };
                    self.repeat(repeat, before, repetition)?;
                    Some(before)
                }
                '{' => match self.counted()? {
                    Some(repeat) => {
                        self.repeat(repeat, before, repetition)?;
                        Some(before)
                    }
                    None => {
                        self.single(1);
                        None
                    }
                },
                other => {
                    self.other(other)?;
                    None
                }
            };
        }
        if !self.open.is_empty() {
            return Err((NO_PAREN, self.text));
        }
        let whole = self.current.close();
        check_size(whole, self.text)
    }

    /// Everything but repetitions.
    fn other(&mut self, first: char) -> Result<(), Problem<'p>> {
        match first {
            '(' if self.rest.starts_with("(?") => self.flags()?,
            '(' => {
                self.rest = &self.rest[1..];
                self.open_group(true)?;
            }
            ')' => {
                let Some(outer) = self.open.pop() else { return Err((SURPLUS_PAREN, self.text)) };
                self.rest = &self.rest[1..];
                let inner = std::mem::replace(&mut self.current, outer).close();
                check_size(inner, self.text)?;
                self.current.push(inner);
            }
            '|' => {
                self.rest = &self.rest[1..];
                self.current.end_alternative();
            }
            '[' => {
                self.rest = class(self.rest)?;
                self.current.push(Term::SINGLE);
            }
            '\\' => self.escape()?,
            other => self.single(other.len_utf8()),
        }
        Ok(())
    }

    /// Takes some bytes as one character.
    fn single(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
        self.current.push(Term::SINGLE);
    }

    fn open_group(&mut self, captures: bool) -> Result<(), Problem<'p>> {
        if self.open.len() >= OPEN_MAX {
            return Err((TOO_DEEP, self.text));
        }
        let group = Group { captures, ..Group::default() };
        self.open.push(std::mem::replace(&mut self.current, group));
        Ok(())
    }

    /// Repeats the last part; the operator has been read up to the sign that makes it modest.
    fn repeat(&mut self, repeat: Repeat, before: &'p str, last: Option<&'p str>) -> Result<(), Problem<'p>> {
        self.rest = self.rest.strip_prefix('?').unwrap_or(self.rest);
        if let Some(last) = last {
            return Err((NESTED_REPEAT, read(last, self.rest)));
        }
        let operator = read(before, self.rest);
        let term = self.current.last.ok_or((NO_ARGUMENT, operator))?.repeated(repeat);
        check_size(term, self.text)?;
        if matches!(repeat, Repeat::Counted { least, most } if least.max(most.unwrap_or(0)) >= 2)
            && term.has_too_many_copies()
        {
            return Err((REPEAT_COUNT, operator));
        }
        self.current.last = Some(term);
        Ok(())
    }

    /// Reads `{2}`, `{2,}` or `{2,3}`; anything else is a brace.
    fn counted(&mut self) -> Result<Option<Repeat>, Problem<'p>> {
        let before = self.rest;
        let inner = &before[1..];
        let end = inner.find(|c: char| !(c.is_ascii_digit() || c == ',')).unwrap_or(inner.len());
        let (inner, after) = inner.split_at(end);
        let Some(after) = after.strip_prefix('}') else { return Ok(None) };
        let (least, most) = inner
            .split_once(',')
            .map_or((inner, Some(inner)), |(least, most)| (least, Some(most).filter(|most| !most.is_empty())));
        let is_count = |digits: &str| {
            !digits.is_empty()
                && digits.bytes().all(|byte| byte.is_ascii_digit())
                && (digits.len() == 1 || !digits.starts_with('0'))
        };
        if !is_count(least) || !most.is_none_or(is_count) {
            return Ok(None);
        }
        let count = |digits: &str| digits.parse().unwrap_or(u64::MAX);
        let (least, most) = (count(least), most.map(count));
        if least > COPIES_MAX || most.is_some_and(|most| most > COPIES_MAX || least > most) {
            return Err((REPEAT_COUNT, read(before, after)));
        }
        self.rest = after;
        Ok(Some(Repeat::Counted { least, most }))
    }

    /// Reads what begins with `(?`: a name, flags, or a group that is not remembered.
    fn flags(&mut self) -> Result<(), Problem<'p>> {
        let before = self.rest;
        let named = before.strip_prefix("(?P<").or_else(|| before.strip_prefix("(?<")).filter(|name| !name.is_empty());
        if let Some(named) = named {
            let Some((name, after)) = named.split_once('>') else { return Err((NAMED_CAPTURE, before)) };
            let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric();
            if name.is_empty() || !name.chars().all(is_word) {
                return Err((NAMED_CAPTURE, read(before, after)));
            }
            self.rest = after;
            return self.open_group(true);
        }
        let (mut is_negated, mut has_flag) = (false, false);
        let mut characters = before[2..].chars();
        for character in characters.by_ref() {
            match character {
                'i' | 'm' | 's' | 'U' => has_flag = true,
                '-' if !is_negated => (is_negated, has_flag) = (true, false),
                ':' | ')' if !is_negated || has_flag => {
                    self.rest = characters.as_str();
                    return if character == ':' { self.open_group(false) } else { Ok(()) };
                }
                _ => break,
            }
        }
        Err((PERL, read(before, characters.as_str())))
    }

    /// Reads what begins with a backslash, outside of classes.
    fn escape(&mut self) -> Result<(), Problem<'p>> {
        match self.rest.as_bytes().get(1) {
            Some(b'A' | b'b' | b'B' | b'z') => self.single(2),
            Some(b'C') => return Err((ESCAPE, &self.rest[..2])),
            Some(b'Q') => {
                let (literal, after) = self.rest[2..].split_once("\\E").unwrap_or((&self.rest[2..], ""));
                literal.chars().for_each(|_| self.current.push(Term::SINGLE));
                self.rest = after;
            }
            _ => {
                self.rest = match escaped_class(self.rest)? {
                    Some(after) => after,
                    None => escaped_character(self.rest)?.1,
                };
                self.current.push(Term::SINGLE);
            }
        }
        Ok(())
    }
}

fn check_size(term: Term, text: &str) -> Result<(), Problem<'_>> {
    if term.is_too_large() {
        return Err((TOO_LARGE, text));
    }
    if term.is_too_deep() { Err((TOO_DEEP, text)) } else { Ok(()) }
}

/// The part of a text before what is left of it.
fn read<'p>(text: &'p str, rest: &str) -> &'p str {
    &text[..text.len() - rest.len()]
}

/// Reads `[…]`; returns what follows.
fn class(text: &str) -> Result<&str, Problem<'_>> {
    let mut rest = &text[1..];
    rest = rest.strip_prefix('^').unwrap_or(rest);
    let mut is_first = true;
    // What is not found once is not searched for again: the text may be long.
    let mut may_be_named = true;
    while is_first || !rest.starts_with(']') {
        is_first = false;
        if let Some(name) = rest.strip_prefix("[:").filter(|_| may_be_named) {
            let Some((name, after)) = name.split_once(":]") else {
                may_be_named = false;
                continue;
            };
            if !is_posix_class(name) {
                return Err((RANGE, read(rest, after)));
            }
            rest = after;
            continue;
        }
        if let Some(after) = escaped_class(rest)? {
            rest = after;
            continue;
        }
        let begin = rest;
        let (low, after) = class_character(rest, text)?;
        rest = after;
        if rest.len() >= 2 && rest.starts_with('-') && !rest.starts_with("-]") {
            let (high, after) = class_character(&rest[1..], text)?;
            rest = after;
            if high < low {
                return Err((RANGE, read(begin, rest)));
            }
        }
    }
    Ok(&rest[1..])
}

/// A character of a class that begins at `class`, as its number.
fn class_character<'p>(text: &'p str, class: &'p str) -> Result<(u32, &'p str), Problem<'p>> {
    match text.chars().next() {
        None => Err((NO_BRACKET, class)),
        Some('\\') => escaped_character(text),
        Some(character) => Ok((character.into(), &text[character.len_utf8()..])),
    }
}

/// Reads `\d` or `\p{Greek}` and their like, if one is there; returns what follows.
fn escaped_class(text: &str) -> Result<Option<&str>, Problem<'_>> {
    let Some(rest) = text.strip_prefix('\\') else { return Ok(None) };
    match rest.bytes().next() {
        Some(b'd' | b'D' | b's' | b'S' | b'w' | b'W') => Ok(Some(&rest[1..])),
        Some(b'p' | b'P') => {
            let rest = &rest[1..];
            let (name, after) = if let Some(inner) = rest.strip_prefix('{') {
                inner.split_once('}').ok_or((RANGE, text))?
            } else {
                rest.split_at(rest.chars().next().map_or(0, char::len_utf8))
            };
            let is_known = is_unicode_class(name.strip_prefix('^').unwrap_or(name));
            if is_known { Ok(Some(after)) } else { Err((RANGE, read(text, after))) }
        }
        _ => Ok(None),
    }
}

/// Reads one character that a backslash stands before: its number, and what follows.
fn escaped_character(text: &str) -> Result<(u32, &str), Problem<'_>> {
    let mut characters = text[1..].chars();
    let Some(first) = characters.next() else { return Err((BACKSLASH, "")) };
    let rest = characters.as_str();
    let octal = |rest: &str| rest.bytes().take_while(|byte| (b'0'..=b'7').contains(byte)).count();
    let number = match first {
        '0' => Some((0, octal(rest).min(2))),
        '1'..='7' if octal(rest) > 0 => Some((u32::from(first) - u32::from('0'), octal(rest).min(2))),
        _ => None,
    };
    if let Some((first, digits)) = number {
        let value = rest[..digits].bytes().fold(first, |value, digit| value * 8 + u32::from(digit - b'0'));
        return Ok((value, &rest[digits..]));
    }
    match first {
        'x' => hexadecimal(text),
        'a' => Ok((7, rest)),
        'f' => Ok((12, rest)),
        'n' => Ok((10, rest)),
        'r' => Ok((13, rest)),
        't' => Ok((9, rest)),
        'v' => Ok((11, rest)),
        sign if sign.is_ascii() && !sign.is_ascii_alphanumeric() => Ok((sign.into(), rest)),
        _ => Err((ESCAPE, read(text, rest))),
    }
}

/// Reads `\x7f` or `\x{10ffff}`.
fn hexadecimal(text: &str) -> Result<(u32, &str), Problem<'_>> {
    let mut characters = text[2..].chars();
    let failed = |rest: &str| Err((ESCAPE, read(text, rest)));
    match characters.next() {
        None => failed(""),
        Some('{') => {
            let mut value = None;
            for character in characters.by_ref() {
                if character == '}' {
                    return value.map_or_else(|| failed(characters.as_str()), |value| Ok((value, characters.as_str())));
                }
                let Some(digit) = character.to_digit(16) else { return failed(characters.as_str()) };
                let next = value.unwrap_or(0) * 16 + digit;
                if next > u32::from(char::MAX) {
                    return failed(characters.as_str());
                }
                value = Some(next);
            }
            failed("")
        }
        Some(first) => {
            let second = characters.next();
            let digits = first.to_digit(16).zip(second.and_then(|second| second.to_digit(16)));
            let rest = characters.as_str();
            digits.map_or_else(|| failed(rest), |(first, second)| Ok((first * 16 + second, rest)))
        }
    }
}
