//! Verdicts: what becomes of a packet.

/// Where the packet goes next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    Accept,
    Drop,
    /// Back to the chain that jumped here.
    Return,
    Jump(String),
    /// Like a jump that does not come back here.
    Goto(String),
}

impl Verdict {
    pub(super) fn code(&self) -> i32 {
        match self {
            Self::Drop => 0,
            Self::Accept => 1,
            Self::Jump(_) => -3,
            Self::Goto(_) => -4,
            Self::Return => -5,
        }
    }

    pub(super) fn chain(&self) -> Option<&str> {
        match self {
            Self::Jump(chain) | Self::Goto(chain) => Some(chain),
            _ => None,
        }
    }

    pub(super) fn from_wire(code: i32, chain: Option<String>) -> Option<Self> {
        match (code, chain) {
            (0, _) => Some(Self::Drop),
            (1, _) => Some(Self::Accept),
            (-3, Some(chain)) => Some(Self::Jump(chain)),
            (-4, Some(chain)) => Some(Self::Goto(chain)),
            (-5, _) => Some(Self::Return),
            _ => None,
        }
    }
}
