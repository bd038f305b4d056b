//! Mail addresses as they may stand in certificates (RFC 5322): what is none is found, not every corner of the grammar.

/// Whether a text is an address, with or without a name before it: `jane@example.com`, `Jane <jane@example.com>`.
pub(super) fn is_mail_address(text: &str) -> bool {
    let text = text.trim();
    match text.strip_suffix('>') {
        Some(named) => named.rsplit_once('<').is_some_and(|(name, address)| is_name(name) && is_bare(address)),
        None => is_bare(text),
    }
}

/// `local@domain`
fn is_bare(address: &str) -> bool {
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    (is_dotted(local) || is_quoted(local)) && (is_dotted(domain) || is_literal(domain))
}

/// Words or a quoted string, or nothing.
fn is_name(name: &str) -> bool {
    let name = name.trim();
    is_quoted(name) || name.split_whitespace().all(|word| word.chars().all(|c| c == '.' || is_atom(c)))
}

fn is_dotted(text: &str) -> bool {
    text.split('.').all(|part| !part.is_empty() && part.chars().all(is_atom))
}

fn is_atom(c: char) -> bool {
    c.is_ascii_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c)
}

/// In quotation marks, with those inside behind backslashes.
fn is_quoted(text: &str) -> bool {
    let inside = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inside.is_some_and(|inside| {
        let mut escaped = false;
        let fine = inside.chars().all(|c| {
            let plain = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            plain && !c.is_control()
        });
        fine && !escaped
    })
}

/// An address of the network: `[192.0.2.1]`.
fn is_literal(domain: &str) -> bool {
    let inside = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inside.is_some_and(|inside| inside.strip_prefix("IPv6:").unwrap_or(inside).parse::<std::net::IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for fine in [
            "a@b",
            "jane.doe+x@example.com",
            "Jane Doe <jane@example.com>",
            "\"Doe, Jane\" <jane@example.com>",
            "\"a \\\" b\"@example.com",
            "a@[192.0.2.1]",
        ] {
            assert!(is_mail_address(fine), "{fine}");
        }
        for wrong in [
            "",
            "jane",
            "@b",
            "a@",
            "a b@c",
            "a..b@c",
            ".a@c",
            "a@c.",
            "a@b@c",
            "<a@b",
            "Jane, <a@b>",
            "\"a\\\"@b",
            "a@[x]",
        ] {
            assert!(!is_mail_address(wrong), "{wrong}");
        }
    }
}
