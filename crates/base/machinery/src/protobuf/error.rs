//! What is wrong with a message.

/// What is wrong with bytes that should have been a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    #[error("unexpected EOF")]
    Truncated,
    #[error("proto: illegal tag or wire type")]
    Malformed,
    #[error("proto: wrong wire type for a field")]
    WireType,
    #[error("proto: a string is not valid UTF-8")]
    Utf8,
    #[error("proto: messages nest too deeply")]
    TooDeep,
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    NoEnvelope,
    #[error("proto: a field holds invalid JSON")]
    Json,
}
