//! Cuts the text into tokens: of those that fit, the longest.

use crate::issues::Collector;
use crate::source::Source;

/// What a token is, as the grammar names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Token {
    Equals,
    NotEquals,
    In,
    Less,
    LessEquals,
    GreaterEquals,
    Greater,
    And,
    Or,
    LeftBracket,
    RightBracket,
    LeftBrace,
    RightBrace,
    LeftParen,
    RightParen,
    Dot,
    Comma,
    Minus,
    Not,
    Question,
    Colon,
    Plus,
    Star,
    Slash,
    Percent,
    True,
    False,
    Null,
    Float,
    Int,
    Uint,
    String,
    Bytes,
    Ident,
    EscapedIdent,
    End,
}

impl Token {
    /// All tokens, in the order of the grammar.
    pub(super) const ALL: [Self; 36] = [
        Self::Equals,
        Self::NotEquals,
        Self::In,
        Self::Less,
        Self::LessEquals,
        Self::GreaterEquals,
        Self::Greater,
        Self::And,
        Self::Or,
        Self::LeftBracket,
        Self::RightBracket,
        Self::LeftBrace,
        Self::RightBrace,
        Self::LeftParen,
        Self::RightParen,
        Self::Dot,
        Self::Comma,
        Self::Minus,
        Self::Not,
        Self::Question,
        Self::Colon,
        Self::Plus,
        Self::Star,
        Self::Slash,
        Self::Percent,
        Self::True,
        Self::False,
        Self::Null,
        Self::Float,
        Self::Int,
        Self::Uint,
        Self::String,
        Self::Bytes,
        Self::Ident,
        Self::EscapedIdent,
        Self::End,
    ];

    /// Returns the token as messages name it.
    pub(super) fn display(self) -> &'static str {
        match self {
            Self::Float => "NUM_FLOAT",
            Self::Int => "NUM_INT",
            Self::Uint => "NUM_UINT",
            Self::String => "STRING",
            Self::Bytes => "BYTES",
            Self::Ident => "IDENTIFIER",
            Self::EscapedIdent => "ESC_IDENTIFIER",
            Self::End => "<EOF>",
            other => FIXED.iter().find(|(_, token)| *token == other).map_or("", |(shown, _)| shown),
        }
    }
}

/// Tokens with one spelling, quoted as messages quote them; longer ones come before those that begin them.
const FIXED: [(&str, Token); 28] = [
    ("'=='", Token::Equals),
    ("'!='", Token::NotEquals),
    ("'in'", Token::In),
    ("'<='", Token::LessEquals),
    ("'<'", Token::Less),
    ("'>='", Token::GreaterEquals),
    ("'>'", Token::Greater),
    ("'&&'", Token::And),
    ("'||'", Token::Or),
    ("'['", Token::LeftBracket),
    ("']'", Token::RightBracket),
    ("'{'", Token::LeftBrace),
    ("'}'", Token::RightBrace),
    ("'('", Token::LeftParen),
    ("')'", Token::RightParen),
    ("'.'", Token::Dot),
    ("','", Token::Comma),
    ("'-'", Token::Minus),
    ("'!'", Token::Not),
    ("'?'", Token::Question),
    ("':'", Token::Colon),
    ("'+'", Token::Plus),
    ("'*'", Token::Star),
    ("'/'", Token::Slash),
    ("'%'", Token::Percent),
    ("'true'", Token::True),
    ("'false'", Token::False),
    ("'null'", Token::Null),
];

/// A token and where it stands, in characters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexeme {
    pub(super) token: Token,
    pub(super) start: u32,
    pub(super) end: u32,
}

/// Cuts the whole text. What is no token is reported and left out; the last lexeme is the end.
pub(super) fn lex(source: &Source, issues: &mut Collector) -> Vec<Lexeme> {
    let text = source.characters();
    let mut lexemes = Vec::with_capacity(text.len() / 3 + 1);
    let mut at = 0;
    while at < text.len() {
        let hidden = hidden(&text[at..]);
        if hidden > 0 {
            at += hidden;
            continue;
        }
        match longest(&text[at..]) {
            Ok((token, length)) => {
                lexemes.push(Lexeme { token, start: at as u32, end: (at + length) as u32 });
                at += length;
            }
            Err(viable) => {
                // The character that did not fit is skipped with those that did.
                let wrong = source.text(at, at + viable + 1);
                let place = source.location(at as u32);
                issues.report(place, format!("Syntax error: token recognition error at: '{wrong}'"));
                at += viable + 1;
            }
        }
    }
    lexemes.push(Lexeme { token: Token::End, start: text.len() as u32, end: text.len() as u32 });
    lexemes
}

/// Returns white space and comments of what stands between two tokens, without what was not recognized.
pub(super) fn hidden_text(between: &[char]) -> String {
    let mut kept = String::new();
    let mut at = 0;
    while at < between.len() {
        let hidden = hidden(&between[at..]);
        kept.extend(&between[at..at + hidden]);
        at += match longest(&between[at..]) {
            _ if hidden > 0 => hidden,
            Ok((_, length)) => length,
            Err(viable) => viable + 1,
        };
    }
    kept
}

/// Returns the length of white space or a comment at the start.
fn hidden(text: &[char]) -> usize {
    let space = text.iter().take_while(|c| matches!(c, '\t' | ' ' | '\r' | '\n' | '\u{c}')).count();
    if space > 0 || text.first() != Some(&'/') || text.get(1) != Some(&'/') {
        return space;
    }
    text.iter().take_while(|c| **c != '\n').count()
}

/// Returns the longest token at the start, or how many characters could have begun one.
fn longest(text: &[char]) -> Result<(Token, usize), usize> {
    let first = text[0];
    if let Some(found) = number(text) {
        return Ok(found);
    }
    if first.is_ascii_alphabetic() || first == '_' {
        return Ok(word(text));
    }
    if first == '"' || first == '\'' {
        return quoted(text, false).map(|length| (Token::String, length));
    }
    if first == '`' {
        return backquoted(text);
    }
    let fits = |spelling: &str| spelling.chars().eq(text.iter().copied().take(spelling.len()));
    let symbol = FIXED.iter().find(|(shown, _)| fits(&shown[1..shown.len() - 1]));
    match symbol {
        Some((shown, token)) => Ok((*token, shown.len() - 2)),
        None => Err(usize::from(matches!(first, '=' | '&' | '|'))),
    }
}

fn digits(text: &[char]) -> usize {
    text.iter().take_while(|c| c.is_ascii_digit()).count()
}

fn number(text: &[char]) -> Option<(Token, usize)> {
    let whole = digits(text);
    if text[0] == '0' && text.get(1) == Some(&'x') {
        let hex = text[2..].iter().take_while(|c| c.is_ascii_hexdigit()).count();
        if hex > 0 {
            return Some(with_sign_suffix(text, 2 + hex));
        }
    }
    let mut length = whole;
    let mut float = false;
    if text.get(whole) == Some(&'.') {
        let fraction = digits(&text[whole + 1..]);
        if fraction > 0 {
            length = whole + 1 + fraction;
            float = true;
        }
    }
    if length == 0 {
        return None;
    }
    if matches!(text.get(length), Some('e' | 'E')) {
        let sign = usize::from(matches!(text.get(length + 1), Some('+' | '-')));
        let exponent = text.get(length + 1 + sign..).map_or(0, digits);
        if exponent > 0 {
            return Some((Token::Float, length + 1 + sign + exponent));
        }
    }
    if float { Some((Token::Float, length)) } else { Some(with_sign_suffix(text, length)) }
}

fn with_sign_suffix(text: &[char], length: usize) -> (Token, usize) {
    match text.get(length) {
        Some('u' | 'U') => (Token::Uint, length + 1),
        _ => (Token::Int, length),
    }
}

fn word(text: &[char]) -> (Token, usize) {
    let length = text.iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '_').count();
    // Prefixes of literals are part of them if a literal follows.
    if let Some((token, found)) = prefixed(text) {
        return (token, found);
    }
    let spelling: String = text[..length].iter().collect();
    let token = match spelling.as_str() {
        "in" => Token::In,
        "true" => Token::True,
        "false" => Token::False,
        "null" => Token::Null,
        _ => Token::Ident,
    };
    (token, length)
}

/// A string with the prefix `r`, or bytes with `b` or `br`.
fn prefixed(text: &[char]) -> Option<(Token, usize)> {
    let bytes = usize::from(matches!(text[0], 'b' | 'B'));
    let raw = usize::from(matches!(text.get(bytes), Some('r' | 'R')));
    let quote = bytes + raw;
    if quote == 0 || !matches!(text.get(quote), Some('"' | '\'')) {
        return None;
    }
    let length = quoted(&text[quote..], raw == 1).ok()?;
    Some((if bytes == 1 { Token::Bytes } else { Token::String }, quote + length))
}

/// Returns the length of a string at the start, or how many characters could have begun one.
fn quoted(text: &[char], raw: bool) -> Result<usize, usize> {
    let quote = text[0];
    if text.get(1) == Some(&quote) && text.get(2) == Some(&quote) {
        if let Ok(length) = body(&text[3..], raw, |rest| rest.starts_with(&[quote, quote, quote]), |_| false) {
            return Ok(3 + length + 3);
        }
        // The two quotes are an empty string.
        return Ok(2);
    }
    match body(&text[1..], raw, |rest| rest[0] == quote, |c| c == '\n' || c == '\r') {
        Ok(length) => Ok(1 + length + 1),
        Err(viable) => Err(1 + viable),
    }
}

/// Returns the length of what stands before the end, or how far it was well-formed.
fn body(
    text: &[char],
    raw: bool,
    ends: impl Fn(&[char]) -> bool,
    never: impl Fn(char) -> bool,
) -> Result<usize, usize> {
    let mut at = 0;
    while at < text.len() {
        if ends(&text[at..]) {
            return Ok(at);
        }
        if never(text[at]) {
            return Err(at);
        }
        if !raw && text[at] == '\\' {
            at += escape(&text[at..]).map_err(|viable| at + viable)?;
        } else {
            at += 1;
        }
    }
    Err(at)
}

/// Returns the length of an escape sequence, or how many of its characters were well-formed.
fn escape(text: &[char]) -> Result<usize, usize> {
    let Some(kind) = text.get(1) else { return Err(1) };
    let fits: fn(&char) -> bool = match kind {
        'x' | 'X' | 'u' | 'U' => char::is_ascii_hexdigit,
        _ => |c| ('0'..='7').contains(c),
    };
    let count = match kind {
        'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '"' | '\'' | '\\' | '?' | '`' => return Ok(2),
        'x' | 'X' | '0'..='3' => 2,
        'u' => 4,
        'U' => 8,
        _ => return Err(1),
    };
    let found = text[2..].iter().take(count).take_while(|c| fits(c)).count();
    if found == count { Ok(2 + count) } else { Err(2 + found) }
}

fn backquoted(text: &[char]) -> Result<(Token, usize), usize> {
    let fits = |c: &&char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ' ');
    let length = text[1..].iter().take_while(fits).count();
    if length > 0 && text.get(1 + length) == Some(&'`') {
        Ok((Token::EscapedIdent, length + 2))
    } else {
        Err(1 + length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> (Vec<Token>, bool) {
        let mut issues = Collector::default();
        let source = Source::new(text);
        let lexemes = lex(&source, &mut issues);
        (lexemes.iter().map(|l| l.token).take_while(|t| *t != Token::End).collect(), issues.is_empty())
    }

    #[test]
    fn the_longest_token_wins() {
        use Token::*;
        let cases: [(&str, &[Token]); 16] = [
            ("a.b", &[Ident, Dot, Ident]),
            ("1.5e3 .5 1e2", &[Float, Float, Float]),
            ("1. 1.a 0x 0x1F 0x1fu 7U", &[Int, Dot, Int, Dot, Ident, Int, Ident, Int, Uint, Uint]),
            ("1e 1e+", &[Int, Ident, Int, Ident, Plus]),
            ("in inx truest true", &[In, Ident, Ident, True]),
            ("<=< >=> !=! ==", &[LessEquals, Less, GreaterEquals, Greater, NotEquals, Not, Equals]),
            ("'a' \"b\" r'\\' b'x' br\"\\\" Rb", &[String, String, String, Bytes, Bytes, Ident]),
            ("'''a\n'b''' ''''''", &[String, String]),
            ("'''a", &[String]),
            (r"'\x4F\u1234\U00012345\123\n'", &[String]),
            ("`a.b-c/d`", &[EscapedIdent]),
            ("a // b\n c", &[Ident, Ident]),
            ("rb'x'", &[Ident, String]),
            ("b", &[Ident]),
            ("a?.b[?0]", &[Ident, Question, Dot, Ident, LeftBracket, Question, Int, RightBracket]),
            ("", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(tokens(text).0, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_token_is_reported() {
        for text in ["'abc", "'a\nb'", "$", "a & b", r"'\q'", r"'\x4'", "``", "`a$`", "=", "'\\"] {
            assert!(!tokens(text).1, "{text}");
        }
    }
}
