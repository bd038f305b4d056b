//! What older releases have left on the disk is read; so is what their crashes and full disks made of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::model::{Content, check, open_paper, put, runtime};
use super::paper::{Image, PaperDisk, files};
use super::*;

const HEADER: usize = 8;

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn log(revision: u64) -> PathBuf {
    PathBuf::from(format!("/data/store/log-{revision:016x}"))
}

/// A log with so many small objects, and the contents after each of them.
fn current(count: usize) -> (Vec<u8>, Vec<Content>) {
    let disk = PaperDisk::new(Image::new());
    let contents = runtime().block_on(async {
        let store = open_paper(&disk, Clock::system()).unwrap();
        let mut contents = vec![Content::default()];
        for number in 0..count {
            let writes = [put("pods", &format!("a/{number}"), "1")];
            store.commit(contents[number].txn(&writes)).await.unwrap();
            contents.push(contents[number].with(&writes));
        }
        store.close().await;
        contents
    });
    (files(&disk.stop()).remove(&log(0)).unwrap(), contents)
}

/// The same log as the first format had it: its frames did not have a last byte that is not zero.
fn first_format(current: &[u8]) -> Vec<u8> {
    let mut older = b"WLSTORE1".to_vec();
    let mut rest = &current[HEADER..];
    loop {
        let length = u32::from_le_bytes(*rest.first_chunk().unwrap()) as usize;
        if length == 0 {
            older.extend_from_slice(rest);
            return older;
        }
        let payload = &rest[8..8 + length - 1];
        let shorter = (payload.len() as u32).to_le_bytes();
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&shorter), payload);
        older.extend_from_slice(&shorter);
        older.extend_from_slice(&checksum.to_le_bytes());
        older.extend_from_slice(payload);
        rest = &rest[8 + length..];
    }
}

fn goes_on(files: &Files, contents: &[Content], what: &str) -> Content {
    check(&Image::with_files(files), contents, &|| what.to_owned())
}

#[test]
fn the_first_format_is_read_and_not_written() {
    let (bytes, contents) = current(5);
    let older = first_format(&bytes);
    let all = Files::from([(log(0), older.clone())]);
    assert_eq!(goes_on(&all, &contents[5..], "the first format"), contents[5]);
    let disk = PaperDisk::new(Image::with_files(&all));
    runtime().block_on(async {
        let store = open_paper(&disk, Clock::system()).unwrap();
        store.commit(contents[5].txn(&[put("pods", "a/new", "")])).await.unwrap();
        store.close().await;
    });
    let after = files(&disk.stop());
    assert_eq!(after[&log(0)], older);
    assert!(after[&log(5)].starts_with(b"WLSTORE2"));
}

/// A release that took an all-zero file for its own acknowledged writes in it, and called it foreign at the next start.
#[test]
fn frames_behind_an_unwritten_header_count() {
    let (bytes, contents) = current(5);
    let mut headless = first_format(&bytes);
    headless[..HEADER].fill(0);
    let found = goes_on(&Files::from([(log(0), headless)]), &contents[5..], "no header");
    assert_eq!(found, contents[5]);
}

/// A crash while a file was made, which had its own name from the start.
#[test]
fn a_file_that_was_being_made_is_passed_over() {
    let (bytes, contents) = current(5);
    let cut = |length: usize| b"WLSTORE1"[..length].to_vec();
    let padded = |length: usize| [cut(length), vec![0; 500]].concat();
    for length in 0..=HEADER {
        for unmade in [cut(length), padded(length)] {
            let what = format!("{unmade:?}");
            goes_on(&Files::from([(log(0), unmade.clone())]), &contents[..1], &what);
            for older in [bytes.clone(), first_format(&bytes)] {
                // A full disk left one at each attempt to go on in a new file, while writes went on in the old one.
                let leftovers = [(log(0), older), (log(2), unmade.clone()), (log(5), unmade.clone())];
                goes_on(&Files::from(leftovers), &contents[5..], &what);
            }
        }
    }
}

#[test]
fn a_file_that_is_missing_is_missed() {
    let (bytes, _) = current(5);
    let all = Files::from([(log(0), bytes.clone()), (log(7), b"WLSTORE2".to_vec())]);
    let opened = runtime().block_on(async { open_paper(&PaperDisk::new(Image::with_files(&all)), Clock::system()) });
    let Err(OpenError::Damaged { path, lost, .. }) = opened else {
        panic!("two writes are missing, and nobody sees it")
    };
    assert_eq!((path, lost), (log(7), Lost::Before { after: 5, until: 7 }));
    // The end of a file before another is no torn tail.
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let next = [b"WLSTORE2".to_vec(), bytes[HEADER..].to_vec()].concat();
    let all = Files::from([(log(0), bytes[..end].to_vec()), (log(5), next)]);
    let opened = runtime().block_on(async { open_paper(&PaperDisk::new(Image::with_files(&all)), Clock::system()) });
    let Err(OpenError::Damaged { path, lost, .. }) = opened else { panic!("a write is missing, and nobody sees it") };
    assert_eq!((path, lost), (log(0), Lost::Before { after: 4, until: 5 }));
}

#[test]
fn a_later_format_is_refused() {
    let (mut bytes, _) = current(2);
    bytes[HEADER - 1] = b'3';
    let all = Files::from([(log(0), bytes)]);
    let opened = runtime().block_on(async { open_paper(&PaperDisk::new(Image::with_files(&all)), Clock::system()) });
    assert!(matches!(opened, Err(OpenError::Version { .. })));
}
