//! A store, its users and the weather: one random history, decided by a seed.
//!
//! Users commit, several at once; time passes and objects go; snapshots are written meanwhile, a few calls at a time. The disk fills up and
//! is emptied, calls fail, syncs fail and lose what they should have kept. Processes are killed, the power goes, at any call. After each
//! start everything acknowledged must be there, and of what was under way the first part of it, in the order of its revisions.

use std::time::Duration;

use jiff::Timestamp;
use nix::errno::Errno;
use parking_lot::Mutex;
use windlass_api::chance::Chance;

use super::model::{Content, TABLES, Write, check, open_paper, runtime};
use super::paper::{Call, Change, Fate, Image, Kind, PaperDisk, Part, Verdict};
use super::*;

const STEPS: usize = 60;
const KEYS: usize = 10;
/// Turns of the runtime after which everything that can be done without time passing is done.
const TURNS: usize = 50;

pub(crate) type Story = Arc<Mutex<Vec<String>>>;

/// What the disk does.
#[derive(Clone, Debug, Default)]
struct Weather {
    is_full: bool,
    /// One call of so many fails; none when it is 0.
    fails_one_in: usize,
    /// The process ends before this many more calls.
    stops_after: Option<usize>,
    /// Something has failed since this was last looked at.
    has_struck: bool,
}

impl Weather {
    fn judge(&mut self, call: &Call, chance: &Chance) -> Verdict {
        if let Some(left) = &mut self.stops_after {
            if *left == 0 {
                return Verdict::Stop;
            }
            *left -= 1;
        }
        let verdict = if self.is_full && call.kind.takes_space() && chance.below(4) > 0 {
            match call.kind {
                Kind::Write if chance.below(2) == 0 && call.length > 1 => {
                    Verdict::Short(1 + chance.below(call.length - 1))
                }
                _ => Verdict::Fail(Errno::ENOSPC),
            }
        } else if self.fails_one_in > 0 && chance.below(self.fails_one_in) == 0 {
            match call.kind {
                kind if kind.is_sync() && chance.below(4) == 0 => Verdict::FailSyncAndForget,
                kind if kind.is_sync() => Verdict::FailSync { durable: chance.below(4) },
                Kind::Write if chance.below(2) == 0 && call.length > 1 => {
                    Verdict::Short(1 + chance.below(call.length - 1))
                }
                _ => Verdict::Fail(Errno::EIO),
            }
        } else {
            Verdict::Succeed
        };
        // A short write is no failure.
        self.has_struck |= !matches!(verdict, Verdict::Succeed | Verdict::Short(_));
        verdict
    }
}

struct World {
    chance: Chance,
    clock: Clock,
    weather: Arc<Mutex<Weather>>,
    story: Story,
    disk: PaperDisk,
    store: Arc<Store>,
    /// What is published.
    content: Content,
    /// Transactions that may be on the disk although they have not been published, in order.
    uncertain: Vec<Vec<Write>>,
}

pub(crate) fn run(seed: u64, story: &Story) {
    runtime().block_on(async {
        let mut world = World::begin(seed, story).await;
        for _ in 0..STEPS {
            world.step().await;
        }
        world.end().await;
    });
}

impl World {
    async fn begin(seed: u64, story: &Story) -> Self {
        let chance = Chance::seeded(seed);
        let clock = Clock::paused(Timestamp::from_second(1_000_000).unwrap());
        let weather = Arc::new(Mutex::new(Weather::default()));
        let disk = PaperDisk::new(Image::new());
        let store = open_paper(&disk, clock).unwrap();
        let content = Content::of(&store);
        Self { chance, clock, weather, story: story.clone(), disk, store, content, uncertain: Vec::new() }
    }

    fn tell(&self, text: impl Into<String>) {
        self.story.lock().push(text.into());
    }

    async fn step(&mut self) {
        match self.chance.below(20) {
            0..9 => self.commit().await,
            9..11 => self.pass_time().await,
            11..15 => {
                let calls = 1 + self.chance.below(6);
                self.disk.let_background(calls);
            }
            15..17 => self.change_weather(),
            17 => self.weather.lock().stops_after = Some(self.chance.below(25)),
            18 => self.close().await,
            _ => self.restart().await,
        }
        while self.disk.is_stopped() || self.store.health().is_err() {
            if let Err(failure) = self.store.health() {
                assert_eq!(self.store.failed().await, failure);
                let late = self.store.commit(self.content.txn(&[model::put("pods", "a/late", "")])).await;
                assert!(matches!(late, Err(CommitError::Broken(reason)) if reason == failure));
            }
            self.restart().await;
        }
    }

    fn change_weather(&mut self) {
        let mut weather = self.weather.lock();
        match self.chance.below(4) {
            0 => weather.is_full = true,
            1 => weather.fails_one_in = 10 + self.chance.below(60),
            _ => *weather = Weather::default(),
        }
        self.story.lock().push(format!("{weather:?}"));
    }

    /// Some writes to keys that are not in `taken`.
    fn writes(&self, taken: &mut Vec<(&'static str, String)>) -> Vec<Write> {
        let mut writes = Vec::new();
        for _ in 0..=self.chance.below(3) {
            let table = TABLES[self.chance.below(TABLES.len())];
            let mut write = Write { table, key: format!("a/{}", self.chance.below(KEYS)), put: None, expires: 0 };
            let place = (table, write.key.clone());
            if taken.contains(&place) {
                continue;
            }
            taken.push(place);
            if !self.content.has(&write) || self.chance.below(4) > 0 {
                let length = if self.chance.below(8) == 0 { self.chance.below(2500) } else { self.chance.below(120) };
                write.put = Some(format!("{}{}", self.chance.below(1000), "x".repeat(length)));
                if table == "events" && self.chance.below(2) == 0 {
                    write.expires = self.clock.now().as_second() + 1 + self.chance.below(60) as i64;
                }
            }
            writes.push(write);
        }
        writes
    }

    /// Some users commit at once.
    async fn commit(&mut self) {
        let mut taken = Vec::new();
        let mut group: Vec<_> = (0..=self.chance.below(4)).map(|_| self.writes(&mut taken)).collect();
        group.retain(|writes| !writes.is_empty());
        self.tell(format!("commit {}", group.len()));
        self.weather.lock().has_struck = false;
        let before = self.content.revision;
        let commits: Vec<_> = group
            .iter()
            .map(|writes| {
                let (store, txn) = (self.store.clone(), self.content.txn(writes));
                tokio::spawn(async move { store.commit(txn).await })
            })
            .collect();
        let mut results = Vec::new();
        for commit in commits {
            results.push(commit.await.unwrap());
        }
        self.tell(format!(
            "{:?}",
            results.iter().map(|result| result.as_ref().map(|done| done.revision)).collect::<Vec<_>>()
        ));
        let done = results.iter().take_while(|result| result.is_ok()).count();
        let mut revision = before;
        for (number, (result, writes)) in results.iter().zip(&group).enumerate() {
            revision += writes.len() as u64;
            match result {
                Ok(committed) => assert_eq!(committed.revision, revision),
                Err(error) => {
                    assert!(
                        number >= done,
                        "a later transaction of a batch is acknowledged, and an earlier one is not"
                    );
                    assert!(self.weather.lock().has_struck || self.disk.is_stopped(), "{error} out of the blue");
                }
            }
        }
        let full = results.iter().any(|result| matches!(result, Err(CommitError::DiskFull(_))));
        let rest = group.split_off(done);
        self.publish(&group);
        self.uncertain = if full { Vec::new() } else { rest };
        self.settle().await;
    }

    fn publish(&mut self, transactions: &[Vec<Write>]) {
        for writes in transactions {
            self.content = self.content.with(writes);
        }
    }

    async fn pass_time(&mut self) {
        let seconds = 1 + self.chance.below(30) as u64;
        self.uncertain.clear();
        self.tell(format!("{seconds} seconds pass"));
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        self.settle().await;
    }

    /// Lets what is due go, as far as the disk takes it.
    async fn settle(&mut self) {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        loop {
            // What went while time passed went earlier, but in the same order.
            let due = self.due();
            if self.store.revision() == self.content.revision || due.is_empty() {
                self.uncertain.extend(due);
                break;
            }
            self.publish(&due[..1]);
        }
        assert_eq!(Content::of(&self.store), self.content);
    }

    /// The deletions of what has come to its end, in order.
    fn due(&self) -> Vec<Vec<Write>> {
        let now = self.clock.now().as_second();
        let mut due: Vec<_> =
            self.content.objects.iter().filter(|(_, (_, expires, _))| (1..=now).contains(expires)).collect();
        due.sort_by_key(|(place, (_, expires, _))| (*expires, (*place).clone()));
        due.into_iter().map(|((table, key), _)| vec![model::remove(table, key)]).collect()
    }

    /// The process ends in order.
    async fn close(&mut self) {
        self.tell("close");
        self.disk.finish_background();
        self.store.close().await;
        self.restart().await;
    }

    /// The process is gone, or the whole machine, and another one starts, now or after some attempts.
    async fn restart(&mut self) {
        for attempt in 0.. {
            let mut image = self.disk.stop();
            self.story.lock().extend(self.disk.story());
            if self.chance.below(2) == 0 {
                self.tell("the power goes");
                image = image.power_off(|change| self.fate(change));
            }
            *self.weather.lock() = Weather {
                fails_one_in: if attempt < 3 && self.chance.below(3) == 0 { 4 + self.chance.below(30) } else { 0 },
                stops_after: (attempt < 3 && self.chance.below(5) == 0).then(|| self.chance.below(20)),
                ..Weather::default()
            };
            self.tell(format!("start {attempt}: {:?}", self.weather.lock()));
            let (weather, chance) = (self.weather.clone(), self.chance.fork());
            self.disk = PaperDisk::new(image).judged_by(move |call| weather.lock().judge(call, &chance));
            match open_paper(&self.disk, self.clock) {
                Ok(store) => {
                    self.store = store;
                    break;
                }
                Err(OpenError::Io { .. }) if self.weather.lock().has_struck || self.disk.is_stopped() => {}
                Err(error) => panic!("{error}"),
            }
        }
        let found = Content::of(&self.store);
        let allowed = self.allowed();
        assert!(allowed.contains(&found), "{found:?}\nis none of\n{allowed:?}");
        self.tell(format!("started at revision {}", found.revision));
        self.content = found;
        self.uncertain.clear();
        self.settle().await;
    }

    /// The published content, and with more and more of what was under way.
    fn allowed(&self) -> Vec<Content> {
        let mut allowed = vec![self.content.clone()];
        for writes in &self.uncertain {
            allowed.push(allowed[allowed.len() - 1].with(writes));
        }
        allowed
    }

    fn fate(&self, change: Change) -> Fate {
        match (self.chance.below(3), change) {
            (0, _) => Fate::Lost,
            (1, _) | (_, Change::Name | Change::Cut) => Fate::Kept,
            (_, Change::Write { length, .. }) if self.chance.below(2) == 0 => {
                Fate::Partly(Part::First(self.chance.below(length + 1)))
            }
            _ => Fate::Partly(Part::Sectors(self.chance.number())),
        }
    }

    /// The last start finds fair weather, and so does the one after it.
    async fn end(mut self) {
        let image = self.disk.stop();
        self.story.lock().extend(self.disk.story());
        let image = if self.chance.below(2) == 0 { image } else { image.power_off(|change| self.fate(change)) };
        let allowed = self.allowed();
        // A runtime does not run within another.
        let checked = std::thread::spawn(move || check(&image, &allowed, &String::new));
        checked.join().unwrap();
        self.store = Store::in_memory(self.clock);
    }
}
