//! Names and identifiers that the server makes up.

use ring::rand::{SecureRandom, SystemRandom};

/// A generated name is at most this long before its suffix.
const PREFIX_MAX: usize = 63 - SUFFIX;
const SUFFIX: usize = 5;
/// No vowels, so that no words come out; nothing that is easily confused.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A random version 4 UUID.
pub fn new_uid() -> String {
    let mut bytes = [0; 16];
    random(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut uid = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            uid.push('-');
        }
        uid.push_str(&format!("{byte:02x}"));
    }
    uid
}

/// `base` with five random characters behind it, cut so that the result is a valid name.
pub fn generate(base: &str) -> String {
    let mut end = base.len().min(PREFIX_MAX);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    let mut bytes = [0; SUFFIX];
    random(&mut bytes);
    let suffix: String = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect();
    format!("{}{suffix}", &base[..end])
}

fn random(bytes: &mut [u8]) {
    SystemRandom::new().fill(bytes).expect("the kernel's random numbers are there once it has booted");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_uids() {
        let name = generate("web-");
        assert!(
            name.starts_with("web-") && name.len() == 9 && windlass_api::names::dns1123_subdomain(&name).is_empty(),
            "{name}"
        );
        assert_eq!(generate(&"a".repeat(300)).len(), 63);
        let uid = new_uid();
        assert_eq!((uid.len(), uid.as_bytes()[14]), (36, b'4'));
        assert_ne!(uid, new_uid());
    }
}
