//! Chains and rules, as they are wanted.

use crate::netlink::Builder;

use super::expression::Expr;

/// Where a base chain hangs in the packet's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Hook {
    Prerouting = 0,
    Input = 1,
    Forward = 2,
    Output = 3,
    Postrouting = 4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainKind {
    Filter,
    Nat,
    /// Reroutes packets of this node whose mark or address it changed.
    Route,
}

impl ChainKind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Nat => "nat",
            Self::Route => "route",
        }
    }
}

/// `nft`'s names for priorities.
pub mod priority {
    /// Before connection tracking.
    pub const RAW: i32 = -300;
    pub const DSTNAT: i32 = -100;
    pub const FILTER: i32 = 0;
    pub const SRCNAT: i32 = 100;
}

/// A chain that the kernel calls for every packet at a hook. Its policy is to accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    pub kind: ChainKind,
    pub hook: Hook,
    pub priority: i32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// `None` for a chain that others jump to.
    pub base: Option<Base>,
    pub rules: Vec<Rule>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    pub expressions: Vec<Expr>,
    /// Shown by `nft list`; at most about 200 bytes survive.
    pub comment: String,
}

impl Rule {
    pub fn new(expressions: Vec<Expr>) -> Self {
        Self { expressions, comment: String::new() }
    }

    #[must_use]
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = comment.into();
        self
    }

    /// The list of expressions as attributes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut builder = Builder::default();
        for expression in &self.expressions {
            expression.encode(&mut builder);
        }
        builder.bytes().map(<[u8]>::to_vec).unwrap_or_default()
    }

    /// Identifies what the rule does across restarts of the daemon: it is written into the rule's comment, because the
    /// kernel gives expressions back in a form of its own.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hash = fnv1a(0xcbf2_9ce4_8422_2325, &self.encode());
        hash = fnv1a(hash, self.comment.as_bytes());
        hash
    }
}

/// FNV-1a: stable between builds and machines of one byte order, which is all that a fingerprint needs.
fn fnv1a(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
