//! Semantic versions.

use std::cmp::Ordering;
use std::fmt;

/// A version: `1.2.3-alpha.1+build`.
#[derive(Clone, Debug)]
pub struct Semver {
    pub(crate) numbers: [u64; 3],
    pub(crate) prerelease: Vec<Identifier>,
    pub(crate) build: Vec<String>,
}

/// A part of a pre-release. Numbers come before words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Identifier {
    Number(u64),
    Word(String),
}

impl Semver {
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Version string empty".to_owned());
        }
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("No Major.Minor.Patch elements found".to_owned());
        };
        let (major, minor) = (number(major, "major")?, number(minor, "minor")?);
        let (rest, build) = rest.split_once('+').map_or((rest, None), |(rest, build)| (rest, Some(build)));
        let (patch, prerelease) = rest.split_once('-').map_or((rest, None), |(patch, pre)| (patch, Some(pre)));
        let patch = number(patch, "patch")?;
        let prerelease = prerelease.into_iter().flat_map(|text| text.split('.')).map(identifier);
        let prerelease = prerelease.collect::<Result<_, _>>()?;
        let build = build.into_iter().flat_map(|text| text.split('.')).map(build_part).collect::<Result<_, _>>()?;
        Ok(Self { numbers: [major, minor, patch], prerelease, build })
    }

    /// Reads what is nearly a version: with a `v`, leading zeros, or without minor and patch.
    pub(crate) fn read_normalized(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut parts: Vec<String> = text.splitn(3, '.').map(without_leading_zeros).collect();
        if parts.len() < 3 {
            if parts.last().is_some_and(|last| last.contains(['+', '-'])) {
                return Err("short version cannot contain PreRelease/Build meta data".to_owned());
            }
            parts.resize(3, "0".to_owned());
        }
        Self::read(&parts.join("."))
    }

    pub(crate) fn order(&self, other: &Self) -> Ordering {
        let prereleases = match (self.prerelease.is_empty(), other.prerelease.is_empty()) {
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            _ => self.prerelease.cmp(&other.prerelease),
        };
        self.numbers.cmp(&other.numbers).then(prereleases)
    }
}

impl fmt::Display for Semver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        for (index, identifier) in self.prerelease.iter().enumerate() {
            f.write_str(if index == 0 { "-" } else { "." })?;
            match identifier {
                Identifier::Number(number) => write!(f, "{number}")?,
                Identifier::Word(word) => f.write_str(word)?,
            }
        }
        for (index, part) in self.build.iter().enumerate() {
            write!(f, "{}{part}", if index == 0 { '+' } else { '.' })?;
        }
        Ok(())
    }
}

fn without_leading_zeros(part: &str) -> String {
    if part.len() <= 1 {
        return part.to_owned();
    }
    let stripped = part.trim_start_matches('0');
    if stripped.starts_with(|c: char| c.is_ascii_digit()) { stripped.to_owned() } else { format!("0{stripped}") }
}

fn has_leading_zeros(digits: &str) -> bool {
    digits.len() > 1 && digits.starts_with('0')
}

fn parsed(digits: &str) -> Result<u64, String> {
    let why = |_| {
        let what = if digits.is_empty() { "invalid syntax" } else { "value out of range" };
        format!("strconv.ParseUint: parsing {digits:?}: {what}")
    };
    digits.parse().map_err(why)
}

fn number(digits: &str, which: &str) -> Result<u64, String> {
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("Invalid character(s) found in {which} number {digits:?}"));
    }
    if has_leading_zeros(digits) {
        let which = format!("{}{}", which[..1].to_uppercase(), &which[1..]);
        return Err(format!("{which} number must not contain leading zeroes {digits:?}"));
    }
    parsed(digits)
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn identifier(text: &str) -> Result<Identifier, String> {
    if text.is_empty() {
        return Err("Prerelease is empty".to_owned());
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        if has_leading_zeros(text) {
            return Err(format!("Numeric PreRelease version must not contain leading zeroes {text:?}"));
        }
        return parsed(text).map(Identifier::Number);
    }
    if is_word(text) {
        return Ok(Identifier::Word(text.to_owned()));
    }
    Err(format!("Invalid character(s) found in prerelease {text:?}"))
}

fn build_part(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("Build meta data is empty".to_owned());
    }
    if is_word(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("Invalid character(s) found in build meta data {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered() {
        let ordered = ["1.0.0-1", "1.0.0-2", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0", "1.0.1", "1.10.0", "2.0.0"];
        for pair in ordered.windows(2) {
            let [a, b] = pair else { unreachable!() };
            assert!(Semver::read(a).unwrap().order(&Semver::read(b).unwrap()).is_lt(), "{a} {b}");
        }
        assert_eq!(Semver::read_normalized("v01.2").unwrap().to_string(), "1.2.0");
        assert!(Semver::read("1.2").is_err());
        assert!(Semver::read("01.2.3").is_err());
    }
}
