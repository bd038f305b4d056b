//! One source's way to its certificate, and from one certificate to the next. Pure.
//!
//! ```text
//!             ask             answer             time, ask
//!   Nothing ──────► Asked ──────────────► Issued ──────────► Renewing
//!      ▲              │ │                    ▲ ▲                │ │
//!      └── lost ──────┘ │                    │ └─── answer, lost┘ │
//!                       └──► Refused ◄───────┴──── refusal ───────┘
//! ```
//!
//! A request is *lost* when nobody can see it any more although it was made long ago: somebody has deleted it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use windlass_api::text::quoted;
use windlass_volumes::Credentials;

use super::answer::{Answer, Refusal, RefusalKind};

/// A request that has not been seen for so long, and some jitter, is lost. Until then the cache may only be late.
pub(super) const LOST_AFTER: Duration = Duration::from_secs(600);
/// A renewal that takes longer is told.
const OVERDUE_AFTER: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(super) enum State {
    #[default]
    Nothing,
    Asked(Asked),
    Issued(Issued),
    Renewing(Issued, Asked),
    Refused(Refusal),
}

/// A request that was made.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Its name, in the pod's namespace.
    pub(super) request: String,
    /// The private key in PEM.
    pub(super) key: String,
    pub(super) lost_at: Timestamp,
}

#[derive(Debug, Clone)]
pub(super) struct Issued {
    credentials: Arc<Credentials>,
    refresh_at: Timestamp,
    not_after: Timestamp,
    told_overdue: bool,
    told_expired: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Ask,
    /// Nothing until then, unless there is an answer.
    At(Timestamp),
    /// Nothing ever.
    Nothing,
}

/// What the pod's owner ought to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    Refused { request: String, refusal: Refusal },
    Overdue,
    Expired,
}

impl State {
    /// The name of the request whose answer is awaited.
    pub(super) fn awaited(&self) -> Option<&str> {
        match self {
            Self::Asked(asked) | Self::Renewing(_, asked) => Some(&asked.request),
            Self::Nothing | Self::Issued(_) | Self::Refused(_) => None,
        }
    }

    /// Takes note of the time and of what is shown of the awaited request, `None` if it is not shown at all. `jitter` keeps pods
    /// that came together from renewing together. Returns whether the credentials are others now, and what is to be told.
    pub(super) fn observe(&mut self, shown: Option<Answer>, jitter: Duration, now: Timestamp) -> (bool, Vec<Notice>) {
        let mut notices = Vec::new();
        let (is_news, next) = match (std::mem::take(self), shown) {
            (Self::Asked(asked), None) if now >= asked.lost_at => (false, Self::Nothing),
            (Self::Renewing(issued, asked), None) if now >= asked.lost_at => (false, Self::Issued(issued)),
            (Self::Asked(asked) | Self::Renewing(_, asked), Some(Answer::Refused(refusal))) => {
                notices.push(Notice::Refused { request: asked.request, refusal: refusal.clone() });
                (true, Self::Refused(refusal))
            }
            (
                Self::Asked(asked) | Self::Renewing(_, asked),
                Some(Answer::Issued { chain, begin_refresh_at, not_after }),
            ) => {
                let issued = Issued {
                    credentials: Arc::new(Credentials { key: asked.key, chain }),
                    refresh_at: begin_refresh_at.saturating_add(jitter).unwrap_or(begin_refresh_at),
                    not_after,
                    told_overdue: false,
                    told_expired: false,
                };
                (true, Self::Issued(issued))
            }
            (state, _) => (false, state),
        };
        *self = next;
        match self {
            Self::Issued(issued) | Self::Renewing(issued, _) => issued.notice(now, &mut notices),
            Self::Nothing | Self::Asked(_) | Self::Refused(_) => {}
        }
        (is_news, notices)
    }

    pub(super) fn next(&self, now: Timestamp) -> Next {
        // Once a request that is still there may be lost, only its end or an answer matters, and both are seen.
        let (issued, asked) = match self {
            Self::Nothing => return Next::Ask,
            Self::Issued(issued) if now >= issued.refresh_at => return Next::Ask,
            Self::Issued(issued) => return Next::At(issued.refresh_at),
            Self::Asked(asked) => (None, asked),
            Self::Renewing(issued, asked) => (Some(issued), asked),
            Self::Refused(_) => return Next::Nothing,
        };
        let untold = issued.map(|issued| [issued.overdue_at(), issued.not_after]).into_iter().flatten();
        let times = untold.chain([asked.lost_at]).filter(|at| *at > now);
        times.min().map_or(Next::Nothing, Next::At)
    }

    /// A request was made, as [`Next::Ask`] says.
    pub(super) fn asked(&mut self, asked: Asked) {
        *self = match std::mem::take(self) {
            Self::Issued(issued) | Self::Renewing(issued, _) => Self::Renewing(issued, asked),
            Self::Nothing | Self::Asked(_) => Self::Asked(asked),
            Self::Refused(refusal) => Self::Refused(refusal),
        };
    }

    /// The key and certificate that are in use, or why there are none.
    pub(super) fn credentials(&self) -> Result<Arc<Credentials>, String> {
        match self {
            Self::Nothing | Self::Asked(_) => Err("credential bundle is not issued yet".to_owned()),
            Self::Issued(issued) | Self::Renewing(issued, _) => Ok(issued.credentials.clone()),
            Self::Refused(Refusal { kind, reason, message }) => {
                let how = match kind {
                    RefusalKind::Denied => "denied",
                    RefusalKind::Failed => "failed",
                };
                let (reason, message) = (quoted(reason), quoted(message));
                Err(format!("PodCertificateRequest was permanently {how}: reason={reason} message={message}"))
            }
        }
    }

    /// The state as the kubelet's metrics name it.
    pub(super) fn metric(&self, now: Timestamp) -> &'static str {
        match self {
            Self::Nothing | Self::Asked(_) => "not_yet_issued",
            Self::Refused(Refusal { kind: RefusalKind::Denied, .. }) => "denied",
            Self::Refused(_) => "failed",
            Self::Issued(issued) | Self::Renewing(issued, _) if now > issued.not_after => "expired",
            Self::Issued(issued) | Self::Renewing(issued, _) if now > issued.overdue_at() => "overdue_for_refresh",
            Self::Issued(_) | Self::Renewing(..) => "fresh",
        }
    }
}

impl Issued {
    fn overdue_at(&self) -> Timestamp {
        self.refresh_at.saturating_add(OVERDUE_AFTER).unwrap_or(Timestamp::MAX)
    }

    /// Each is told once.
    fn notice(&mut self, now: Timestamp, notices: &mut Vec<Notice>) {
        if now >= self.overdue_at() && !std::mem::replace(&mut self.told_overdue, true) {
            notices.push(Notice::Overdue);
        }
        if now >= self.not_after && !std::mem::replace(&mut self.told_expired, true) {
            notices.push(Notice::Expired);
        }
    }
}
