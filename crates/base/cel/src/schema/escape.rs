//! Names of properties as expressions spell them: what is no identifier is escaped.

/// Words that are no identifiers, in the grammar or by Kubernetes' rules.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Sequences with what they stand for.
const SEQUENCES: [(&str, &str); 4] = [("underscores", "__"), ("dot", "."), ("dash", "-"), ("slash", "/")];

pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Whether a name is an identifier as it stands.
pub fn is_identifier(name: &str) -> bool {
    let is_word = name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric());
    is_word && !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && !is_reserved(name)
}

/// Returns a property's name as an identifier, or nothing if expressions cannot spell it.
pub fn escape(name: &str) -> Option<String> {
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if is_reserved(name) {
        return Some(format!("__{name}__"));
    }
    let mut escaped = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let sequence = SEQUENCES.iter().find(|(_, stands_for)| rest.starts_with(stands_for));
        if let Some((word, stands_for)) = sequence {
            escaped.push_str("__");
            escaped.push_str(word);
            escaped.push_str("__");
            rest = &rest[stands_for.len()..];
        } else if c.is_ascii_alphanumeric() || c == '_' {
            escaped.push(c);
            rest = &rest[1..];
        } else {
            return None;
        }
    }
    Some(escaped)
}

/// Returns the name that an identifier stands for, or nothing if it has a sequence that is none.
pub fn unescape(identifier: &str) -> Option<String> {
    let mut name = String::with_capacity(identifier.len());
    let mut rest = identifier;
    while let Some(start) = rest.find("__") {
        // A sequence has no underscores within.
        let after = &rest[start + 2..];
        let length = after.find('_').unwrap_or(after.len());
        if length == 0 || !after[length..].starts_with("__") {
            let next = start + 1;
            name.push_str(&rest[..next]);
            rest = &rest[next..];
            continue;
        }
        let word = &after[..length];
        let whole = length + 4 == identifier.len();
        let stands_for = match SEQUENCES.iter().find(|(sequence, _)| *sequence == word) {
            Some((_, stands_for)) => stands_for,
            None if is_reserved(word) && whole => word,
            None => return None,
        };
        name.push_str(&rest[..start]);
        name.push_str(stands_for);
        rest = &after[length + 2..];
    }
    name.push_str(rest);
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_their_escapes() {
        let cases = [
            ("a", "a"),
            ("namespace", "__namespace__"),
            ("namespace2", "namespace2"),
            ("a.b", "a__dot__b"),
            ("a-b", "a__dash__b"),
            ("a/b", "a__slash__b"),
            ("a__b", "a__underscores__b"),
            ("a_b", "a_b"),
            ("_a", "_a"),
            ("___", "__underscores___"),
            ("x-kubernetes.io/a", "x__dash__kubernetes__dot__io__slash__a"),
            ("int", "int"),
        ];
        for (name, escaped) in cases {
            assert_eq!(escape(name).as_deref(), Some(escaped));
            assert_eq!(unescape(escaped).as_deref(), Some(name), "{escaped}");
        }
        for name in ["", "1a", "a b", "é", "a$"] {
            assert_eq!(escape(name), None, "{name}");
        }
        for identifier in ["a__b__c", "__illegal__", "a__namespace__"] {
            assert_eq!(unescape(identifier), None, "{identifier}");
        }
    }
}
