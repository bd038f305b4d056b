//! One history, ended before every system call and with every one of them failed in turn; and every file of it cut at every byte.

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::model::{Content, Write, check, check_once, open_paper, put, remove, runtime};
use super::paper::{Call, Change, Fate, Image, Kind, PaperDisk, Part, Verdict, files};
use super::*;

/// Calls for which a disk that is full stays so.
const FULL_CALLS: usize = 25;

/// What a run of the history came to.
struct Outcome {
    disk: PaperDisk,
    /// The contents that the next start may find.
    allowed: Vec<Content>,
    calls: Vec<Call>,
}

impl Outcome {
    fn story(&self, more: &str) -> String {
        format!("{}\n{more}", self.disk.story().join("\n"))
    }
}

/// Objects of several sizes that come, change and go, until the log has gone on in a new file twice.
fn history() -> Vec<Vec<Write>> {
    let text = |length: usize| "x".repeat(length);
    vec![
        vec![put("pods", "a/one", "1")],
        vec![put("pods", "a/two", &text(700)), put("secrets", "a/s", "hidden")],
        vec![put("events", "a/e", &text(200))],
        vec![put("pods", "a/one", &text(900)), remove("events", "a/e")],
        vec![put("pods", "a/three", &text(500))],
        vec![remove("pods", "a/two")],
        vec![put("secrets", "a/s", &text(400))],
        vec![put("pods", "a/four", &text(100)), put("events", "a/f", "f")],
        vec![put("pods", "a/one", &text(1200))],
        vec![put("pods", "a/four", &text(800))],
        vec![remove("secrets", "a/s"), put("secrets", "b/s", &text(600))],
        vec![put("pods", "a/four", "4")],
        vec![remove("events", "a/f")],
    ]
}

/// Runs the history on an empty disk. A write that is refused for want of space is left out; after any other failure nothing more comes.
fn run(mut judge: impl FnMut(&Call) -> Verdict + Send + 'static) -> Outcome {
    let calls = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let seen = calls.clone();
    let disk = PaperDisk::new(Image::new()).judged_by(move |call| {
        seen.lock().push(call.clone());
        judge(call)
    });
    let allowed = runtime().block_on(async {
        let mut content = Content::default();
        let Ok(store) = open_paper(&disk, Clock::system()) else { return vec![content] };
        for mut writes in history() {
            // What was refused for want of space cannot be removed.
            writes.retain(|write| write.put.is_some() || content.has(write));
            match store.commit(content.txn(&writes)).await {
                Ok(_) => {
                    content = content.with(&writes);
                    assert_eq!(Content::of(&store), content);
                }
                Err(CommitError::DiskFull(_)) => assert_eq!(Content::of(&store), content),
                Err(CommitError::Broken(failure)) => {
                    assert_eq!(store.health(), Err(failure));
                    disk.stop();
                    return vec![content.with(&writes), content];
                }
                Err(error) => panic!("{error}"),
            }
            disk.let_background(2);
        }
        disk.finish_background();
        store.close().await;
        vec![content]
    });
    // The store has gone with its runtime, and so has its thread.
    let calls = std::mem::take(&mut *calls.lock());
    Outcome { disk, allowed, calls }
}

/// What a power failure may leave: nothing of what no sync has covered, all of it, all but one change, or one change alone.
fn unplugged(image: &Image) -> Vec<(String, Image)> {
    let pending = image.pending();
    let only = |fate_of: &dyn Fn(usize) -> Fate| {
        let mut number = 0;
        image.clone().power_off(|_| {
            number += 1;
            fate_of(number - 1)
        })
    };
    let mut left = vec![("nothing is kept".to_owned(), only(&|_| Fate::Lost))];
    left.push(("all is kept".to_owned(), only(&|_| Fate::Kept)));
    for missing in 0..pending.len() {
        let image = only(&|number| if number == missing { Fate::Lost } else { Fate::Kept });
        left.push((format!("all is kept but change {missing} of {pending:?}"), image));
        let image = only(&|number| if number == missing { Fate::Kept } else { Fate::Lost });
        left.push((format!("nothing is kept but change {missing} of {pending:?}"), image));
    }
    left
}

/// The same with the last write cut at every byte, when it went to the log; half a snapshot nobody reads.
fn torn(image: &Image, last_call: &Call) -> Vec<Image> {
    let pending = image.pending();
    let Some((last, Change::Write { length, is_zero: false })) = pending.iter().enumerate().next_back() else {
        return Vec::new();
    };
    if last_call.kind != Kind::Write || !last_call.path.to_string_lossy().contains("log-") {
        return Vec::new();
    }
    let cut_at = |cut| {
        let mut number = 0;
        image.clone().power_off(|_| {
            number += 1;
            if number > last { Fate::Partly(Part::First(cut)) } else { Fate::Kept }
        })
    };
    (1..*length).map(cut_at).collect()
}

#[test]
fn the_history_goes_through_every_step() {
    let outcome = run(|_| Verdict::Succeed);
    let count = |kind| outcome.calls.iter().filter(|call| call.kind == kind).count();
    assert_eq!(count(Kind::Spawn), 2, "two snapshots");
    assert_eq!(count(Kind::Rename), 5, "three logs and two snapshots");
    assert!(count(Kind::Remove) >= 3, "what snapshots replace");
    assert!(outcome.calls.iter().any(|call| call.in_background && call.kind == Kind::Write));
    check(&outcome.disk.stop(), &outcome.allowed, &|| outcome.story(""));
}

#[test]
fn a_crash_before_every_call_loses_nothing() {
    let all = run(|_| Verdict::Succeed).calls.len();
    for number in 0..all {
        let outcome = run(move |call| if call.number == number { Verdict::Stop } else { Verdict::Succeed });
        let image = outcome.disk.stop();
        check(&image, &outcome.allowed, &|| outcome.story("the process is killed"));
        for (what, image) in unplugged(&image) {
            check(&image, &outcome.allowed, &|| outcome.story(&format!("the power goes: {what}")));
        }
        let Some(before) = number.checked_sub(1) else { continue };
        for (cut, image) in torn(&image, &outcome.calls[before]).into_iter().enumerate() {
            let story = || outcome.story(&format!("the power goes: the last write is cut at {}", cut + 1));
            // What is done about a torn write does not depend on where it is torn.
            let check = if cut % 50 == 0 { check } else { check_once };
            check(&image, &outcome.allowed, &story);
        }
    }
}

/// Every way in which a call can fail, beside a full disk.
fn failures(call: &Call) -> Vec<Verdict> {
    let mut verdicts = vec![Verdict::Fail(Errno::EIO)];
    if call.kind.takes_space() {
        verdicts.push(Verdict::Fail(Errno::ENOSPC));
    }
    if call.kind.is_sync() {
        verdicts.extend([Verdict::FailSyncAndForget, Verdict::Fail(Errno::ENOSPC)]);
        verdicts.extend([0, 1, usize::MAX].map(|durable| Verdict::FailSync { durable }));
    }
    if call.kind == Kind::Write {
        verdicts.extend([1, call.length / 2, call.length - 1].into_iter().filter(|n| *n > 0).map(Verdict::Short));
    }
    verdicts
}

fn check_all_ends(outcome: &Outcome, what: &str) {
    let image = outcome.disk.stop();
    check(&image, &outcome.allowed, &|| outcome.story(&format!("{what}; the process is killed")));
    for (kept, fate) in [("nothing", Fate::Lost), ("all", Fate::Kept)] {
        let image = image.clone().power_off(|_| fate.clone());
        check(&image, &outcome.allowed, &|| outcome.story(&format!("{what}; the power goes: {kept} is kept")));
    }
    // The next process goes on with what the kernel shows, and then the power goes.
    let more = runtime().block_on(async {
        let disk = PaperDisk::new(image);
        let store = open_paper(&disk, Clock::system()).unwrap();
        let found = Content::of(&store);
        let write = [put("pods", "a/later", "later")];
        store.commit(found.txn(&write)).await.unwrap();
        (disk.stop(), found.with(&write))
    });
    let image = more.0.power_off(|_| Fate::Lost);
    check(&image, &[more.1], &|| outcome.story(&format!("{what}; another process; the power goes")));
}

#[test]
fn every_call_that_fails_loses_nothing() {
    let calls = run(|_| Verdict::Succeed).calls;
    for call in &calls {
        for verdict in failures(call) {
            let number = call.number;
            let outcome = run(move |call| if call.number == number { verdict } else { Verdict::Succeed });
            check_all_ends(&outcome, &format!("call {number} failed: {verdict:?}"));
        }
    }
}

/// What a start finds after a crash in the middle of a snapshot and of an append.
fn after_a_crash() -> (Image, Vec<Content>) {
    let mut snapshots = 0;
    let outcome = run(move |call| {
        snapshots += usize::from(call.kind == Kind::Spawn);
        let ends = snapshots == 2 && call.kind == Kind::SyncData;
        if ends { Verdict::Stop } else { Verdict::Succeed }
    });
    // The frame that was not synced is cut.
    let image = outcome.disk.stop().power_off(|change| match change {
        Change::Write { length, is_zero: false } => Fate::Partly(Part::First(length / 2)),
        _ => Fate::Kept,
    });
    let names: Vec<_> = image.names().iter().map(|path| path.to_string_lossy().into_owned()).collect();
    for part in ["snapshot-", ".tmp", "log-"] {
        assert!(names.iter().any(|name| name.contains(part)), "{part}: {names:?}");
    }
    (image, outcome.allowed)
}

#[test]
fn a_start_that_fails_at_any_call_loses_nothing() {
    let (image, allowed) = after_a_crash();
    let start = |judge: Box<dyn FnMut(&Call) -> Verdict + Send>| {
        let disk = PaperDisk::new(image.clone()).judged_by(judge);
        let found = runtime().block_on(async { open_paper(&disk, Clock::system()).map(|store| Content::of(&store)) });
        (disk, found)
    };
    let calls = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let seen = calls.clone();
    let (_, found) = start(Box::new(move |call| {
        seen.lock().push(call.clone());
        Verdict::Succeed
    }));
    let allowed: Vec<_> = allowed.into_iter().filter(|content| *content == *found.as_ref().unwrap()).collect();
    let calls = std::mem::take(&mut *calls.lock());
    assert!(calls.len() > 10, "{calls:?}");
    for call in &calls {
        for verdict in failures(call).into_iter().chain([Verdict::Stop]) {
            let number = call.number;
            let (disk, found) =
                start(Box::new(move |call| if call.number == number { verdict } else { Verdict::Succeed }));
            let what = format!("call {number} of the start failed: {verdict:?}\n{}", disk.story().join("\n"));
            match found {
                Ok(found) => assert!(allowed.contains(&found), "{what}"),
                Err(error) => assert!(matches!(error, OpenError::Io { .. }), "{error}: {what}"),
            }
            let outcome = Outcome { disk, allowed: allowed.clone(), calls: Vec::new() };
            check_all_ends(&outcome, &what);
        }
    }
}

#[test]
fn a_disk_that_is_full_from_any_call_on_loses_nothing() {
    let whole = run(|_| Verdict::Succeed);
    let mut refused = 0;
    for call in whole.calls.iter().filter(|call| call.kind.takes_space()) {
        let full = call.number..call.number + FULL_CALLS;
        // The write that fills the disk is cut short.
        let short = (call.kind == Kind::Write && call.length > 1).then_some(call.length / 2);
        let outcome = run(move |call| match (full.contains(&call.number), short) {
            (true, Some(short)) if call.number == full.start => Verdict::Short(short),
            (true, _) if call.kind.takes_space() => Verdict::Fail(Errno::ENOSPC),
            _ => Verdict::Succeed,
        });
        assert_eq!(outcome.allowed.len(), 1, "a full disk is no failure\n{}", outcome.story(""));
        refused += whole.allowed[0].revision - outcome.allowed[0].revision;
        check_all_ends(&outcome, &format!("the disk was full from call {} on", call.number));
    }
    assert!(refused > 0);
}

/// A file that is shorter than it was: of the last log, what is whole is there; of any other file, the damage is seen.
#[test]
fn a_file_that_is_cut_anywhere_is_either_read_or_refused() {
    let mut snapshots = 0;
    let outcome = run(move |call| {
        snapshots += usize::from(call.kind == Kind::Spawn);
        // The second one fails, so that there are two logs.
        if call.kind == Kind::Spawn && snapshots == 2 { Verdict::Fail(Errno::EAGAIN) } else { Verdict::Succeed }
    });
    let mut contents = vec![Content::default()];
    for writes in history() {
        contents.push(contents[contents.len() - 1].with(&writes));
    }
    let mut all: BTreeMap<_, _> = files(&outcome.disk.stop());
    all.retain(|path, _| path.file_name().unwrap() != "lock");
    let last = all.keys().rfind(|path| path.to_str().unwrap().contains("log-")).unwrap().clone();
    assert_eq!(all.len(), 3, "a snapshot and two logs: {:?}", all.keys());
    for (path, bytes) in &all {
        let written = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let mut most = 0;
        for cut in 0..written {
            let mut all = all.clone();
            all.insert(path.clone(), bytes[..cut].to_vec());
            let image = Image::with_files(&all);
            let opened = runtime().block_on(async { open_paper(&PaperDisk::new(image.clone()), Clock::system()) });
            match opened {
                Ok(store) => {
                    assert_eq!(path, &last, "cut at {cut}");
                    let found = Content::of(&store);
                    assert!(contents.contains(&found) && found.revision >= most, "cut at {cut}");
                    most = found.revision;
                    drop(store);
                    check(&image, &contents, &|| format!("{} is cut at {cut}", path.display()));
                }
                Err(OpenError::Damaged { lost, .. }) => {
                    assert_ne!(path, &last, "cut at {cut}: {lost:?}");
                    assert!(matches!(lost, Lost::Before { .. } | Lost::Snapshot { .. }), "cut at {cut}: {lost:?}");
                }
                Err(OpenError::Version { .. }) => assert!(cut < 8),
                Err(error) => panic!("cut at {cut}: {error}"),
            }
        }
        assert!(path != &last || most == contents[contents.len() - 2].revision, "only the last record is cut");
    }
}
