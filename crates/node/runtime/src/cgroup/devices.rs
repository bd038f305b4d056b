//! Which devices a container may use: a list of what is allowed, everything else is refused.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::launch::spec::DeviceKind;

/// What may be done with a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Access {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) make: bool,
}

impl Access {
    pub(crate) const ALL: Self = Self { read: true, write: true, make: true };
    pub(crate) const MAKE: Self = Self { read: false, write: false, make: true };

    /// From letters `r`, `w` and `m`; others mean nothing.
    pub(crate) fn parse(letters: &str) -> Self {
        Self { read: letters.contains('r'), write: letters.contains('w'), make: letters.contains('m') }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (letter, set) in [("r", self.read), ("w", self.write), ("m", self.make)] {
            if set {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

/// One allowed device; a number of `None` stands for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Allowed {
    pub(crate) kind: DeviceKind,
    pub(crate) major: Option<u64>,
    pub(crate) minor: Option<u64>,
    pub(crate) access: Access,
}

impl fmt::Display for Allowed {
    /// As the v1 controller reads it: `c 1:3 rwm`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DeviceKind::Character => 'c',
            DeviceKind::Block => 'b',
        };
        let number = |number: Option<u64>| number.map_or("*".to_owned(), |number| number.to_string());
        write!(f, "{kind} {}:{} {}", number(self.major), number(self.minor), self.access)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DevicePolicy {
    /// Privileged containers.
    All,
    Only(Vec<Allowed>),
}

impl Default for DevicePolicy {
    fn default() -> Self {
        Self::Only(Self::usual())
    }
}

impl DevicePolicy {
    /// What every container may use, as runc allows it: its own /dev and terminals; device files may be made, but not opened.
    pub(crate) fn usual() -> Vec<Allowed> {
        const PTS_MAJOR: u64 = 136;
        let character = |major, minor, access| Allowed { kind: DeviceKind::Character, major, minor, access };
        let mut list = vec![
            character(None, None, Access::MAKE),
            Allowed { kind: DeviceKind::Block, major: None, minor: None, access: Access::MAKE },
        ];
        // null, zero, full, random, urandom; tty, ptmx
        let files = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)];
        list.extend(files.map(|(major, minor)| character(Some(major), Some(minor), Access::ALL)));
        list.push(character(Some(PTS_MAJOR), None, Access::ALL));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_v1_controller() {
        let text: Vec<String> = DevicePolicy::usual().iter().map(ToString::to_string).collect();
        assert_eq!(text[0], "c *:* m");
        assert_eq!(text[1], "b *:* m");
        assert!(text.contains(&"c 1:3 rwm".to_owned()) && text.contains(&"c 136:* rwm".to_owned()));
        assert_eq!(Access::parse("rw").to_string(), "rw");
        assert_eq!(Access::parse("mx"), Access::MAKE);
    }
}
