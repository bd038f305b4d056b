//! What a run does beyond what it is charged for.
//!
//! Upstream counts no more than the outermost list when nested ones are compared, and nothing for what `replace` or `join` make a string
//! grow by, so that little cost can stand for any amount of work or memory. Such work has a bound of its own here, far from what an
//! expression needs; what exceeds it ends as if the cost had been exceeded.

use std::cell::Cell;

use crate::error::Error;

/// Elements that are looked at and bytes that are made in one run.
const UNITS_MAX: u64 = 10_000_000;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// Runs what may do so much work, and no more.
pub(crate) fn bounded<T>(run: impl FnOnce() -> T) -> T {
    let before = LEFT.replace(UNITS_MAX);
    let result = run();
    LEFT.set(before);
    result
}

/// Takes what work needs, before it is done.
pub(crate) fn spend(units: usize) -> Result<(), Error> {
    let left = LEFT.get().saturating_sub(units as u64);
    LEFT.set(left);
    if left == 0 { Err(Error::Budget) } else { Ok(()) }
}

pub(crate) fn is_exhausted() -> bool {
    LEFT.get() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_ends() {
        assert_eq!(bounded(|| (spend(UNITS_MAX as usize - 1), is_exhausted())), (Ok(()), false));
        assert_eq!(bounded(|| (spend(UNITS_MAX as usize), is_exhausted())), (Err(Error::Budget), true));
        assert_eq!(spend(UNITS_MAX as usize), Ok(()), "outside of runs");
    }
}
