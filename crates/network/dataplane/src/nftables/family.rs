//! Which packets a table sees.

/// Which packets a table sees, and how long addresses are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// `ip`
    Ipv4,
    /// `ip6`
    Ipv6,
    /// `inet`: both
    Inet,
}

impl Family {
    /// `NFPROTO_…`
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Ipv4 => 2,
            Self::Ipv6 => 10,
        }
    }

    /// As `nft` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Ipv4 => "ip",
            Self::Ipv6 => "ip6",
        }
    }
}
