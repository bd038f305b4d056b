//! Names of images, as far as more than the one who pulls them has to read them.
//!
//! Source: the grammar of `github.com/distribution/reference`.

/// Splits off the registry. A first part is one when it could not be a user of Docker Hub: it has a dot, a port or an upper-case
/// letter, or is `localhost`.
pub fn split_registry(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (Some(first), rest)
        }
        _ => (None, name),
    }
}

/// Lower-case letters and digits; between them one dot, one or two underscores, or any number of dashes.
pub fn is_path_component(part: &str) -> bool {
    let bytes = part.as_bytes();
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut rest = bytes;
    loop {
        let run = rest.iter().take_while(|b| alphanumeric(**b)).count();
        if run == 0 {
            return false;
        }
        rest = &rest[run..];
        let separator = rest.iter().take_while(|b| !alphanumeric(**b)).count();
        match &rest[..separator] {
            b"" => return true,
            b"." | b"_" | b"__" => {}
            dashes if dashes.iter().all(|b| *b == b'-') => {}
            _ => return false,
        }
        rest = &rest[separator..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries() {
        let cases = [
            ("busybox", (None, "busybox")),
            ("user/app:1", (None, "user/app:1")),
            ("localhost/app", (Some("localhost"), "app")),
            ("REG/app", (Some("REG"), "app")),
            ("reg:5000/a/b", (Some("reg:5000"), "a/b")),
            ("reg.example/a@sha256:0", (Some("reg.example"), "a@sha256:0")),
        ];
        for (name, expected) in cases {
            assert_eq!(split_registry(name), expected, "{name}");
        }
    }

    #[test]
    fn parts_of_paths() {
        for part in ["a", "a.b", "a_b", "a__b", "a---b", "0a"] {
            assert!(is_path_component(part), "{part}");
        }
        for part in ["", "a..b", "a___b", ".a", "a-", "A", "a:b", "\u{e9}"] {
            assert!(!is_path_component(part), "{part}");
        }
    }
}
