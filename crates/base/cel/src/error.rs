//! Why an expression has no value, in upstream's words.

/// Why an expression has no value.
///
/// `&&`, `||` and the macros made of them absorb errors when the other side decides; only [`Error::Budget`] ends everything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("operation cancelled: actual cost limit exceeded")]
    Budget,
    #[error("no such overload")]
    NoSuchOverload,
    #[error("no such overload: {0}")]
    NoOverload(String),
    #[error("no such key: {0}")]
    NoSuchKey(String),
    #[error("no such attribute(s): {0}")]
    NoSuchAttribute(String),
    #[error("index out of bounds: {0}")]
    IndexOutOfBounds(String),
    #[error("index out of range: {0}")]
    IndexOutOfRange(i64),
    #[error("division by zero")]
    DivisionByZero,
    #[error("modulus by zero")]
    ModulusByZero,
    #[error("integer overflow")]
    IntOverflow,
    #[error("unsigned integer overflow")]
    UintOverflow,
    #[error("timestamp overflow")]
    TimestampOverflow,
    #[error("NaN values cannot be ordered")]
    NotANumber,
    #[error("type conversion error from '{from}' to '{to}'")]
    Conversion { from: String, to: String },
    #[error("optional.none() dereference")]
    EmptyOptional,
    #[error(transparent)]
    Pattern(#[from] windlass_regexp::PatternError),
    /// The data is not as its schema says.
    #[error("{0}")]
    Data(String),
    /// What a library's function says of its arguments.
    #[error("{0}")]
    Argument(String),
}

impl Error {
    /// Whether nothing may absorb the error.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Budget)
    }

    pub(crate) fn conversion(from: &str, to: &str) -> Self {
        Self::Conversion { from: from.to_owned(), to: to.to_owned() }
    }
}
