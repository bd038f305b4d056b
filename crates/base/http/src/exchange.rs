//! How a request failed once there was a connection, in Go's words.

use std::error::Error;
use std::io::ErrorKind;

use windlass_api::text::with_causes;

use crate::dial_error::DialError;

/// What lies at the bottom of a failed exchange.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// There was no connection after all: a client with a pool dials within the exchange.
    #[error(transparent)]
    Dial(DialError),
    /// The connection ended before the answer did.
    #[error("EOF")]
    Eof,
    #[error("read: connection reset by peer")]
    Reset,
    #[error("write: broken pipe")]
    BrokenPipe,
    /// What came is no HTTP.
    #[error("net/http: HTTP/1.x transport connection broken: malformed HTTP response")]
    Malformed,
    /// So many bytes came before the answer's head did.
    #[error("net/http: server response headers exceeded {0} bytes; aborted")]
    HeadTooLarge(usize),
    #[error("context canceled")]
    Canceled,
    /// There was no answer in time.
    #[error("context deadline exceeded")]
    Deadline,
    #[error("{0}")]
    Other(String),
}

impl ExchangeError {
    /// Finds the cause among an error's sources, by their types.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut at: Option<&(dyn Error + 'static)> = Some(error);
        let mut found = None;
        while let Some(error) = at {
            if let Some(dial) = error.downcast_ref::<DialError>() {
                return Self::Dial(dial.clone());
            }
            if let Some(hyper) = error.downcast_ref::<hyper::Error>() {
                found = of_hyper(hyper).or(found);
            }
            if let Some(io) = error.downcast_ref::<std::io::Error>() {
                found = of_io(io).or(found);
            }
            at = error.source();
        }
        found.unwrap_or_else(|| Self::Other(with_causes(error)))
    }
}

fn of_hyper(error: &hyper::Error) -> Option<ExchangeError> {
    if error.is_incomplete_message() {
        Some(ExchangeError::Eof)
    } else if error.is_parse() || error.is_parse_status() {
        Some(ExchangeError::Malformed)
    } else if error.is_canceled() {
        Some(ExchangeError::Canceled)
    } else {
        None
    }
}

fn of_io(error: &std::io::Error) -> Option<ExchangeError> {
    match error.kind() {
        ErrorKind::UnexpectedEof => Some(ExchangeError::Eof),
        ErrorKind::ConnectionReset => Some(ExchangeError::Reset),
        ErrorKind::BrokenPipe => Some(ExchangeError::BrokenPipe),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the request failed")]
    struct Outer(#[source] io::Error);

    #[test]
    fn causes_are_found_by_type() {
        let of = |kind: ErrorKind| ExchangeError::of(&Outer(io::Error::from(kind)));
        assert_eq!(of(ErrorKind::UnexpectedEof), ExchangeError::Eof);
        assert_eq!(of(ErrorKind::ConnectionReset).to_string(), "read: connection reset by peer");
        let dial = DialError::NotTls;
        assert_eq!(ExchangeError::of(&dial), ExchangeError::Dial(DialError::NotTls));
        // Words that look like a cause are none.
        let other = ExchangeError::of(&Outer(io::Error::other("connection reset by peer")));
        assert_eq!(other, ExchangeError::Other("the request failed: connection reset by peer".to_owned()));
    }
}
