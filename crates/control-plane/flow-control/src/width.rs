//! How wide a request is: how many seats its work takes. Source: apiserver `pkg/util/flowcontrol/request`.

use std::time::Duration;

/// What a seat stands for: so many bytes in memory, so many watchers that are told of a write.
const BYTES_PER_SEAT: usize = 100_000;
const WATCHERS_PER_SEAT: usize = 10;
/// A list is written piece by piece, and never all in memory.
const LIST_BYTES_MAX: usize = 1_000_000;
const WRITE_SEATS_MAX: usize = 10;
const LIST_SEATS_MAX: usize = 100;
/// Telling watchers of a write takes so long for each seat.
const EVENT: Duration = Duration::from_millis(5);

/// The seats of a request, and those that it leaves behind for a while: its watchers are still being told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width {
    pub seats: usize,
    pub seats_after: usize,
    pub after: Duration,
}

/// What a list or the beginning of a watch looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListWork {
    pub objects: usize,
    pub bytes_each: usize,
    /// 0 for none.
    pub limit: usize,
    /// The selector names the object.
    pub is_of_one: bool,
}

impl Width {
    /// Most requests.
    pub const ONE: Self = Self { seats: 1, seats_after: 0, after: Duration::ZERO };

    pub fn of_list(work: ListWork, seats_max: usize) -> Self {
        let objects = match work {
            ListWork { is_of_one: true, .. } => 1,
            ListWork { limit: 0, objects, .. } => objects,
            ListWork { limit, objects, .. } => objects.min(limit),
        };
        let bytes = objects.saturating_mul(work.bytes_each).min(LIST_BYTES_MAX);
        let seats_max = bounded(seats_max, LIST_SEATS_MAX);
        Self { seats: bytes.div_ceil(BYTES_PER_SEAT).clamp(1, seats_max), ..Self::ONE }
    }

    pub fn of_write(watchers: usize, seats_max: usize) -> Self {
        if watchers < WATCHERS_PER_SEAT {
            return Self::ONE;
        }
        let seats = watchers.div_ceil(WATCHERS_PER_SEAT);
        let seats_after = seats.min(bounded(seats_max, WRITE_SEATS_MAX));
        // As much work in all, on fewer seats for longer.
        let after = EVENT.mul_f64(seats as f64 / seats_after as f64);
        Self { seats: 1, seats_after, after }
    }

    pub(crate) fn seats_held(self) -> usize {
        self.seats.max(self.seats_after)
    }
}

/// 0 stands for no bound of the level.
fn bounded(of_level: usize, of_kind: usize) -> usize {
    if of_level == 0 { of_kind } else { of_level.min(of_kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_as_wide_as_what_they_read() {
        let of = |objects, bytes_each, limit| {
            Width::of_list(ListWork { objects, bytes_each, limit, is_of_one: false }, 0).seats
        };
        assert_eq!([of(0, 0, 0), of(100, 1000, 0), of(101, 1000, 0), of(10_000, 1000, 500)], [1, 1, 2, 5]);
        assert_eq!(of(100_000, 1000, 0), 10, "it is written in pieces");
        let work = ListWork { objects: 100_000, bytes_each: 1000, limit: 0, is_of_one: false };
        assert_eq!(Width::of_list(work, 4).seats, 4);
        assert_eq!(Width::of_list(ListWork { is_of_one: true, ..work }, 0).seats, 1);
    }

    #[test]
    fn writes_leave_work_behind() {
        assert_eq!(Width::of_write(9, 0), Width::ONE);
        let some = Width::of_write(95, 0);
        assert_eq!((some.seats, some.seats_after, some.after), (1, 10, EVENT));
        let many = Width::of_write(1000, 0);
        assert_eq!((many.seats_after, many.after), (10, EVENT * 10));
    }
}
