//! nftables over netlink: typed rules, maps and sets; atomic batches; tables that apply only differences.
//!
//! - [`Table`] is for the owner of a table: it says what is wanted, and the kernel gets what differs.
//! - [`Batch`] is for those who share a table: it says what to do.
//! - [`phrase`] has what most rules are made of.
//! - [`Nftables`] is the connection to one network namespace's rules.
//!
//! Nothing here knows what the rules are for.

mod batch;
mod chain;
mod connection;
mod dump;
mod expression;
mod family;
pub mod phrase;
mod set;
mod table;
mod verdict;
mod wire;

pub use batch::{Batch, Element};
pub use chain::{Base, Chain, ChainKind, Hook, Rule, priority};
pub use connection::Nftables;
pub use expression::*;
pub use family::Family;
pub use set::{Data, DataType, Key, SetSpec, Type, Value};
pub use table::{Applied, Table};
pub use verdict::Verdict;
