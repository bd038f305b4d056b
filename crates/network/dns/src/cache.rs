//! Answers of others, kept for as long as they say and we allow.
//!
//! The cache is bounded: when it is full, the oldest entry goes. An answer that denies is kept as long as its SOA says (RFC
//! 2308); a failure is not kept.

use std::collections::VecDeque;
use std::time::Duration;

use foldhash::{HashMap, HashMapExt};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::time::Instant;

/// What answers depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    /// In lower case.
    pub(crate) name: Name,
    pub(crate) kind: RecordType,
    /// The client wants DNSSEC's records too.
    pub(crate) dnssec_ok: bool,
    /// The client checks signatures itself.
    pub(crate) checking_disabled: bool,
}

/// An answer without what belongs to one exchange: id, question, EDNS.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cached {
    pub(crate) response_code: ResponseCode,
    pub(crate) authentic_data: bool,
    pub(crate) answers: Vec<Record>,
    pub(crate) authorities: Vec<Record>,
    pub(crate) additionals: Vec<Record>,
}

#[derive(Debug)]
struct Entry {
    answer: Cached,
    since: Instant,
    until: Instant,
    /// Tells this entry from a later one of the same question.
    number: u64,
}

#[derive(Debug)]
pub(crate) struct Cache {
    entries: HashMap<Question, Entry>,
    /// Questions in the order in which they were put in.
    order: VecDeque<(Question, u64)>,
    entries_max: usize,
    seconds_max: u32,
    number: u64,
}

impl Cached {
    pub(crate) fn new(message: Message) -> Self {
        Self {
            response_code: message.metadata.response_code,
            authentic_data: message.metadata.authentic_data,
            answers: message.answers,
            authorities: message.authorities,
            additionals: message.additionals,
        }
    }

    pub(crate) fn failure(response_code: ResponseCode) -> Self {
        Self {
            response_code,
            authentic_data: false,
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
        }
    }

    fn records_mut(&mut self) -> impl Iterator<Item = &mut Record> {
        self.answers.iter_mut().chain(&mut self.authorities).chain(&mut self.additionals)
    }

    /// For how many seconds the answer holds; `None` if it must not be kept.
    fn seconds(&self) -> Option<u32> {
        let denies = match self.response_code {
            ResponseCode::NoError => self.answers.is_empty(),
            ResponseCode::NXDomain => true,
            _ => return None,
        };
        if denies {
            return self.authorities.iter().find_map(|record| match &record.data {
                RData::SOA(soa) => Some(soa.minimum.min(record.ttl)),
                _ => None,
            });
        }
        self.answers.iter().map(|record| record.ttl).min()
    }

    /// No record says more than this.
    fn limit(&mut self, seconds: u32) {
        for record in self.records_mut() {
            record.ttl = record.ttl.min(seconds);
        }
    }

    fn aged(&self, seconds: u32) -> Self {
        let mut aged = self.clone();
        for record in aged.records_mut() {
            record.ttl = record.ttl.saturating_sub(seconds);
        }
        aged
    }
}

impl Cache {
    pub(crate) fn new(entries_max: usize, seconds_max: u32) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), entries_max, seconds_max, number: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The answer with what is left of its time.
    pub(crate) fn get(&self, question: &Question, now: Instant) -> Option<Cached> {
        let entry = self.entries.get(question).filter(|entry| now < entry.until)?;
        Some(entry.answer.aged(u32::try_from((now - entry.since).as_secs()).unwrap_or(u32::MAX)))
    }

    pub(crate) fn put(&mut self, question: Question, answer: &Cached, now: Instant) {
        let Some(seconds) = answer.seconds().map(|seconds| seconds.min(self.seconds_max)) else { return };
        if seconds == 0 || self.entries_max == 0 {
            return;
        }
        let mut answer = answer.clone();
        answer.limit(self.seconds_max);
        self.number += 1;
        let until = now + Duration::from_secs(u64::from(seconds));
        self.order.push_back((question.clone(), self.number));
        self.entries.insert(question, Entry { answer, since: now, until, number: self.number });
        // Places of entries that were put in anew count too, so both stay bounded.
        while self.order.len() > self.entries_max {
            let Some((question, number)) = self.order.pop_front() else { return };
            if self.entries.get(&question).is_some_and(|entry| entry.number == number) {
                self.entries.remove(&question);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, SOA};

    use super::*;

    fn question(name: &str) -> Question {
        Question {
            name: Name::from_ascii(name).unwrap(),
            kind: RecordType::A,
            dnssec_ok: false,
            checking_disabled: false,
        }
    }

    fn address(ttl: u32) -> Record {
        Record::from_rdata(Name::root(), ttl, RData::A(A::new(1, 2, 3, 4)))
    }

    fn answer(ttl: u32) -> Cached {
        Cached { answers: vec![address(ttl)], ..Cached::failure(ResponseCode::NoError) }
    }

    #[tokio::test(start_paused = true)]
    async fn answers_age_and_end() {
        let mut cache = Cache::new(10, 30);
        let start = Instant::now();
        cache.put(question("a."), &answer(20), start);
        cache.put(question("b."), &answer(3600), start);
        cache.put(question("c."), &answer(0), start);
        let ttl = |cache: &Cache, name: &str, seconds: u64| {
            let answer = cache.get(&question(name), start + Duration::from_secs(seconds));
            answer.map(|answer| answer.answers[0].ttl)
        };
        assert_eq!((ttl(&cache, "a.", 5), ttl(&cache, "a.", 20)), (Some(15), None));
        assert_eq!((ttl(&cache, "b.", 29), ttl(&cache, "b.", 30)), (Some(1), None));
        assert_eq!(ttl(&cache, "c.", 0), None);
    }

    #[tokio::test(start_paused = true)]
    async fn denials_are_kept_as_the_soa_says_and_failures_are_not() {
        let mut cache = Cache::new(10, 30);
        let start = Instant::now();
        let soa = SOA::new(Name::root(), Name::root(), 1, 1, 1, 1, 7);
        let denial = Cached {
            authorities: vec![Record::from_rdata(Name::root(), 900, RData::SOA(soa))],
            ..Cached::failure(ResponseCode::NXDomain)
        };
        cache.put(question("a."), &denial, start);
        cache.put(question("b."), &Cached::failure(ResponseCode::NXDomain), start);
        cache.put(question("c."), &Cached::failure(ResponseCode::ServFail), start);
        assert!(cache.get(&question("a."), start + Duration::from_secs(6)).is_some());
        assert!(cache.get(&question("a."), start + Duration::from_secs(7)).is_none());
        assert_eq!(cache.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_goes() {
        let mut cache = Cache::new(2, 30);
        let start = Instant::now();
        for name in ["a.", "b.", "a.", "c."] {
            cache.put(question(name), &answer(20), start);
        }
        assert_eq!(cache.len(), 2);
        assert!(cache.get(&question("b."), start).is_none() && cache.get(&question("a."), start).is_some());
        assert!(cache.order.len() <= 2);
    }
}
