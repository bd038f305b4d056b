//! Layers of images, unpacked into a scratch directory: nothing comes to be outside it, and no more than the bounds say.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use windlass_images::Digest;
use windlass_images::unpack::{Decoder, Limits, unpack};

use crate::memory::bounded_by;

/// What the window of a zstd frame may take is 128 MiB.
const BYTES_MAX: usize = 192 << 20;
const ENTRIES_MAX: u64 = 500;
const DISK_BYTES_MAX: u64 = 8 << 20;
/// Archives that expand to more are left aside: it takes time, and finds nothing.
const EXPANDED_BYTES_MAX: u64 = 16 << 20;

/// In memory, where there is such a place.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("windlass-fuzz-").tempdir_in(parent).expect("a scratch directory can be made")
}

/// The names in the directory that is around the layer's, and in the root of the file system.
fn around(scratch: &Path) -> [Vec<OsString>; 2] {
    [scratch, Path::new("/")].map(|path| {
        let entries = fs::read_dir(path).expect("a directory can be read");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names
    })
}

pub(super) fn run(input: &[u8]) {
    let mut tar = Vec::new();
    if let Ok(decoder) = Decoder::new(input) {
        // What comes before an error counts.
        let _ = decoder.take(EXPANDED_BYTES_MAX + 1).read_to_end(&mut tar);
    }
    if tar.len() as u64 > EXPANDED_BYTES_MAX {
        return;
    }
    let diff_id = Digest::of(&tar);
    drop(tar);
    let scratch = scratch();
    let root = scratch.path().join("layer");
    fs::create_dir(&root).expect("a directory can be made");
    let before = around(scratch.path());
    let directory: OwnedFd = fs::File::open(&root).expect("the directory can be opened").into();
    let limits = Limits { entries_max: ENTRIES_MAX, bytes_max: DISK_BYTES_MAX, ..Limits::default() };
    let unpacked = bounded_by(BYTES_MAX, || unpack(input, directory, None, &diff_id, limits));
    assert_eq!(around(scratch.path()), before, "something came to be outside the layer");
    let usage = windlass_tree::usage(&root).expect("the layer can be measured");
    if unpacked.is_ok() {
        assert!(usage.bytes <= DISK_BYTES_MAX + 4096 * ENTRIES_MAX, "{} bytes of the disk are taken", usage.bytes);
    }
    windlass_tree::remove_path(&root).expect("the layer can be removed");
}
