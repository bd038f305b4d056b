//! The store on a real disk: its semantics, recovery, crashes, a full disk; and on a disk on paper, which fails wherever it can.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash;
mod disk_full;
mod encryption;
mod every_call;
mod health;
mod model;
mod older;
mod paper;
mod recovery;
mod seeds;
mod semantics;
mod world;

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use windlass_api::time::Clock;
use windlass_machinery::json::Template;
use windlass_store::{CommitError, Committed, Expect, Item, Lost, OpenError, Options, Range, Sizes, Store, Txn};

use encryption::Keys;

fn options(directory: &Path) -> Options {
    Options { directory: directory.to_owned(), clock: Clock::system(), encryption: Keys::of(&[3]) }
}

fn open(directory: &Path) -> Result<Arc<Store>, OpenError> {
    Store::open(options(directory))
}

fn object(name: &str, data: &str) -> Template {
    Template::new(&json!({"metadata": {"name": name}, "data": data}))
}

fn data(item: &Item) -> String {
    let value: Value = serde_json::from_slice(&item.value).unwrap();
    assert_eq!(value["metadata"]["resourceVersion"], item.revision.to_string());
    value["data"].as_str().unwrap_or_default().to_owned()
}

async fn create(store: &Store, table: &str, key: &str, text: &str) -> Result<Committed, CommitError> {
    store.commit(Txn::put(&table.into(), key, Expect::Absent, object(key, text))).await
}

async fn update(store: &Store, table: &str, key: &str, revision: u64, text: &str) -> Result<Committed, CommitError> {
    store.commit(Txn::put(&table.into(), key, Expect::Revision(revision), object(key, text))).await
}

async fn delete(store: &Store, table: &str, key: &str, revision: u64) -> Result<Committed, CommitError> {
    store.commit(Txn::delete(&table.into(), key, revision, None)).await
}

/// Keys and data of a table.
fn contents(store: &Store, table: &str) -> Vec<(String, String)> {
    let state = store.table(table).state();
    state.iter(&Range::default()).map(|item| (item.key.to_string(), data(item))).collect()
}
