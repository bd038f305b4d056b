//! How much memory something takes: an allocator that counts.
//!
//! The counts are of the whole process, so one thing is measured at a time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// What any input may take, however short: tables that are built once, buffers of fixed size.
const BASE_BYTES: usize = 16 << 20;
/// What each byte of input may take. A number of two characters becomes a value of 72 bytes in the worst map, and is there thrice while a
/// vector grows.
const FACTOR: usize = 512;

/// The system's allocator, counted. A program that measures names it as its global allocator.
pub struct Counting;

fn add(bytes: usize) {
    let now = NOW.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(now, Relaxed);
}

// SAFETY: every call goes to the system's allocator as it came; the counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promises about the layout are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the memory came from this allocator, which is the system's.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        add(new_size);
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the memory came from this allocator, which is the system's, and the layout is the caller's.
        unsafe { System.realloc(memory, layout, new_size) }
    }
}

/// Runs something that reads `input_bytes`, and panics when it took more memory than such an input may.
pub(crate) fn bounded<T>(input_bytes: usize, run: impl FnOnce() -> T) -> T {
    bounded_by(BASE_BYTES + FACTOR * input_bytes, run)
}

/// Runs something, and panics when it took more than so many bytes at once.
pub(crate) fn bounded_by<T>(bytes_max: usize, run: impl FnOnce() -> T) -> T {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = run();
    let taken = PEAK.load(Relaxed).saturating_sub(before);
    assert!(taken <= bytes_max, "{taken} bytes of memory were taken, and {bytes_max} are allowed");
    result
}
