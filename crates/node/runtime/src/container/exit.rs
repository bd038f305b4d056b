//! The end of a container: what is remembered of it, who is told, what is cleaned up.

use std::sync::Arc;

use windlass_api::text::with_causes;
use windlass_cri::ContainerEventKind;

use super::{Container, Phase};
use crate::core::Core;
use crate::store::Exit;
use crate::supervisor::protocol::ExitRecord;

/// What containerd reports of a container whose end nobody has seen.
const UNKNOWN_EXIT_CODE: i32 = 255;
const UNKNOWN_REASON: &str = "Unknown";

/// The supervisor has seen a container end. Does not wait for anything.
pub(crate) fn ended(core: &Arc<Core>, container: &Arc<Container>, record: ExitRecord) {
    {
        let mut state = container.state.lock();
        match &mut state.phase {
            // Whoever starts it goes on from there, so that its start is told before its end.
            Phase::Starting { ended } => {
                *ended = Some(record);
                return;
            }
            Phase::Exited => return,
            Phase::Created | Phase::Running { .. } | Phase::Unknown => {}
        }
    }
    finish(core, container, from_record(&record));
}

pub(crate) fn from_record(record: &ExitRecord) -> Exit {
    Exit {
        code: record.exit_code,
        reason: reason(record).to_owned(),
        message: String::new(),
        finished_at: record.finished_at,
    }
}

fn reason(record: &ExitRecord) -> &'static str {
    match record {
        ExitRecord { exit_code: 0, .. } => "Completed",
        ExitRecord { oom_killed: true, .. } => "OOMKilled",
        _ => "Error",
    }
}

/// The end of a container that was lost: its supervisor died, or the machine was booted since.
pub(crate) fn unknown(message: &str, finished_at: i64) -> Exit {
    Exit { code: UNKNOWN_EXIT_CODE, reason: UNKNOWN_REASON.to_owned(), message: message.to_owned(), finished_at }
}

/// Remembers how it ended, tells everybody, and cleans up behind it in the background.
pub(crate) fn finish(core: &Arc<Core>, container: &Arc<Container>, exit: Exit) {
    {
        let mut state = container.state.lock();
        if matches!(state.phase, Phase::Exited) {
            return;
        }
        state.phase = Phase::Exited;
        state.file.exit = Some(exit.clone());
    }
    container.root.lock().take();
    container.ended.send_replace(Some(exit));
    core.events.send(&container.id, &container.sandbox_id, &container.pod_uid, ContainerEventKind::Stopped);
    let (core, container) = (core.clone(), container.clone());
    tokio::task::spawn_blocking(move || {
        let saved = container.save(&core).map_err(|error| with_causes(&error));
        let removed = container.cgroup(&core).remove().map_err(|error| with_causes(&error));
        for error in [saved, removed].into_iter().filter_map(Result::err) {
            tracing::warn!(container = container.id, error, "an ended container was not cleaned up entirely");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons() {
        for (exit_code, oom_killed, wanted) in [
            (0, false, "Completed"),
            // A child was killed, and the first process did not mind.
            (0, true, "Completed"),
            (1, false, "Error"),
            (137, false, "Error"),
            (137, true, "OOMKilled"),
        ] {
            assert_eq!(reason(&ExitRecord { exit_code, oom_killed, finished_at: 0 }), wanted);
        }
    }
}
