//! Hash keys that a seed decides.
//!
//! Components are handed their dice ([`Chance`]), but the order of a hash map, and tokio's choice among ready branches, follow from
//! keys that the standard library asks the C library's `getrandom` for, once for each thread. This crate defines that function for the programs
//! that it is linked into. A thread that has called [`seed_thread`] is given numbers that follow from its seed, every other thread what the
//! kernel has. So a single-threaded runtime on such a thread does the same whenever it is given the same seed. (Keys of certificates
//! come from the kernel directly; no decision depends on them.)

use std::cell::RefCell;

use windlass_api::Chance;

thread_local! {
    static THREAD: RefCell<Option<Chance>> = const { RefCell::new(None) };
}

/// Makes this thread's hash keys follow from `seed`. To be called before the thread has made its first hash map.
pub fn seed_thread(seed: u64) {
    THREAD.set(Some(Chance::seeded(seed)));
}

/// The C library's `getrandom`: programs that this crate is linked into call this one instead.
///
/// # Safety
///
/// As of the original: `buffer` must be valid for writes of `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut libc::c_void, length: libc::size_t, flags: libc::c_uint) -> libc::ssize_t {
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
