//! Replays the corpus: real inputs, and each that once broke something.

use std::fs;
use std::path::Path;

use windlass_fuzz::{Counting, all};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test for all targets, for memory is measured for the whole process.
#[test]
fn every_input_keeps_its_properties() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for target in all() {
        let folder = corpus.join(target.name);
        let mut inputs: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "{} has no inputs", target.name);
        for path in inputs {
            let input = fs::read(&path).unwrap();
            let run = || (target.run)(&input);
            if let Err(panic) = std::panic::catch_unwind(run) {
                let message = panic.downcast_ref::<String>().map_or("", String::as_str);
                panic!("{} breaks {}: {message}", path.display(), target.name);
            }
        }
    }
    let folders = fs::read_dir(&corpus).unwrap().count();
    assert_eq!(folders, all().len(), "a folder for each target");
}
