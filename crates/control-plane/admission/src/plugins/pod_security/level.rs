//! Levels of the Pod Security Standards, and the Kubernetes version as of which one is meant.

use std::fmt;

/// How much pods may do; a later level allows less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    #[default]
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    const ALL: [Self; 3] = [Self::Privileged, Self::Baseline, Self::Restricted];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let found = Self::ALL.into_iter().find(|level| level.name() == text);
        found.ok_or("must be one of privileged, baseline, restricted")
    }
}

/// The Kubernetes version whose rules count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// `v1.` and this.
    Minor(u64),
    #[default]
    Latest,
}

impl Version {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        // One way to write a number: no sign, no zero in front.
        let minor = text.strip_prefix("v1.").and_then(|minor| Some((minor, minor.parse::<u64>().ok()?)));
        match minor {
            Some((digits, minor)) if minor.to_string() == digits && i64::try_from(minor).is_ok() => {
                Ok(Self::Minor(minor))
            }
            _ => Err("must be \"latest\" or \"v1.x\""),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Minor(minor) => write!(f, "v1.{minor}"),
            Self::Latest => f.write_str("latest"),
        }
    }
}

/// A level as of a version, written `restricted:v1.37`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LevelVersion {
    pub level: Level,
    pub version: Version,
}

impl LevelVersion {
    /// Whether both allow the same: of what is privileged, every version does.
    pub(super) fn is_equivalent(self, other: Self) -> bool {
        self == other || (self.level == Level::Privileged && other.level == Level::Privileged)
    }
}

impl fmt::Display for LevelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.level.name(), self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for text in ["latest", "v1.0", "v1.37", "v1.9223372036854775807"] {
            assert_eq!(Version::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "v1", "1.2", "v1.", "v1.01", "v1.+1", "v2.1", "v1.2.3", "v1.9223372036854775808", "Latest"] {
            assert!(Version::parse(text).is_err(), "{text}");
        }
        assert!(Version::Minor(9) < Version::Minor(10) && Version::Minor(u64::MAX) < Version::Latest);
    }
}
