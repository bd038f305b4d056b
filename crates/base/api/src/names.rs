//! The rules for names, labels and keys, with upstream's words for what breaks them.
//!
//! Each function returns what is wrong, and nothing when all is well. Source: apimachinery `util/validation`.

const LABEL_FORMAT: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LABEL_1035_FORMAT: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN_FORMAT: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const KEY_FORMAT: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

pub const LABEL_MAX: usize = 63;
pub const SUBDOMAIN_MAX: usize = 253;

fn too_long(max: usize) -> String {
    format!("must be no more than {max} characters")
}

fn must_match(what: &str, format: &str, examples: &[&str]) -> String {
    let examples: Vec<String> = examples.iter().map(|e| format!("'{e}', ")).collect();
    format!("{what} (e.g. {}regex used for validation is '{format}')", examples.join(" or "))
}

fn is_alnum_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    is_alnum_lower(*first) && is_alnum_lower(*last) && bytes.iter().all(|b| is_alnum_lower(*b) || *b == b'-')
}

/// `a lowercase RFC 1123 label`: names of namespaces, containers, ports' hosts.
pub fn dns1123_label(name: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if name.len() > LABEL_MAX {
        problems.push(too_long(LABEL_MAX));
    }
    if !is_label(name) {
        // A name that is a subdomain only has dots too many, and the message says just that.
        let what = if is_subdomain(name) {
            return [problems, vec!["must not contain dots".to_owned()]].concat();
        } else {
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
             end with an alphanumeric character"
        };
        problems.push(must_match(what, LABEL_FORMAT, &["my-name", "123-abc"]));
    }
    problems
}

fn is_subdomain(name: &str) -> bool {
    name.split('.').all(is_label)
}

/// `a lowercase RFC 1123 subdomain`: the names of most objects.
pub fn dns1123_subdomain(name: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if name.len() > SUBDOMAIN_MAX {
        problems.push(too_long(SUBDOMAIN_MAX));
    }
    if !is_subdomain(name) {
        problems.push(must_match(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
             start and end with an alphanumeric character",
            SUBDOMAIN_FORMAT,
            &["example.com"],
        ));
    }
    problems
}

/// A subdomain that may have underscores: the search paths of DNS.
pub fn dns1123_subdomain_with_underscore(name: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if name.len() > SUBDOMAIN_MAX {
        problems.push(too_long(SUBDOMAIN_MAX));
    }
    let is_part = |part: &str| {
        let part = part.strip_prefix('_').unwrap_or(part);
        let bytes = part.as_bytes();
        let is_edge = |b: Option<&u8>| b.is_some_and(|b| is_alnum_lower(*b));
        let is_inner = |b: &u8| is_alnum_lower(*b) || matches!(b, b'-' | b'_');
        is_edge(bytes.first()) && is_edge(bytes.last()) && bytes.iter().all(is_inner)
    };
    if !name.split('.').all(is_part) {
        problems.push(must_match(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and \
             must start and end with an alphanumeric character",
            r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*",
            &["example.com"],
        ));
    }
    problems
}

/// `a DNS-1035 label`: names of Services.
pub fn dns1035_label(name: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if name.len() > LABEL_MAX {
        problems.push(too_long(LABEL_MAX));
    }
    if !is_label(name) || !name.as_bytes()[0].is_ascii_lowercase() {
        problems.push(must_match(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character",
            LABEL_1035_FORMAT,
            &["my-name", "abc-123"],
        ));
    }
    problems
}

/// `*.example.com`
pub fn wildcard_dns1123_subdomain(name: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if name.len() > SUBDOMAIN_MAX {
        problems.push(too_long(SUBDOMAIN_MAX));
    }
    if !name.strip_prefix("*.").is_some_and(is_subdomain) {
        problems.push(must_match(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist \
             of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            &format!(r"\*\.{SUBDOMAIN_FORMAT}"),
            &["*.example.com"],
        ));
    }
    problems
}

/// The end of a generated name may be anything, so a prefix is judged as if a letter followed.
pub fn prefix_of(rule: fn(&str) -> Vec<String>, prefix: &str) -> Vec<String> {
    match prefix.strip_suffix('-') {
        Some(stem) => rule(&format!("{stem}a")),
        None => rule(prefix),
    }
}

/// A name that may stand as one segment of a URL path: names of RBAC objects.
pub fn path_segment(name: &str) -> Vec<String> {
    match name {
        "." => vec!["may not be '.'".to_owned()],
        ".." => vec!["may not be '..'".to_owned()],
        _ => ["/", "%"]
            .iter()
            .filter(|illegal| name.contains(**illegal))
            .map(|illegal| format!("may not contain '{illegal}'"))
            .collect(),
    }
}

/// A name below a domain: `example.com/name`. Each complaint comes with the part that it is about.
pub fn domain_prefixed_path(value: &str) -> Vec<(&str, String)> {
    let Some((host, rest)) = value.split_once('/').filter(|(host, rest)| !host.is_empty() && !rest.is_empty()) else {
        return vec![(value, "must be a domain-prefixed path (such as \"acme.io/foo\")".to_owned())];
    };
    let mut problems: Vec<_> = dns1123_subdomain(host).into_iter().map(|problem| (host, problem)).collect();
    if !rest.chars().all(|c| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(c)) {
        let detail = "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
        problems.push((rest, detail.to_owned()));
    }
    problems
}

/// The key of a label, annotation, taint, …: `name` or `prefix/name`.
pub fn qualified_name(key: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let parts: Vec<&str> = key.split('/').collect();
    let name = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                problems.push("prefix part must be non-empty".to_owned());
            } else {
                problems.extend(dns1123_subdomain(prefix).into_iter().map(|p| format!("prefix part {p}")));
            }
            *name
        }
        _ => {
            return vec![format!(
                "a qualified name {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                must_match(
                    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                     alphanumeric character",
                    KEY_FORMAT,
                    &["MyName", "my.name", "123-abc"],
                )
            )];
        }
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_MAX {
        problems.push(format!("name part must be no more than {LABEL_MAX} bytes"));
    }
    if !is_key(name) {
        problems.push(format!(
            "name part {}",
            must_match(
                "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
                 character",
                KEY_FORMAT,
                &["MyName", "my.name", "123-abc"],
            )
        ));
    }
    problems
}

fn is_key(name: &str) -> bool {
    let bytes = name.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

pub fn label_value(value: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if value.len() > LABEL_MAX {
        problems.push(format!("must be no more than {LABEL_MAX} bytes"));
    }
    if !value.is_empty() && !is_key(value) {
        problems.push(must_match(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
             start and end with an alphanumeric character",
            "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
            &["MyValue", "my_value", "12345"],
        ));
    }
    problems
}

/// The key of a ConfigMap or Secret: it becomes a file's name.
pub fn config_map_key(key: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if key.len() > SUBDOMAIN_MAX {
        problems.push(too_long(SUBDOMAIN_MAX));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if key.is_empty() || !key.bytes().all(allowed) {
        problems.push(must_match(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    match key {
        "." => problems.push("must not be '.'".to_owned()),
        ".." => problems.push("must not be '..'".to_owned()),
        _ if key.starts_with("..") => problems.push("must not start with '..'".to_owned()),
        _ => {}
    }
    problems
}

/// A name in a programming language: `my_name`.
pub fn c_identifier(name: &str) -> Vec<String> {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let is_well =
        name.bytes().next().is_some_and(is_letter) && name.bytes().all(|b| is_letter(b) || b.is_ascii_digit());
    let what = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric \
                characters or '_'";
    let examples = ["my_name", "MY_NAME", "MyName"];
    if is_well { Vec::new() } else { vec![must_match(what, "[A-Za-z_][A-Za-z0-9_]*", &examples)] }
}

/// The reason of a condition: `ReasonA`.
pub fn condition_reason(reason: &str) -> Vec<String> {
    let bytes = reason.as_bytes();
    let is_inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"_,:".contains(byte);
    let is_last = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let is_well = bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.last().is_some_and(is_last)
        && bytes.iter().all(is_inner);
    let what = "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric \
                characters or '_,:', and must end with an alphanumeric character or '_'";
    let examples = ["my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"];
    if is_well { Vec::new() } else { vec![must_match(what, "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", &examples)] }
}

/// A DNS label as rules declared with the API's types know it: they count bytes.
pub fn short_name(name: &str) -> Vec<String> {
    let (in_characters, in_bytes) = (too_long(LABEL_MAX), format!("must be no more than {LABEL_MAX} bytes"));
    dns1123_label(name).into_iter().map(|p| if p == in_characters { in_bytes.clone() } else { p }).collect()
}

/// A DNS subdomain as rules declared with the API's types know it: they count bytes, and some take any case.
pub fn long_name(name: &str, any_case: bool) -> Vec<String> {
    let lower = name.to_ascii_lowercase();
    let mut problems = Vec::new();
    if name.len() > SUBDOMAIN_MAX {
        problems.push(format!("must be no more than {SUBDOMAIN_MAX} bytes"));
    }
    if !is_subdomain(if any_case { &lower } else { name }) {
        let (what, examples) = match any_case {
            true => ("an RFC 1123 subdomain must consist of alphanumeric characters", ["Example.com"]),
            false => {
                ("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters", ["example.com"])
            }
        };
        let what = format!("{what}, '-' or '.', and must start and end with an alphanumeric character");
        problems.push(must_match(&what, SUBDOMAIN_FORMAT, &examples));
    }
    problems
}

/// The name of an environment variable: printable ASCII without `=`.
pub fn env_var_name(name: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if name.is_empty() {
        problems.push("environment variable name must be non-empty".to_owned());
    }
    if !name.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=') {
        problems.push(
            "a valid environment variable name must consist only of printable ASCII characters other than '='"
                .to_owned(),
        );
    }
    problems
}

/// The name of a port: `http`, `grpc-web`.
pub fn port_name(name: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if name.len() > 15 {
        problems.push("must be no more than 15 characters".to_owned());
    }
    if !name.bytes().all(|b| is_alnum_lower(b) || b == b'-') || name.is_empty() {
        problems.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !name.bytes().any(|b| b.is_ascii_lowercase()) {
        problems.push("must contain at least one letter (a-z)".to_owned());
    }
    if name.contains("--") {
        problems.push("must not contain consecutive hyphens".to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') {
        problems.push("must not begin or end with a hyphen".to_owned());
    }
    problems
}

pub fn port_number(port: i64) -> Vec<String> {
    if (1..=65535).contains(&port) { Vec::new() } else { vec!["must be between 1 and 65535, inclusive".to_owned()] }
}

/// `50%`
pub fn percent(text: &str) -> Vec<String> {
    let digits = text.strip_suffix('%').unwrap_or("");
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Vec::new();
    }
    vec![must_match(
        "a valid percent string must be a numeric string followed by an ending '%'",
        "[0-9]+%",
        &["1%", "93%"],
    )]
}

pub fn http_header_name(name: &str) -> Vec<String> {
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Vec::new();
    }
    vec![must_match(
        "a valid HTTP header must consist of alphanumeric characters or '-'",
        "[-A-Za-z0-9]+",
        &["X-Header-Name"],
    )]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_and_refuses() {
        type Rule = fn(&str) -> Vec<String>;
        let cases: [(Rule, &[&str], &[&str]); 13] = [
            (dns1123_label, &["a", "1", "a-b"], &["", "A", "-a", "a-", "a.b", "ä", &"a".repeat(64)[..0]]),
            (dns1123_subdomain, &["a", "a.b", "1.2-3"], &["", "a..b", ".a", "a.", "A.b", "a_b"]),
            (dns1035_label, &["a", "a1"], &["", "1a", "a.b"]),
            (qualified_name, &["a", "A_b", "x.y/Z"], &["", "/a", "a/", "a/b/c", "X_/a", "-a"]),
            (label_value, &["", "a", "A_.b"], &["-", "a b", "a/"]),
            (config_map_key, &["a", ".a", "A_1"], &["", ".", "..", "..a", "a/b"]),
            (port_name, &["http", "a-1"], &["", "1", "a--b", "-a", "A", "abcdefghijklmnop"]),
            (env_var_name, &["A", "a.b-c", "1"], &["", "a=b", "ä"]),
            (percent, &["0%", "100%"], &["", "%", "1", "-1%"]),
            (c_identifier, &["a", "_A1"], &["", "1a", "a-b", "ä"]),
            (condition_reason, &["A", "Ab,C:d_"], &["", "_A", "1", "A:", "A b"]),
            (|name| long_name(name, false), &["a.b"], &["", "A.b", "a..b"]),
            (|name| long_name(name, true), &["a.b", "A.B"], &["", "a_b"]),
        ];
        for (rule, good, bad) in cases {
            for text in good {
                assert_eq!(rule(text), Vec::<String>::new(), "{text:?}");
            }
            for text in bad {
                assert!(!rule(text).is_empty(), "{text:?}");
            }
        }
        assert_eq!(dns1123_label(&"a".repeat(64)), ["must be no more than 63 characters"]);
        assert_eq!(dns1123_label("a.b"), ["must not contain dots"]);
        assert_eq!(short_name(&"a".repeat(64)), ["must be no more than 63 bytes"]);
        assert_eq!(long_name(&"a".repeat(254), false), ["must be no more than 253 bytes"]);
        assert!(prefix_of(dns1123_label, "web-").is_empty());
    }

    #[test]
    fn wording() {
        assert_eq!(
            dns1123_subdomain("A_b"),
            ["a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
                 must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
                 '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"]
        );
        assert_eq!(
            label_value("a b")[0],
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
             start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
             validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        );
    }
}
