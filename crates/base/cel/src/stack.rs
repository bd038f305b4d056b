//! Room for recursion over expressions that nest deep.
//!
//! Expressions nest as deep as the grammar's bounds allow, which is deeper than the stacks of most threads can take. Few do, so those get
//! a thread of their own.

use std::thread;

/// How deep is not deep.
const SHALLOW_MAX: usize = 40;
/// Memory is only used as far as the stack grows.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// Does the work where there is room for it; nothing, if no thread can be had.
pub fn with_room<T: Send>(depth: usize, work: impl FnOnce() -> T + Send) -> Option<T> {
    if depth <= SHALLOW_MAX {
        return Some(work());
    }
    thread::scope(|scope| {
        let builder = thread::Builder::new().name("cel".to_owned()).stack_size(STACK_BYTES);
        builder.spawn_scoped(scope, work).ok()?.join().ok()
    })
}
