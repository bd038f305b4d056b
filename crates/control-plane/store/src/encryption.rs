//! Encryption of what stands on the disk. The store writes and reads back what it is given; whoever has the keys makes it.

use std::fmt;

/// Gives the values of tables another form on the disk. In memory they are as they are.
pub trait Encryption: fmt::Debug + Send + Sync {
    /// Whether values of a table can be written now; else why not.
    fn check(&self, table: &str) -> Result<(), String>;

    /// What stands on the disk for a value; `None` when it is written as it is.
    fn seal(&self, table: &str, key: &str, value: &[u8]) -> Result<Option<Vec<u8>>, String>;

    /// The value for which [`seal`](Self::seal) made this, now or in an earlier process. May block: it is called while a store is opened.
    fn open(&self, table: &str, key: &str, sealed: &[u8]) -> Result<Vec<u8>, String>;
}

/// Everything is written as it is.
#[derive(Clone, Copy, Debug)]
pub struct Plaintext;

impl Encryption for Plaintext {
    fn check(&self, _table: &str) -> Result<(), String> {
        Ok(())
    }

    fn seal(&self, _table: &str, _key: &str, _value: &[u8]) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }

    fn open(&self, _table: &str, _key: &str, _sealed: &[u8]) -> Result<Vec<u8>, String> {
        Err("there is no key".to_owned())
    }
}
