//! Which retired logs go, which are compressed, and what the next one is called. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const STAMP: &str = "%Y%m%d-%H%M%S";
const COMPRESSED: &str = ".gz";
/// What a compression has written so far.
const UNFINISHED: &str = ".tmp";

/// The files of one log beside the one that is written, by when they were retired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Retired {
    files: BTreeMap<DateTime, Vec<String>>,
}

/// The names of one retired log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Compression {
    pub(super) source: String,
    pub(super) unfinished: String,
    pub(super) compressed: String,
}

impl Retired {
    /// Of all names in the log's directory.
    pub(super) fn of<'a>(log: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut files: BTreeMap<DateTime, Vec<String>> = BTreeMap::new();
        for name in names {
            let Some(suffix) = name.strip_prefix(log).and_then(|rest| rest.strip_prefix('.')) else { continue };
            let stamp = [COMPRESSED, UNFINISHED].iter().find_map(|kind| suffix.strip_suffix(kind)).unwrap_or(suffix);
            // After the last year no log could follow; a stranger has made that file.
            if let Some(at) = DateTime::strptime(STAMP, stamp).ok().filter(|at| at.year() < DateTime::MAX.year()) {
                files.entry(at).or_default().push(name.to_owned());
            }
        }
        Self { files }
    }

    /// The name that the written log gets when it is retired. Names are as exact as a second and sort by age: where one second would
    /// have two, the later log gets the next.
    pub(super) fn next(&self, log: &str, now: Timestamp) -> String {
        let now = now.to_zoned(TimeZone::UTC).datetime();
        let second = |at: DateTime| at.saturating_add(jiff::SignedDuration::from_secs(1));
        let at = self.files.keys().next_back().map_or(now, |last| now.max(second(*last)));
        format!("{log}.{}", at.strftime(STAMP))
    }

    /// All but the newest `keep`, the oldest first.
    pub(super) fn excess(&self, keep: usize) -> Vec<&str> {
        let count = self.files.len().saturating_sub(keep);
        self.files.values().take(count).flatten().map(String::as_str).collect()
    }

    /// What nobody needs: compressions that were not finished, and the sources of those that were.
    pub(super) fn unused(&self) -> Vec<&str> {
        self.files
            .values()
            .flat_map(|names| {
                let done = names.iter().any(|name| name.ends_with(COMPRESSED));
                names.iter().filter(move |name| !name.ends_with(COMPRESSED) && (done || name.ends_with(UNFINISHED)))
            })
            .map(String::as_str)
            .collect()
    }

    /// What is to be compressed: all but the newest, which somebody may be reading still.
    pub(super) fn compressions(&self) -> Vec<Compression> {
        let older = self.files.values().rev().skip(1);
        let plain = older.filter_map(|names| match names.as_slice() {
            [only] if !only.ends_with(COMPRESSED) && !only.ends_with(UNFINISHED) => Some(only),
            _ => None,
        });
        plain
            .map(|source| Compression {
                source: source.clone(),
                unfinished: format!("{source}{UNFINISHED}"),
                compressed: format!("{source}{COMPRESSED}"),
            })
            .collect()
    }

    /// Every file.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.files.values().flatten().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 9] = [
        "0.log",
        "0.log.20261121-061000.gz",
        "0.log.20261121-062000",
        "0.log.20261121-062000.gz",
        "0.log.20261121-063000",
        "0.log.20261121-063000.tmp",
        "0.log.20261121-064000",
        "0.log.old",
        "10.log.20261121-062000",
    ];

    #[test]
    fn the_oldest_go_and_the_newest_stays_as_it_is() {
        let retired = Retired::of("0.log", NAMES);
        assert_eq!(retired.all().count(), 6);
        assert!(retired.excess(4).is_empty());
        assert_eq!(
            retired.excess(2),
            ["0.log.20261121-061000.gz", "0.log.20261121-062000", "0.log.20261121-062000.gz"]
        );
        assert_eq!(retired.unused(), ["0.log.20261121-062000", "0.log.20261121-063000.tmp"]);
        let left = NAMES.into_iter().filter(|name| !retired.unused().contains(name));
        let compressions = Retired::of("0.log", left).compressions();
        assert_eq!(
            compressions,
            [Compression {
                source: "0.log.20261121-063000".to_owned(),
                unfinished: "0.log.20261121-063000.tmp".to_owned(),
                compressed: "0.log.20261121-063000.gz".to_owned(),
            }]
        );
    }

    #[test]
    fn names_sort_by_age() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let retired = Retired::of("0.log", NAMES);
        let next = |now| retired.next("0.log", at(now));
        assert_eq!(next("2026-11-21T07:00:00.9Z"), "0.log.20261121-070000");
        assert_eq!(next("2026-11-21T06:40:00.9Z"), "0.log.20261121-064001", "the second is taken");
        assert_eq!(next("2026-11-21T05:00:00Z"), "0.log.20261121-064001", "the clock was set back");
        assert_eq!(Retired::default().next("0.log", at("2026-11-21T05:00:00Z")), "0.log.20261121-050000");
    }
}
