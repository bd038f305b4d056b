//! Whether a CronJob is due. Pure functions.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use windlass_api::cron::{Schedule, time_zone};
use windlass_api::time::rfc3339;
use windlass_api::{OwnerReference, Timestamp};

use super::view::CronJob;

const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// Clocks are not exact: it is looked again a little after the time.
const PADDING: Duration = Duration::from_millis(100);
/// More missed times than this are worth a warning.
const MISSED_MAX: i64 = 100;
/// Times that are gone through one by one.
const STEPS_MAX: usize = 100;

/// What has been missed since the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missed {
    /// The latest time that is due.
    pub latest: Option<Timestamp>,
    pub many: bool,
    any: bool,
    since: Timestamp,
}

/// The schedule has no two times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NeverDue;

pub(super) fn missed(cron: &CronJob, schedule: &Schedule, now: Timestamp, to_start: bool) -> Result<Missed, NeverDue> {
    let mut since = cron.since().unwrap_or(now);
    if let Some(seconds) = cron.spec.starting_deadline_seconds.filter(|_| to_start) {
        // What is too late to be started does not count.
        let horizon = now.checked_sub(Duration::from_secs(seconds.unsigned_abs())).unwrap_or(since);
        since = since.max(horizon);
    }
    let none = Missed { latest: None, many: false, any: false, since };
    let first = schedule.next(since).ok_or(NeverDue)?;
    let second = schedule.next(first).ok_or(NeverDue)?;
    if now < first {
        return Ok(none);
    }
    if now < second {
        return Ok(Missed { latest: Some(first), ..none });
    }
    let interval = second.duration_since(first).as_secs().max(1);
    let count = now.duration_since(first).as_secs() / interval + 1;
    // Not all of them are gone through: only those after a time that is certainly near the last.
    let seconds = (count - 2).saturating_mul(interval);
    let start = Timestamp::from_second(first.as_second().saturating_add(seconds)).unwrap_or(first);
    Ok(Missed { latest: latest_due(schedule, start, now), many: count > MISSED_MAX, any: true, since })
}

/// The last time after `start` that is not after `now`. A few times are gone through. When there are more (the two intervals may be
/// months, with every minute of other months in between) the last is found by halving: only schedules of `@every` do not allow that,
/// for their times depend on where one starts, and they have few.
fn latest_due(schedule: &Schedule, start: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let due_after = |at: Timestamp| schedule.next(at).filter(|at| *at <= now);
    let mut latest = due_after(start)?;
    for _ in 0..STEPS_MAX {
        match due_after(latest) {
            Some(next) => latest = next,
            None => return Some(latest),
        }
    }
    let (mut low, mut high) = (latest.as_second(), now.as_second());
    while low < high {
        let middle = low + (high - low) / 2;
        match Timestamp::from_second(middle).ok().and_then(due_after) {
            Some(next) => {
                latest = next;
                low = next.as_second().max(middle + 1);
            }
            None => high = middle,
        }
    }
    Some(latest)
}

/// How long until the next time.
pub(super) fn wait(cron: &CronJob, schedule: &Schedule, now: Timestamp) -> Option<Duration> {
    let from = match missed(cron, schedule, now, false) {
        Ok(Missed { latest: Some(latest), .. }) => latest,
        Ok(Missed { any: false, since, .. }) => since,
        _ => now,
    };
    let next = schedule.next(from)?;
    Some(Duration::try_from(next.duration_since(now)).unwrap_or_default() + PADDING)
}

pub(super) fn is_too_late(cron: &CronJob, at: Timestamp, now: Timestamp) -> bool {
    let late = now.duration_since(at);
    cron.spec.starting_deadline_seconds.is_some_and(|seconds| late > SignedDuration::from_secs(seconds))
}

/// The name of the job for a time, so that none is made twice.
pub(super) fn job_name(cron: &CronJob, at: Timestamp) -> String {
    format!("{}-{}", cron.metadata.name, at.as_second() / 60)
}

/// The job for a time.
pub(super) fn job(cron: &CronJob, owner: &OwnerReference, at: Timestamp) -> Value {
    let template = &cron.spec.job_template;
    let mut annotations = template.metadata.annotations.clone();
    annotations.insert(SCHEDULED.to_owned(), in_zone(at, cron.spec.time_zone.as_deref().unwrap_or_default()));
    json!({
        "metadata": {"name": job_name(cron, at), "namespace": cron.metadata.namespace,
            "labels": template.metadata.labels, "annotations": annotations, "ownerReferences": [owner]},
        "spec": template.spec,
    })
}

/// RFC 3339 with the offset that the zone has then.
fn in_zone(at: Timestamp, zone: &str) -> String {
    let local = time_zone(zone).map(|zone| at.to_zoned(zone)).ok().filter(|local| !local.offset().is_zero());
    local.map_or_else(|| rfc3339(at), |local| local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use windlass_api::time::parse_rfc3339;

    use super::*;

    fn at(text: &str) -> Timestamp {
        parse_rfc3339(&format!("2026-11-21T{text}Z")).unwrap()
    }

    fn cron(schedule: &str, deadline: Option<i64>) -> (CronJob, Schedule) {
        let cron = json!({
            "metadata": {"name": "c", "creationTimestamp": "2026-11-21T06:00:30Z"},
            "spec": {"schedule": schedule, "startingDeadlineSeconds": deadline},
        });
        (serde_json::from_value(cron).unwrap(), Schedule::parse(schedule, TimeZone::UTC).unwrap())
    }

    #[test]
    fn due() {
        for (schedule, deadline, now, expected, many) in [
            ("* * * * *", None, "06:00:40", None, false),
            ("* * * * *", None, "06:01:00", Some("06:01:00"), false),
            ("* * * * *", None, "06:05:10", Some("06:05:00"), false),
            ("* * * * *", None, "09:05:10", Some("09:05:00"), true),
            ("* * * * *", Some(90), "09:05:10", Some("09:05:00"), false),
            ("0 * * * *", Some(90), "09:05:10", None, false),
            ("30 6-16/4 * * *", None, "15:00:00", Some("14:30:00"), false),
            ("@every 5m", None, "06:12:00", Some("06:10:30"), false),
        ] {
            let (cron, parsed) = cron(schedule, deadline);
            let missed = missed(&cron, &parsed, at(now), true).unwrap();
            assert_eq!((missed.latest, missed.many), (expected.map(at), many), "{schedule} {deadline:?} {now}");
        }
        let (never, parsed) = cron("59 23 31 2 *", None);
        assert_eq!(missed(&never, &parsed, at("07:00:00"), true), Err(NeverDue));
    }

    #[test]
    fn the_last_time_is_found_in_few_steps() {
        let day = |text: &str| parse_rfc3339(text).unwrap();
        let (start, now) = (day("2025-07-01T00:00:30Z"), day("2026-11-21T06:00:59Z"));
        for (schedule, expected) in [
            ("* * * 1-6 *", "2026-06-30T23:59:00Z"),
            ("* * * * *", "2026-11-21T06:00:00Z"),
            ("7 3 * * 1", "2026-11-16T03:07:00Z"),
            ("* * 29 2 *", ""),
        ] {
            let parsed = Schedule::parse(schedule, TimeZone::UTC).unwrap();
            let expected = (!expected.is_empty()).then(|| day(expected));
            assert_eq!(latest_due(&parsed, start, now), expected, "{schedule}");
        }
        // As found by going through all of them.
        let parsed = Schedule::parse("*/2 8-17 * * 1-5", TimeZone::UTC).unwrap();
        for seconds in (0..7 * 24 * 3600).step_by(5393) {
            let now = day("2026-11-14T00:00:00Z") + Duration::from_secs(seconds);
            let start = day("2026-11-12T00:00:00Z");
            let all = std::iter::successors(parsed.next(start), |at| parsed.next(*at));
            assert_eq!(latest_due(&parsed, start, now), all.take_while(|at| *at <= now).last(), "{now}");
        }
    }

    #[test]
    fn waits_for_the_next_time() {
        let (cron, parsed) = cron("* * * * *", None);
        assert_eq!(wait(&cron, &parsed, at("06:00:40")), Some(Duration::from_millis(20_100)));
        assert_eq!(wait(&cron, &parsed, at("06:05:10")), Some(Duration::from_millis(50_100)));
    }

    #[test]
    fn a_job_for_a_time() {
        let (mut cron, _) = cron("* * * * *", None);
        let made = job(&cron, &OwnerReference::default(), at("06:01:00"));
        assert_eq!(made["metadata"]["name"], "c-29920681");
        assert_eq!(made["metadata"]["annotations"][SCHEDULED], "2026-11-21T06:01:00Z");
        cron.spec.time_zone = Some("Asia/Kolkata".to_owned());
        let made = job(&cron, &OwnerReference::default(), at("06:01:00"));
        assert_eq!(made["metadata"]["annotations"][SCHEDULED], "2026-11-21T11:31:00+05:30");
    }
}
