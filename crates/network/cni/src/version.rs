//! Versions of the specification.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A released version of the specification, such as 1.1.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub micro: u32,
}

impl Version {
    pub const V0_3_0: Self = Self::new(0, 3, 0);
    pub const V0_3_1: Self = Self::new(0, 3, 1);
    /// Brought CHECK, and the previous result for DEL.
    pub const V0_4_0: Self = Self::new(0, 4, 0);
    /// Dropped `version` from the addresses of results.
    pub const V1_0_0: Self = Self::new(1, 0, 0);
    /// Brought STATUS and GC.
    pub const V1_1_0: Self = Self::new(1, 1, 0);

    /// The newest that we speak.
    pub const CURRENT: Self = Self::V1_1_0;

    const fn new(major: u32, minor: u32, micro: u32) -> Self {
        Self { major, minor, micro }
    }

    pub fn is_supported(self) -> bool {
        SUPPORTED_VERSIONS.contains(&self)
    }
}

/// All that we speak, oldest first.
pub const SUPPORTED_VERSIONS: [Version; 5] =
    [Version::V0_3_0, Version::V0_3_1, Version::V0_4_0, Version::V1_0_0, Version::V1_1_0];

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.micro)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a CNI version (such as 1.1.0)")]
pub struct BadVersion(String);

impl FromStr for Version {
    type Err = BadVersion;

    /// Missing parts count as zero, as in libcni.
    fn from_str(text: &str) -> Result<Self, BadVersion> {
        let mut parts = text.split('.').map(|part| part.parse().map_err(|_| BadVersion(text.to_owned())));
        let mut next = || parts.next().unwrap_or(Ok(0));
        let version = Self { major: next()?, minor: next()?, micro: next()? };
        if parts.next().is_some() { Err(BadVersion(text.to_owned())) } else { Ok(version) }
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers() {
        assert_eq!("0.4.0".parse(), Ok(Version::V0_4_0));
        assert_eq!("1.1".parse(), Ok(Version::V1_1_0));
        assert!("0.10.0".parse::<Version>().unwrap() > Version::V0_4_0);
        for bad in ["", "a", "1.1.0.0", "1.-1.0", "1..0"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
        assert!(!"0.2.0".parse::<Version>().unwrap().is_supported());
        assert_eq!(Version::CURRENT.to_string(), "1.1.0");
    }
}
