//! Reading a path. Errors are upstream's, word for word.

use serde_json::Value;
use windlass_api::text::is_printable;

use super::{Filter, Slice, Step, Steps};

/// Reads `{path}`. What follows on a closing brace within the path must be readable, and counts for nothing.
pub(super) fn path(path: &str) -> Result<Steps, String> {
    let input = format!("{{{path}}}");
    let mut reader = Reader { rest: &input[1..] };
    let steps = reader.action()?;
    while let Some((_, rest)) = reader.rest.split_once('{') {
        reader.rest = rest;
        reader.action()?;
    }
    Ok(steps)
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// Reads up to the closing brace.
    fn action(&mut self) -> Result<Steps, String> {
        let mut steps = Vec::new();
        loop {
            if self.take("}") {
                return Ok(steps.into());
            }
            if self.take("[?(") {
                steps.push(self.filter()?);
                continue;
            }
            if self.take("..") {
                if matches!(steps.last(), Some(Step::Descend)) {
                    return Err("invalid multiple recursive descent".to_owned());
                }
                steps.push(Step::Descend);
                if self.peek().is_some_and(is_of_word) {
                    steps.push(self.field());
                }
                continue;
            }
            match self.peek() {
                None | Some('\r' | '\n') => return Err("unclosed action".to_owned()),
                Some(' ' | '@' | '$') => self.skip(1),
                Some('[') => self.brackets(&mut steps)?,
                Some(quote @ ('"' | '\'')) => steps.push(self.quoted(quote)?),
                Some('.') => {
                    self.skip(1);
                    steps.push(self.field());
                }
                Some(c) if matches!(c, '+' | '-') || c.is_numeric() => steps.push(self.number()?),
                Some(c) if is_of_word(c) => steps.push(self.word()),
                Some(c) => {
                    let shown = if is_printable(c) { format!(" '{c}'") } else { String::new() };
                    return Err(format!("unrecognized character in action: U+{:04X}{shown}", u32::from(c)));
                }
            }
        }
    }

    /// A name up to the next sign that is not escaped.
    fn field(&mut self) -> Step {
        let mut chars = self.rest.char_indices();
        let mut end = self.rest.len();
        while let Some((place, c)) = chars.next() {
            if c == '\\' {
                chars.next();
            } else if ends_word(c) {
                end = place;
                break;
            }
        }
        match self.split(end) {
            "*" => Step::All,
            name => Step::Field(name.replace('\\', "").into()),
        }
    }

    fn word(&mut self) -> Step {
        match self.split(self.rest.find(ends_word).unwrap_or(self.rest.len())) {
            "true" => Step::Literal(Value::Bool(true)),
            "false" => Step::Literal(Value::Bool(false)),
            _ => Step::Unknown,
        }
    }

    fn number(&mut self) -> Result<Step, String> {
        let unsigned = self.rest.strip_prefix(['+', '-']).unwrap_or(self.rest);
        let after = unsigned.trim_start_matches(|c: char| c == '.' || c.is_numeric());
        let text = self.split(self.rest.len() - after.len());
        if let Ok(int) = text.parse::<i64>() {
            return Ok(Step::Literal(int.into()));
        }
        match text.parse::<f64>() {
            Ok(float) if float.is_finite() => Ok(Step::Literal(float.into())),
            _ => Err(format!("cannot parse number {text}")),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Step, String> {
        let text = self.rest;
        let end = text
            .match_indices(quote)
            .map(|(place, _)| place)
            .find(|place| *place > 0 && !text[..*place].ends_with('\\'));
        let line = text.find('\n').unwrap_or(text.len());
        let end = end.filter(|end| *end < line).ok_or("unterminated quoted string")?;
        let quoted = self.split(end + 1);
        let content = unquote(&quoted[1..end], quote);
        let content = content.ok_or_else(|| format!("unquote string {quoted} error invalid syntax"))?;
        Ok(Step::Text(content.into()))
    }

    /// `[…]`: a union, a name, or a slice.
    fn brackets(&mut self, steps: &mut Vec<Step>) -> Result<(), String> {
        let end = self.rest.find([']', '\n']).filter(|end| self.rest[*end..].starts_with(']'));
        let end = end.ok_or("unterminated array")?;
        let text = &self.split(end + 1)[1..end];
        let text = if text == "*" { ":" } else { text };
        if text.contains(',') {
            let part = |part: &str| whole(&format!("[{}]", part.trim_matches(' ')));
            steps.push(Step::Union(text.split(',').map(part).collect::<Result<_, _>>()?));
            return Ok(());
        }
        let name = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).filter(|name| !name.contains('\''));
        match name {
            Some(name) => steps.extend(whole(&format!(".{name}"))?),
            None => steps.push(Step::Slice(slice(text)?)),
        }
        Ok(())
    }

    /// What follows on `[?(`.
    fn filter(&mut self) -> Result<Step, String> {
        let text = self.split(self.filter_end()?);
        self.skip(1);
        if !self.take("]") {
            return Err("unclosed array expect ]".to_owned());
        }
        let is_operator = |c: char| matches!(c, '!' | '<' | '>' | '=');
        let left_end = text.find(is_operator).unwrap_or(0);
        let (left, rest) = text.split_at(left_end);
        let right = rest.trim_start_matches(is_operator);
        // Of signs alone, the last one is what is compared with.
        let right = if right.is_empty() && rest.len() > 1 { &rest[rest.len() - 1..] } else { right };
        if left.is_empty() || right.is_empty() || right.contains('\n') {
            return Ok(Step::Filter(Box::new(Filter::Exists(whole(text)?))));
        }
        let operator = rest[..rest.len() - right.len()].into();
        Ok(Step::Filter(Box::new(Filter::Compare { left: whole(left)?, operator, right: whole(right)? })))
    }

    /// The place of the parenthesis that closes a filter: the first that stands in no quotes.
    fn filter_end(&self) -> Result<usize, String> {
        let (mut quote, mut is_closed) = (None, false);
        let mut before = '(';
        for (place, c) in self.rest.char_indices() {
            match (c, quote) {
                ('\n', _) => break,
                ('"' | '\'', None) => quote = Some(c),
                ('"' | '\'', Some(open)) => is_closed |= open == c && before != '\\',
                (')', _) if quote.is_some() == is_closed => return Ok(place),
                _ => {}
            }
            before = c;
        }
        Err("unterminated filter".to_owned())
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn split(&mut self, end: usize) -> &'a str {
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        text
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

/// Reads a part of a path as a path of its own. Parts have no brackets that nest, so this goes no deeper than two.
fn whole(text: &str) -> Result<Steps, String> {
    let input = format!("{text}}}");
    Reader { rest: &input }.action()
}

fn slice(text: &str) -> Result<Slice, String> {
    let mut parts = text.split(':');
    let mut next = || parts.next().map(|part| (part, part.strip_prefix('-').unwrap_or(part)));
    let invalid = || format!("invalid array index {text}");
    let mut read = || match next() {
        None => Ok((None, false)),
        Some((_, digits)) if !digits.bytes().all(|byte| byte.is_ascii_digit()) => Err(invalid()),
        Some(("", _)) => Ok((None, true)),
        Some((part, _)) => match part.parse::<i64>() {
            Ok(number) => Ok((Some(number), true)),
            Err(_) => Err(format!("array index {part} is not a number")),
        },
    };
    let ((from, _), (to, has_to), (step, _)) = (read()?, read()?, read()?);
    if parts.next().is_some() {
        return Err(invalid());
    }
    let single = from.unwrap_or(0).saturating_add(1);
    Ok(Slice { from, to: if has_to { to } else { Some(single) }, step, is_single: !has_to })
}

fn is_of_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn ends_word(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

/// A quoted text's content, with Go's escapes.
fn unquote(text: &str, quote: char) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = rest.chars().next()?;
        rest = &rest[escape.len_utf8()..];
        let digits = match escape {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            '0'..='7' => {
                let octal = format!("{escape}{}", rest.get(..2)?);
                bytes.push(u8::from_str_radix(&octal, 8).ok()?);
                rest = &rest[2..];
                continue;
            }
            _ => {
                bytes.push(plain_escape(escape, quote)?);
                continue;
            }
        };
        let code = rest.get(..digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let code = u32::from_str_radix(code, 16).ok()?;
        rest = &rest[digits..];
        match u8::try_from(code) {
            Ok(byte) if digits == 2 => bytes.push(byte),
            _ => bytes.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn plain_escape(escape: char, quote: char) -> Option<u8> {
    Some(match escape {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        '"' | '\'' if escape == quote => quote as u8,
        _ => return None,
    })
}
