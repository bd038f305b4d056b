//! Why a pattern is not taken.

const TOO_LARGE: &str = "expression too large";

/// What is wrong with a pattern, in Go's words, and with which part of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("error parsing regexp: {what}: `{part}`")]
    Invalid { what: &'static str, part: String },
    /// Those that came before left too little of the budget that all of a definition have together. Go has no such budget.
    #[error("regular expressions of this definition are too large together: `{part}`")]
    OverBudget { part: String },
}

impl PatternError {
    /// Whether the pattern is right, and takes more than it may.
    pub fn is_of_size(&self) -> bool {
        matches!(self, Self::OverBudget { .. } | Self::Invalid { what: TOO_LARGE, .. })
    }

    pub(crate) fn too_large(pattern: &str) -> Self {
        Self::Invalid { what: TOO_LARGE, part: pattern.to_owned() }
    }
}
