//! Logs: one line for each event on standard error, `time LEVEL component: message key=value …`.

use std::io::IsTerminal;

use thiserror::Error;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

#[derive(Debug, Error)]
pub enum LogError {
    #[error("the log level {0:?} is none: write a level such as \"debug\", or \"info,windlass_kubelet=debug\"")]
    Level(String),
    #[error("logging has been set up before")]
    Twice(#[source] TryInitError),
}

/// Starts logging for the whole process. `level` is a level for all, and levels for single crates if wanted:
/// `info,windlass_kubelet=debug`.
pub fn start(level: &str) -> Result<(), LogError> {
    let targets = parse(level).ok_or_else(|| LogError::Level(level.to_owned()))?;
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry().with(lines).with(targets).try_init().map_err(LogError::Twice)
}

/// `Targets` takes a word alone for a crate's name; here it is a level, so that a misspelt one is noticed.
fn parse(level: &str) -> Option<Targets> {
    let words_are_levels = level.split(',').all(|part| part.contains('=') || part.parse::<LevelFilter>().is_ok());
    words_are_levels.then(|| level.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_understood_or_refused() {
        assert!(parse("info,windlass_kubelet=debug").is_some());
        assert!(parse("loud").is_none() && parse("info,windlass_kubelet=loud").is_none());
    }
}
