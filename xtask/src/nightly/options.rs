//! What a nightly run is told.

use std::path::PathBuf;
use std::time::Duration;

use crate::simulate::is_range;

pub(crate) const USAGE: &str = "\
cargo xtask nightly [PART…] [OPTIONS]  what the gate has no time for: apparmor, conformance, fuzz, store, simulation, users, churn
    --churn 60m      how long objects come and go, in minutes or seconds (90s)
    --seconds 60     how long each target is fuzzed
    --seeds A..B     seeds of the store's crash tests (0..10000) and of the simulation (300..3000)
    --profile NAME   how the binary is built (release)
    --program PATH   a binary that is there already";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    parts: Vec<String>,
    pub(super) churn: Duration,
    pub(super) fuzz_seconds: u64,
    seeds: Option<String>,
    pub(super) profile: String,
    pub(super) program: Option<PathBuf>,
}

impl Options {
    pub(super) fn read(args: &[String], known: &[&str]) -> Result<Self, String> {
        let mut options = Self {
            parts: Vec::new(),
            churn: Duration::from_secs(60 * 60),
            fuzz_seconds: 60,
            seeds: None,
            profile: "release".to_owned(),
            program: None,
        };
        let usage = || format!("usage:\n{USAGE}");
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(usage);
            match arg.as_str() {
                "--churn" => options.churn = duration(value()?).ok_or_else(usage)?,
                "--seconds" => options.fuzz_seconds = value()?.parse().map_err(|_| usage())?,
                "--seeds" => {
                    options.seeds = Some(Some(value()?.clone()).filter(|seeds| is_range(seeds)).ok_or_else(usage)?);
                }
                "--profile" => options.profile.clone_from(value()?),
                "--program" => options.program = Some(value()?.into()),
                part if known.contains(&part) => options.parts.push(part.to_owned()),
                _ => return Err(usage()),
            }
        }
        Ok(options)
    }

    pub(super) fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }

    pub(super) fn store_seeds(&self) -> String {
        self.seeds.clone().unwrap_or_else(|| "0..10000".to_owned())
    }

    /// The first 300 run with all tests.
    pub(super) fn simulation_seeds(&self) -> String {
        self.seeds.clone().unwrap_or_else(|| "300..3000".to_owned())
    }
}

/// `60m` or `90s`.
fn duration(text: &str) -> Option<Duration> {
    let (number, seconds) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s')?, 1),
    };
    let number: u64 = number.parse().ok()?;
    (number > 0).then(|| Duration::from_secs(number * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Options, String> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        Options::read(&args, &["fuzz", "store", "churn"])
    }

    #[test]
    fn parts_and_their_sizes() {
        let all = read(&[]).unwrap();
        assert!(all.wants("fuzz") && all.wants("churn") && all.churn == Duration::from_secs(3600));
        assert_eq!((all.store_seeds().as_str(), all.simulation_seeds().as_str()), ("0..10000", "300..3000"));
        let some = read(&["churn", "--churn", "90s", "store", "--seeds", "5..9", "--program", "/p"]).unwrap();
        assert!(!some.wants("fuzz") && some.wants("store") && some.churn == Duration::from_secs(90));
        assert_eq!((some.store_seeds().as_str(), some.program), ("5..9", Some("/p".into())));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in [
            &["bench"][..],
            &["--churn"],
            &["--churn", "1h"],
            &["--churn", "0m"],
            &["--seconds", "x"],
            &["--seeds", "5"],
        ] {
            assert!(read(bad).unwrap_err().starts_with("usage"), "{bad:?}");
        }
    }
}
