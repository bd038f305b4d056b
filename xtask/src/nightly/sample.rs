//! What a server and its supervisor take of the machine, and whether that grows.
//!
//! Samples are taken when everything that a round made has gone again. The first half of a run is left aside: what is bounded fills (histories of
//! watches, caches), and the allocator finds its size; on a server of 60 MiB that took twenty minutes and 40 MiB, half of them pages of the program. Of the second half the
//! medians of the second tenth and of the last are compared, since single samples catch a connection or a thread on its way out.

use std::fmt;
use std::fs;
use std::path::Path;

/// The fewest samples of which half has tenths.
const SAMPLES_MIN: usize = 20;

/// Something that is measured, in its unit, and how much more of it is no growth yet.
struct Measure {
    name: &'static str,
    unit: &'static str,
    of: fn(&Sample) -> u64,
    /// As a share of what there was, in percent.
    more_percent: u64,
    more: u64,
}

/// Anonymous memory has room for the allocator's fragments. All of it also counts the pages of the program's own file, some 35 MiB, which come and go
/// as the machine likes, and so has twice the room. An hour has about a thousand pods, so a leak
/// of some thirty kilobytes for each is beyond it, and a smaller one needs more hours. Descriptors and threads have room for connections that have just ended, and for threads that wait for more to do (ten
/// seconds). Mounts belong to containers, and none of those is left.
const MEASURES: [Measure; 5] = [
    Measure { name: "PSS", unit: " KiB", of: |sample| sample.pss_kib, more_percent: 10, more: 8 << 10 },
    Measure { name: "anonymous PSS", unit: " KiB", of: |sample| sample.anonymous_kib, more_percent: 5, more: 8 << 10 },
    Measure { name: "descriptors", unit: "", of: |sample| sample.descriptors, more_percent: 0, more: 8 },
    Measure { name: "threads", unit: "", of: |sample| sample.threads, more_percent: 0, more: 8 },
    Measure { name: "mounts", unit: "", of: |sample| sample.mounts, more_percent: 0, more: 2 },
];

/// What the processes of one program take together, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sample {
    /// Resident memory, what is shared divided among those who share it.
    pss_kib: u64,
    /// What of it is no file's: heaps and stacks.
    anonymous_kib: u64,
    descriptors: u64,
    threads: u64,
    /// Mounts below the data directory.
    mounts: u64,
}

impl Sample {
    /// Measures all processes that run `program` for `data_dir`: the server, and the supervisor, which names a folder of it.
    pub(super) fn take(program: &Path, data_dir: &Path) -> Result<Self, String> {
        let program = program.canonicalize().map_err(|error| format!("{}: {error}", program.display()))?;
        let data_dir = data_dir.display().to_string();
        let mut sample = Self::default();
        let processes = fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
        for process in processes.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
            let of_program = fs::read_link(process.join("exe")).is_ok_and(|exe| exe == program);
            let arguments = fs::read(process.join("cmdline")).unwrap_or_default();
            if of_program && String::from_utf8_lossy(&arguments).contains(&data_dir) {
                sample.add(&process);
            }
        }
        if sample.threads == 0 {
            return Err("the server has ended".to_owned());
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        sample.mounts = mounts.lines().filter(|line| line.contains(&data_dir)).count() as u64;
        Ok(sample)
    }

    fn add(&mut self, process: &Path) {
        let memory = fs::read_to_string(process.join("smaps_rollup")).unwrap_or_default();
        let kib = |key: &str| {
            let line = memory.lines().find_map(|line| line.strip_prefix(key));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default()
        };
        let entries = |folder: &str| fs::read_dir(process.join(folder)).map_or(0, |entries| entries.count() as u64);
        self.pss_kib += kib("Pss:");
        self.anonymous_kib += kib("Pss_Anon:");
        self.descriptors += entries("fd");
        self.threads += entries("task");
    }
}

impl fmt::Display for Sample {
    /// One line of a table, whose head is [`heading`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = MEASURES.map(|measure| (measure.of)(self).to_string());
        f.write_str(&numbers.join("\t"))
    }
}

pub(super) fn heading() -> String {
    MEASURES.map(|measure| measure.name).join("\t")
}

/// Compares the second tenth with the last, of the second half: a line for each measure, and as an error those that grew.
pub(super) fn judge(samples: &[Sample]) -> Result<String, String> {
    if samples.len() < SAMPLES_MIN {
        return Err(format!("{} rounds say nothing of growth: {SAMPLES_MIN} are needed", samples.len()));
    }
    let samples = &samples[samples.len() / 2..];
    let tenth = samples.len() / 10;
    let (early, late) = (&samples[tenth..2 * tenth], &samples[samples.len() - tenth..]);
    let (mut lines, mut grown) = (Vec::new(), false);
    for measure in MEASURES {
        let (before, after) = (median(early, measure.of), median(late, measure.of));
        let allowed = before + before * measure.more_percent / 100 + measure.more;
        let (name, unit) = (measure.name, measure.unit);
        let verdict = if after > allowed { "GREW" } else { "steady" };
        grown |= after > allowed;
        lines.push(format!("  {name}: {before}{unit}, then {after}{unit} of {allowed} allowed: {verdict}"));
    }
    let text = lines.join("\n");
    if grown { Err(format!("something grows:\n{text}")) } else { Ok(text) }
}

fn median(samples: &[Sample], of: fn(&Sample) -> u64) -> u64 {
    let mut values: Vec<u64> = samples.iter().map(of).collect();
    values.sort_unstable();
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(of: impl Fn(u64) -> Sample) -> Result<String, String> {
        judge(&(0..100).map(of).collect::<Vec<_>>())
    }

    #[test]
    fn warming_up_and_single_samples_are_no_growth() {
        let steady = run(|round| Sample {
            anonymous_kib: if round < 45 { round * 1000 } else { 80_000 + round % 7 * 100 },
            descriptors: if round == 95 { 500 } else { 60 },
            threads: 12,
            ..Sample::default()
        });
        assert!(steady.as_ref().unwrap().contains("descriptors: 60, then 60 of 68 allowed: steady"), "{steady:?}");
    }

    #[test]
    fn what_each_round_leaves_is_growth() {
        let leaking = run(|round| Sample { anonymous_kib: 80_000 + round * 400, ..Sample::default() });
        assert!(leaking.unwrap_err().contains("anonymous PSS: 102800 KiB, then 118800 KiB of 116132 allowed: GREW"));
        let open = run(|round| Sample { descriptors: 60 + round / 4, ..Sample::default() });
        assert!(open.unwrap_err().contains("descriptors"));
        assert!(judge(&[Sample::default(); 19]).is_err(), "too few to tell");
    }

    #[test]
    fn this_process_is_measured() {
        let program = std::env::current_exe().unwrap();
        // Its own path stands in its arguments.
        let folder = std::env::args().next().map(|program| Path::new(&program).parent().unwrap().to_owned()).unwrap();
        let sample = Sample::take(&program, &folder).unwrap();
        assert!(sample.pss_kib >= sample.anonymous_kib && sample.anonymous_kib > 0, "{sample:?}");
        assert!(sample.descriptors > 2 && sample.threads > 0, "{sample:?}");
    }
}
