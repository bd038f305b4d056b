//! What makes a run repeatable, beside the seeds that components are handed ([`Chance`]).
//!
//! The order of a hash map follows from keys that the standard library asks the C library's `getrandom` for, once for each thread. This
//! crate defines that function for the programs that it is linked into: a thread that has called [`seed_thread`] is given
//! numbers that follow from its seed, every other thread what the kernel has.
//!
//! The order in which tokio wakes those who wait for one thing follows from the runtime's seed, and that from the runtimes that were made
//! before it in the process: [`Runtimes`] have numbers.
//!
//! (Keys of certificates come from the kernel directly; no decision depends on them.)

use std::cell::RefCell;

use tokio::runtime::{Builder, Runtime};
use windlass_api::Chance;

thread_local! {
    static THREAD: RefCell<Option<Chance>> = const { RefCell::new(None) };
}

/// Makes this thread's hash keys follow from `seed`. To be called before the thread has made its first hash map.
pub fn seed_thread(seed: u64) {
    THREAD.set(Some(Chance::seeded(seed)));
}

/// Runtimes of one thread on paused time.
#[derive(Debug)]
pub struct Runtimes {
    builder: Builder,
    next: u64,
}

impl Runtimes {
    /// To be called once in a process, before anything else has used tokio.
    pub fn first() -> Self {
        let builder = std::thread::spawn(|| {
            seed_thread(0);
            let mut builder = Builder::new_current_thread();
            builder.enable_time().start_paused(true);
            builder
        });
        Self { builder: builder.join().unwrap(), next: 0 }
    }

    /// The runtime of this number, which must be above those that were asked for before.
    pub fn numbered(&mut self, number: u64) -> Runtime {
        assert!(number >= self.next, "runtimes are made in the order of their numbers");
        while self.next < number {
            // Each that is made changes the seed of the next.
            drop(self.builder.build());
            self.next += 1;
        }
        self.next += 1;
        self.builder.build().unwrap()
    }
}

/// The C library's `getrandom`: programs that this crate is linked into call this one instead.
///
/// # Safety
///
/// As of the original: `buffer` must be valid for writes of `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(
    buffer: *mut libc::c_void,
    length: libc::size_t,
    flags: libc::c_uint,
) -> libc::ssize_t {
    // A thread that is ending has no thread-local values any more.
    let seeded = THREAD.try_with(|thread| thread.borrow().clone()).ok().flatten();
    let Some(chance) = seeded else {
        // SAFETY: the arguments are the caller's, who promises what the system call asks for.
        return unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) } as libc::ssize_t;
    };
    for offset in (0..length).step_by(8) {
        let value = chance.number().to_le_bytes();
        let count = value.len().min(length - offset);
        // SAFETY: the caller promises that `length` bytes may be written, and `offset + count` is not more.
        unsafe { buffer.cast::<u8>().add(offset).copy_from_nonoverlapping(value.as_ptr(), count) };
    }
    length as libc::ssize_t
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// The order of a hash set in a thread.
    fn order(seed: u64) -> Vec<u32> {
        let thread = std::thread::spawn(move || {
            seed_thread(seed);
            (0..100).collect::<HashSet<u32>>().into_iter().collect()
        });
        thread.join().unwrap()
    }

    #[test]
    fn a_seed_decides_the_order_of_hash_maps() {
        assert_eq!(order(7), order(7));
        assert_ne!(order(7), order(8));
    }
}
