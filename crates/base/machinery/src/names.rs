//! Names and identifiers that the server makes up.

use windlass_api::Chance;

/// A generated name is at most this long before its suffix.
const PREFIX_MAX: usize = 63 - SUFFIX;
const SUFFIX: usize = 5;
/// No vowels, so that no words come out; nothing that is easily confused.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A random version 4 UUID.
pub fn new_uid(chance: &Chance) -> String {
    let mut bytes = [0; 16];
    chance.fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut uid = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            uid.push('-');
        }
        uid.extend([byte >> 4, byte & 0xf].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])));
    }
    uid
}

/// `base` with five random characters behind it, cut so that the result is a valid name.
pub fn generate(base: &str, chance: &Chance) -> String {
    let mut end = base.len().min(PREFIX_MAX);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    let mut bytes = [0; SUFFIX];
    chance.fill(&mut bytes);
    let suffix: String = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect();
    format!("{}{suffix}", &base[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_uids() {
        let name = generate("web-", &Chance::system());
        assert!(
            name.starts_with("web-") && name.len() == 9 && windlass_api::names::dns1123_subdomain(&name).is_empty(),
            "{name}"
        );
        assert_eq!(generate(&"a".repeat(300), &Chance::system()).len(), 63);
        let uid = new_uid(&Chance::system());
        assert_eq!((uid.len(), uid.as_bytes()[14]), (36, b'4'));
        assert_ne!(uid, new_uid(&Chance::system()));
        assert_eq!(new_uid(&Chance::seeded(1)), new_uid(&Chance::seeded(1)));
    }
}
