//! The connection to one network namespace's nftables.

use super::batch::{Batch, Element};
use super::dump::Reader;
use super::{Family, SetSpec};
use crate::netlink::{Protocol, Socket};
use crate::{Error, Netns, Result};

/// An open netlink socket. Needs CAP_NET_ADMIN in the namespace's user namespace.
#[derive(Debug)]
pub struct Nftables {
    pub(super) socket: Socket,
}

impl Nftables {
    pub fn open(netns: &Netns) -> Result<Self> {
        let socket = netns.run(|| Socket::open(Protocol::Netfilter)).and_then(|socket| socket);
        Ok(Self { socket: socket.map_err(Error::socket("open a netfilter socket"))? })
    }

    pub fn table_exists(&mut self, family: Family, table: &str) -> Result<bool> {
        Reader { socket: &mut self.socket, family, table }.table_exists()
    }

    /// Removes a table with all that it contains; one that is not there is fine.
    pub fn delete_table(&mut self, family: Family, table: &str) -> Result<()> {
        let mut batch = Batch::new(family, table);
        batch.delete_table();
        match batch.send(self) {
            Err(error) if error.is_not_found() => Ok(()),
            result => result,
        }
    }

    /// The names of a table's chains.
    pub fn chains(&mut self, family: Family, table: &str) -> Result<Vec<String>> {
        let (print, _) = Reader { socket: &mut self.socket, family, table }.settled(Reader::table)?;
        Ok(print.chains.into_keys().collect())
    }

    /// The elements of a set or map, in no particular order.
    pub fn elements(&mut self, family: Family, table: &str, set: &str, spec: &SetSpec) -> Result<Vec<Element>> {
        let mut reader = Reader { socket: &mut self.socket, family, table };
        Ok(reader.settled(|reader| reader.elements(set, spec))?.0)
    }
}

impl Batch<'_> {
    /// Sends the batch. An empty one does nothing.
    pub fn send(self, nftables: &mut Nftables) -> Result<()> {
        self.send_over(&mut nftables.socket)
    }
}
