//! Where memory comes from: jemalloc. A request is many small pieces of memory that another thread may give back, and what a burst
//! took is returned to the kernel within seconds; the C library's allocator is slower at the one and does not do the other.

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Read by jemalloc before `main`: one arena for each processor. Its default of four costs an idle process a quarter of its memory.
#[unsafe(export_name = "_rjem_malloc_conf")]
static CONFIGURATION: &[u8; 16] = b"narenas_ratio:1\0";
