//! PEM: base64 between two lines.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const LINE_CHARS: usize = 64;

pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut out = String::with_capacity(body.len() + body.len() / LINE_CHARS + 2 * label.len() + 40);
    out.push_str("-----BEGIN ");
    out.push_str(label);
    out.push_str("-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        // base64 is ASCII: every position is a boundary.
        let (line, after) = rest.split_at(rest.len().min(LINE_CHARS));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(encode("X", b""), "-----BEGIN X-----\n-----END X-----\n");
        let long = encode("X", &[0; 60]);
        let lengths: Vec<usize> = long.lines().map(str::len).collect();
        assert_eq!(lengths, [17, 64, 16, 15]);
    }
}
