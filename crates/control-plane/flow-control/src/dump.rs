//! Pages for people who look into it: `/debug/api_priority_and_fairness/…`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::level::Level;

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    PriorityLevels,
    Queues,
    /// The requests that wait.
    Requests,
}

impl Page {
    /// The page of a path's last part.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "dump_priority_levels" => Some(Self::PriorityLevels),
            "dump_queues" => Some(Self::Queues),
            "dump_requests" => Some(Self::Requests),
            _ => None,
        }
    }

    fn head(self) -> &'static [&'static str] {
        match self {
            Self::PriorityLevels => &[
                "PriorityLevelName",
                "ActiveQueues",
                "IsIdle",
                "IsQuiescing",
                "WaitingRequests",
                "ExecutingRequests",
                "DispatchedRequests",
                "RejectedRequests",
                "TimedoutRequests",
                "CancelledRequests",
            ],
            Self::Queues => &[
                "PriorityLevelName",
                "Index",
                "PendingRequests",
                "ExecutingRequests",
                "SeatsInUse",
                "NextDispatchR",
                "InitialSeatsSum",
                "MaxSeatsSum",
                "TotalWorkSum",
            ],
            Self::Requests => &[
                "PriorityLevelName",
                "FlowSchemaName",
                "QueueIndex",
                "RequestIndexInQueue",
                "FlowDistingsher",
                "WaitsFor",
                "InitialSeats",
                "FinalSeats",
                "AdditionalLatency",
            ],
        }
    }
}

pub(crate) fn page(levels: &BTreeMap<String, Arc<Level>>, page: Page) -> String {
    let mut rows = vec![page.head().iter().map(ToString::to_string).collect()];
    for (name, level) in levels {
        match page {
            Page::PriorityLevels => rows.push(of_level(name, level)),
            Page::Queues => rows.extend(of_queues(name, level)),
            Page::Requests => rows.extend(of_requests(name, level)),
        }
    }
    aligned(&rows)
}

fn of_level(name: &str, level: &Level) -> Vec<String> {
    let seen = level.queues.snapshot();
    let active = seen.queues.iter().filter(|queue| queue.waiting > 0).count();
    let is_idle = seen.waiting == 0 && seen.executing == 0;
    let counts = seen.counts;
    let numbers = [seen.waiting as u64, seen.executing as u64, counts.dispatched, counts.rejected, 0, counts.cancelled];
    let words = [name.to_owned(), active.to_string(), is_idle.to_string(), "false".to_owned()];
    words.into_iter().chain(numbers.map(|number| number.to_string())).collect()
}

fn of_queues(name: &str, level: &Level) -> Vec<Vec<String>> {
    let queues = level.queues.snapshot().queues.into_iter().enumerate();
    let row = |(index, queue): (usize, crate::queue_set::QueueSnapshot)| {
        let numbers = [index, queue.waiting, queue.executing, queue.seats_in_use];
        let mut row = vec![name.to_owned()];
        row.extend(numbers.map(|number| number.to_string()));
        row.push(format!("{:.8}ss", queue.virtual_start));
        row.extend([queue.seats_waiting, queue.seats_waiting].map(|seats| seats.to_string()));
        row.push(format!("{:.8}ss", queue.work_waiting));
        row
    };
    queues.map(row).collect()
}

fn of_requests(name: &str, level: &Level) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (index, queue) in level.queues.snapshot().queues.into_iter().enumerate() {
        for (place, request) in queue.requests.into_iter().enumerate() {
            rows.push(vec![
                name.to_owned(),
                request.flow.to_string(),
                index.to_string(),
                place.to_string(),
                request.distinguisher.to_string(),
                format!("{:?}", request.waits_for),
                request.width.seats.to_string(),
                request.width.seats_after.to_string(),
                format!("{:?}", request.width.after),
            ]);
        }
    }
    rows
}

/// Columns with commas, each as wide as its widest cell.
fn aligned(rows: &[Vec<String>]) -> String {
    const NARROWEST: usize = 8;
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count() + 2);
        cells.max().unwrap_or_default().max(NARROWEST)
    };
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            if column + 1 == row.len() {
                text.push_str(cell);
            } else {
                text.push_str(&format!("{:<width$}", format!("{cell},"), width = widths[column]));
            }
        }
        text.push('\n');
    }
    text
}
