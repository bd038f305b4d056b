//! PEM: base64 between two lines.
//!
//! Reading takes what Go's `encoding/pem` takes: text between blocks, headers, blanks. What looks like a block and is none is skipped.

use std::mem::take;

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

const LINE_CHARS: usize = 64;
const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// As Go decodes: the last bits need not be zero.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// A block of PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemBlock {
    /// The words after `BEGIN`, such as `CERTIFICATE`.
    pub label: String,
    /// Lines of the form `Key: value` stand before the base64.
    pub has_headers: bool,
    pub contents: Vec<u8>,
}

/// Returns the blocks of a text, in their order. Time is linear in the text.
pub fn pem_blocks(text: &str) -> Vec<PemBlock> {
    let mut blocks = Vec::new();
    let mut open: Option<Open<'_>> = None;
    for line in text.split('\n') {
        let line = line.trim_end_matches([' ', '\t', '\r']);
        if let Some(label) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(DASHES)) {
            // A block that another one begins in is none: no line of base64 has dashes.
            open = Some(Open { label, has_headers: false, in_body: false, body: String::new() });
        } else if let Some(end) = line.strip_prefix(END) {
            blocks.extend(take(&mut open).and_then(|block| block.close(end)));
        } else if let Some(block) = &mut open {
            block.take(line);
        }
    }
    blocks
}

/// A block whose end has not been seen yet.
struct Open<'a> {
    label: &'a str,
    has_headers: bool,
    in_body: bool,
    body: String,
}

impl Open<'_> {
    fn take(&mut self, line: &str) {
        if !self.in_body && line.contains(':') {
            self.has_headers = true;
            return;
        }
        self.in_body = true;
        self.body.extend(line.chars().filter(|c| !matches!(c, ' ' | '\t' | '\r')));
    }

    fn close(self, end: &str) -> Option<PemBlock> {
        if end.strip_suffix(DASHES)? != self.label {
            return None;
        }
        let contents = LENIENT.decode(self.body).ok()?;
        Some(PemBlock { label: self.label.to_owned(), has_headers: self.has_headers, contents })
    }
}

/// Writes a block.
pub fn pem_encode(label: &str, der: &[u8]) -> String {
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
        assert_eq!(pem_encode("X", b""), "-----BEGIN X-----\n-----END X-----\n");
        let long = pem_encode("X", &[0; 60]);
        let lengths: Vec<usize> = long.lines().map(str::len).collect();
        assert_eq!(lengths, [17, 64, 16, 15]);
    }

    #[test]
    fn blocks_of_a_text() {
        let found = |text: &str| -> Vec<(String, bool, Vec<u8>)> {
            pem_blocks(text).into_iter().map(|block| (block.label, block.has_headers, block.contents)).collect()
        };
        let one = |label: &str, headers: bool, contents: &[u8]| (label.to_owned(), headers, contents.to_vec());
        let text = format!("a word before\r\n{}and after\n{}", pem_encode("A", &[7; 60]), pem_encode("B C", b""));
        assert_eq!(found(&text), [one("A", false, &[7; 60]), one("B C", false, b"")]);
        assert_eq!(found(&text.replace('\n', " \t\r\n")), found(&text));
        let headers = "-----BEGIN A-----\nX: y\n\nAQ==\n-----END A-----";
        assert_eq!(found(headers), [one("A", true, &[1])]);
        assert_eq!(
            found("-----BEGIN A-----\nA R==\n-----END A-----"),
            [one("A", false, &[1])],
            "bits that are left over"
        );
        for broken in [
            "",
            "-----BEGIN A-----\nAQ==\n",
            "-----BEGIN A-----\nAQ==\n-----END B-----\n",
            "-----BEGIN A-----\nAQ=\n-----END A-----\n",
            "-----BEGIN A-----\nAQ==\n-----END A----- x\n",
            " -----BEGIN A-----\nAQ==\n-----END A-----\n",
            "-----BEGIN A\nAQ==\n-----END A-----\n",
        ] {
            assert_eq!(found(broken), [], "{broken}");
            let after = format!("{broken}\n{}", pem_encode("Z", &[2]));
            assert_eq!(found(&after), [one("Z", false, &[2])], "{broken}");
        }
    }
}
