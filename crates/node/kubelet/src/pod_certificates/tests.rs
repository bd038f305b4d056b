//! The machine of one source, step by step.

use std::time::Duration;

use jiff::Timestamp;

use super::answer::{Answer, Refusal, RefusalKind};
use super::state::{Asked, Next, Notice, State};

const NO_JITTER: Duration = Duration::ZERO;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn asked(request: &str) -> Asked {
    Asked { request: request.into(), key: format!("key of {request}\n"), lost_at: at(600) }
}

fn issued(begin_refresh_at: i64, not_after: i64) -> Option<Answer> {
    let chain = format!("until {not_after}\n");
    Some(Answer::Issued { chain, begin_refresh_at: at(begin_refresh_at), not_after: at(not_after) })
}

fn refused(kind: RefusalKind) -> Refusal {
    Refusal { kind, reason: "Because".into(), message: "of \"it\"".into() }
}

/// A source that has a certificate until second 7200, which is renewed from second 3600 on.
fn with_certificate() -> State {
    let mut state = State::default();
    state.asked(asked("one"));
    assert_eq!(state.observe(issued(3000, 7200), Duration::from_secs(600), at(10)), (true, vec![]));
    state
}

fn chain(state: &State) -> String {
    state.credentials().unwrap().chain.clone()
}

#[test]
fn asked_for_and_issued() {
    let mut state = State::default();
    assert_eq!((state.next(at(0)), state.awaited(), state.metric(at(0))), (Next::Ask, None, "not_yet_issued"));
    assert_eq!(state.credentials().unwrap_err(), "credential bundle is not issued yet");
    state.asked(asked("one"));
    assert_eq!((state.next(at(0)), state.awaited()), (Next::At(at(600)), Some("one")));
    // The cache does not show it yet, and then shows it without an answer.
    for shown in [None, Some(Answer::None)] {
        assert_eq!(state.observe(shown, NO_JITTER, at(1)), (false, vec![]));
    }
    assert_eq!(state.observe(issued(3000, 7200), Duration::from_secs(600), at(10)), (true, vec![]));
    assert_eq!((state.next(at(10)), state.metric(at(10))), (Next::At(at(3600)), "fresh"));
    let credentials = state.credentials().unwrap();
    assert_eq!((credentials.key.as_str(), credentials.chain.as_str()), ("key of one\n", "until 7200\n"));
}

#[test]
fn a_request_that_is_lost_is_made_again() {
    let mut state = State::default();
    state.asked(asked("one"));
    assert_eq!(state.observe(None, NO_JITTER, at(599)), (false, vec![]));
    assert_eq!(state.next(at(599)), Next::At(at(600)));
    // It is still there: nobody has answered, and nobody has deleted it.
    assert_eq!(state.observe(Some(Answer::None), NO_JITTER, at(600)), (false, vec![]));
    assert_eq!(state.next(at(600)), Next::Nothing);
    assert_eq!(state.observe(None, NO_JITTER, at(900)), (false, vec![]));
    assert_eq!(state.next(at(900)), Next::Ask);
}

#[test]
fn renewed_with_another_key() {
    let mut state = with_certificate();
    assert_eq!(state.observe(None, NO_JITTER, at(3599)), (false, vec![]));
    assert_eq!((state.next(at(3599)), state.next(at(3600))), (Next::At(at(3600)), Next::Ask));
    state.asked(Asked { lost_at: at(4300), ..asked("two") });
    assert_eq!((state.awaited(), chain(&state)), (Some("two"), "until 7200\n".into()));
    assert_eq!(state.next(at(3600)), Next::At(at(4200)), "when it is overdue");
    assert_eq!(state.observe(issued(9000, 10_800), NO_JITTER, at(3700)), (true, vec![]));
    assert_eq!((state.credentials().unwrap().key.as_str(), state.next(at(3700))), ("key of two\n", Next::At(at(9000))));
}

#[test]
fn a_renewal_that_takes_its_time() {
    let mut state = with_certificate();
    state.asked(Asked { lost_at: at(4300), ..asked("two") });
    let still = Some(Answer::None);
    assert_eq!(state.observe(still.clone(), NO_JITTER, at(4200)), (false, vec![Notice::Overdue]));
    assert_eq!((state.metric(at(4200)), state.metric(at(4201))), ("fresh", "overdue_for_refresh"));
    assert_eq!(state.next(at(4200)), Next::At(at(4300)));
    assert_eq!(state.next(at(4300)), Next::At(at(7200)), "when it expires");
    assert_eq!(state.observe(still.clone(), NO_JITTER, at(7200)), (false, vec![Notice::Expired]));
    assert_eq!(state.observe(still, NO_JITTER, at(7201)), (false, vec![]), "each is told once");
    assert_eq!((state.metric(at(7201)), state.next(at(7201))), ("expired", Next::Nothing));
    // The old one stays in use until the request is lost and another one is answered.
    assert_eq!(state.observe(None, NO_JITTER, at(7300)), (false, vec![]));
    assert_eq!((state.next(at(7300)), chain(&state)), (Next::Ask, "until 7200\n".into()));
    state.asked(asked("three"));
    assert_eq!(state.observe(issued(9000, 10_800), NO_JITTER, at(7400)), (true, vec![]));
    assert_eq!(state.metric(at(7400)), "fresh");
}

#[test]
fn nobody_asks_again_after_a_refusal() {
    for (kind, metric, how) in [(RefusalKind::Denied, "denied", "denied"), (RefusalKind::Failed, "failed", "failed")] {
        for mut state in [State::default(), with_certificate()] {
            state.asked(asked("last"));
            let notice = Notice::Refused { request: "last".into(), refusal: refused(kind) };
            assert_eq!(state.observe(Some(Answer::Refused(refused(kind))), NO_JITTER, at(20)), (true, vec![notice]));
            assert_eq!((state.next(at(99_999)), state.metric(at(20))), (Next::Nothing, metric));
            assert_eq!(
                state.credentials().unwrap_err(),
                format!("PodCertificateRequest was permanently {how}: reason=\"Because\" message=\"of \\\"it\\\"\"")
            );
            assert_eq!(state.observe(None, NO_JITTER, at(99_999)), (false, vec![]));
            state.asked(asked("another"));
            assert_eq!(state.awaited(), None);
        }
    }
}
