//! Values that stand encrypted on the disk: keys come, go and are missing.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use tempfile::tempdir;
use windlass_store::{CommitError, Encryption, OpenError, Options, Store};

use super::{contents, create, delete, options, update};

/// What an encrypted value is longer by, as with AES-GCM.
const LONGER: usize = 28;

/// Keys that anybody could guess: the first one writes, each reads what it has written. Secrets alone are encrypted.
#[derive(Debug)]
pub(crate) struct Keys(Mutex<Vec<u8>>);

impl Keys {
    pub(crate) fn of(keys: &[u8]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(keys.to_vec())))
    }

    fn set(&self, keys: &[u8]) {
        *self.0.lock() = keys.to_vec();
    }
}

impl Encryption for Keys {
    fn check(&self, table: &str) -> Result<(), String> {
        if table == "secrets" && self.0.lock().is_empty() { Err("no key".to_owned()) } else { Ok(()) }
    }

    fn seal(&self, table: &str, _key: &str, value: &[u8]) -> Result<Option<Vec<u8>>, String> {
        if table != "secrets" {
            return Ok(None);
        }
        let first = *self.0.lock().first().ok_or("no key")?;
        Ok(Some([first; LONGER].into_iter().chain(value.iter().map(|byte| byte ^ first)).collect()))
    }

    fn open(&self, _table: &str, _key: &str, sealed: &[u8]) -> Result<Vec<u8>, String> {
        let ([key, ..], text) = sealed.split_first_chunk::<LONGER>().ok_or("too short")?;
        if !self.0.lock().contains(key) {
            return Err(format!("key {key} is unknown"));
        }
        Ok(text.iter().map(|byte| byte ^ key).collect())
    }
}

fn open(directory: &Path, keys: &Arc<Keys>) -> Result<Arc<Store>, OpenError> {
    Store::open(Options { encryption: keys.clone(), ..options(directory) })
}

/// Whether a text stands on the disk as a key writes it; 0 for as it is.
fn is_on_disk(directory: &Path, text: &str, key: u8) -> bool {
    let written: Vec<u8> = text.bytes().map(|byte| byte ^ key).collect();
    fs::read_dir(directory).unwrap().any(|file| {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        bytes.windows(written.len()).any(|window| window == written)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_written_anew_with_the_first_key() {
    let directory = tempdir().unwrap();
    let keys = Keys::of(&[3]);
    let store = open(directory.path(), &keys).unwrap();
    create(&store, "secrets", "a/s", "hidden").await.unwrap();
    create(&store, "pods", "a/p", "plain").await.unwrap();
    assert!(is_on_disk(directory.path(), "hidden", 3) && !is_on_disk(directory.path(), "hidden", 0));
    assert!(is_on_disk(directory.path(), "plain", 0));
    keys.set(&[4, 3]);
    let (first, second) = tokio::join!(store.rewrite(), store.rewrite());
    assert_eq!((first, second), (Ok(()), Ok(())));
    assert!(is_on_disk(directory.path(), "hidden", 4) && !is_on_disk(directory.path(), "hidden", 3));
    keys.set(&[4]);
    create(&store, "secrets", "a/t", "later").await.unwrap();
    store.close().await;
    let store = open(directory.path(), &keys).unwrap();
    let found = contents(&store, "secrets");
    assert_eq!(found, [("a/s".to_owned(), "hidden".to_owned()), ("a/t".to_owned(), "later".to_owned())]);
    assert_eq!(store.revision(), 3);
    store.close().await;
}

/// What has been written again or deleted since needs its old key no more, although it stands in the log.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_newest_version_needs_its_key() {
    let directory = tempdir().unwrap();
    let keys = Keys::of(&[3]);
    let store = open(directory.path(), &keys).unwrap();
    create(&store, "secrets", "a/s", "old").await.unwrap();
    create(&store, "secrets", "a/gone", "old").await.unwrap();
    create(&store, "secrets", "a/left", "old").await.unwrap();
    keys.set(&[4, 3]);
    update(&store, "secrets", "a/s", 1, "new").await.unwrap();
    delete(&store, "secrets", "a/gone", 2).await.unwrap();
    store.close().await;
    let error = open(directory.path(), &Keys::of(&[4])).unwrap_err();
    let OpenError::Locked { object, others, why, .. } = &error else { panic!("{error}") };
    assert_eq!((object.as_str(), *others, why.as_str()), ("secrets a/left", 0, "key 3 is unknown"));
    let store = open(directory.path(), &keys).unwrap();
    update(&store, "secrets", "a/left", 3, "new").await.unwrap();
    store.close().await;
    let store = open(directory.path(), &Keys::of(&[4])).unwrap();
    let found = contents(&store, "secrets");
    assert_eq!(found, [("a/left".to_owned(), "new".to_owned()), ("a/s".to_owned(), "new".to_owned())]);
    assert_eq!(store.revision(), 6);
    store.close().await;
}

/// Where no key can be used, what has to be encrypted is refused, and all else goes on.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_without_its_key() {
    let directory = tempdir().unwrap();
    let keys = Keys::of(&[3]);
    let store = open(directory.path(), &keys).unwrap();
    create(&store, "secrets", "a/s", "hidden").await.unwrap();
    keys.set(&[]);
    let refused = create(&store, "secrets", "a/t", "late").await.unwrap_err();
    assert!(matches!(&refused, CommitError::Encryption(why) if why == "no key"), "{refused}");
    create(&store, "pods", "a/p", "plain").await.unwrap();
    delete(&store, "secrets", "a/s", 1).await.unwrap();
    assert_eq!(store.rewrite().await, Ok(()), "nothing is left that needs a key");
    create(&store, "pods", "a/q", "plain").await.unwrap();
    keys.set(&[5]);
    create(&store, "secrets", "a/t", "late").await.unwrap();
    keys.set(&[]);
    let error = store.rewrite().await.unwrap_err();
    assert_eq!(error.to_string(), "the store cannot be written anew: no key");
    assert!(store.health().is_ok());
    store.close().await;
}
