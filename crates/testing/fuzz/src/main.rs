//! libFuzzer for one target, whose name stands in `WINDLASS_FUZZ_TARGET`; its arguments are libFuzzer's.

#![no_main]

use std::sync::LazyLock;

use windlass_fuzz::{Counting, Target, all};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(clippy::disallowed_methods, reason = "libFuzzer has the command line")]
static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("WINDLASS_FUZZ_TARGET").unwrap_or_default();
    all().into_iter().find(|target| target.name == name).expect("WINDLASS_FUZZ_TARGET names a target")
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| (TARGET.run)(data));
