//! What of a log is wanted: the query of a request (`v1.PodLogOptions`).

use std::time::Duration;

use windlass_api::{Timestamp, time};

use super::entry::{Entry, LogStream};
use crate::query::Query;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogOptions {
    pub follow: bool,
    /// Of the instance before.
    pub previous: bool,
    pub timestamps: bool,
    pub since: Option<Timestamp>,
    pub tail_lines: Option<u64>,
    pub limit_bytes: Option<u64>,
    /// `None` is both.
    pub stream: Option<LogStream>,
}

/// A query that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{{\"message\": \"{0}\"}}")]
pub(crate) struct BadQuery(&'static str);

const UNDECODABLE: BadQuery = BadQuery("Unable to decode query.");
const INVALID: BadQuery = BadQuery("Invalid request.");

impl LogOptions {
    pub(crate) fn parse(query: &Query, now: Timestamp) -> Result<Self, BadQuery> {
        let number = |name: &str| match query.get(name) {
            None | Some("") => Ok(None),
            Some(text) => text.parse::<i64>().map(Some).map_err(|_| UNDECODABLE),
        };
        let since_seconds = number("sinceSeconds")?;
        let since_time = match query.get("sinceTime") {
            None | Some("") => None,
            Some(text) => Some(time::parse_rfc3339(text).ok_or(UNDECODABLE)?),
        };
        let tail_lines = match query.get("tail") {
            Some("all") => None,
            Some(_) => number("tail")?,
            None => number("tailLines")?,
        };
        let limit_bytes = number("limitBytes")?;
        let stream = match query.get("stream") {
            None | Some("" | "All") => None,
            Some("Stdout") => Some(LogStream::Stdout),
            Some("Stderr") => Some(LogStream::Stderr),
            Some(_) => return Err(INVALID),
        };
        let wrong = (since_seconds.is_some() && since_time.is_some())
            || since_seconds.is_some_and(|seconds| seconds < 1)
            || tail_lines.is_some_and(|lines| lines < 0)
            || limit_bytes.is_some_and(|bytes| bytes < 1);
        if wrong {
            return Err(INVALID);
        }
        let ago = |seconds: i64| now.checked_sub(Duration::from_secs(seconds.unsigned_abs())).unwrap_or(Timestamp::MIN);
        Ok(Self {
            follow: query.flag("follow"),
            previous: query.flag("previous"),
            timestamps: query.flag("timestamps"),
            since: since_time.or(since_seconds.map(ago)),
            tail_lines: tail_lines.map(i64::unsigned_abs),
            limit_bytes: limit_bytes.map(i64::unsigned_abs),
            stream,
        })
    }

    /// Whether an entry is one of those that are wanted.
    pub(crate) fn wants(&self, entry: &Entry<'_>) -> bool {
        self.stream.is_none_or(|stream| stream == entry.stream)
            && self.since.is_none_or(|since| entry.at().is_none_or(|at| at >= since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let now = time::parse_rfc3339("2026-11-21T06:20:10Z").unwrap();
        let parse = |query: &str| LogOptions::parse(&Query::parse(Some(query)), now);
        let since = time::parse_rfc3339("2026-11-21T06:20:00Z");
        let cases = [
            ("", LogOptions::default()),
            ("follow=true&timestamps=1", LogOptions { follow: true, timestamps: true, ..LogOptions::default() }),
            (
                "tailLines=5&limitBytes=9",
                LogOptions { tail_lines: Some(5), limit_bytes: Some(9), ..LogOptions::default() },
            ),
            ("tail=all&tailLines=5", LogOptions::default()),
            ("sinceSeconds=10", LogOptions { since, ..LogOptions::default() }),
            ("sinceTime=2026-11-21T06%3A20%3A00Z", LogOptions { since, ..LogOptions::default() }),
            (
                "stream=Stderr&previous=true",
                LogOptions { stream: Some(LogStream::Stderr), previous: true, ..LogOptions::default() },
            ),
        ];
        for (query, expected) in cases {
            assert_eq!(parse(query), Ok(expected), "{query}");
        }
        for query in [
            "tailLines=x",
            "tailLines=-1",
            "limitBytes=0",
            "sinceSeconds=0",
            "sinceTime=x",
            "stream=x",
            "sinceSeconds=1&sinceTime=2026-11-21T06:20:00Z",
        ] {
            assert!(parse(query).is_err(), "{query}");
        }
    }
}
