//! Reading what the kernel holds.
//!
//! A dump is consistent or it is repeated: the kernel marks dumps during which rules changed, and the generation number before
//! and after tells whether several dumps belong together.

use std::collections::BTreeMap;

use foldhash::HashMap;

use crate::netlink::{Attributes, Builder, Dump, Message, Socket};
use crate::{Error, Result};

use super::batch::predecessor;
use super::set::Value;
use super::wire::*;
use super::{Data, Element, Family, Key, SetSpec, Verdict};

const NFGENMSG_BYTES: usize = 4;
const ATTEMPTS_MAX: u32 = 20;

/// A chain as the kernel holds it: enough to know whether it is the one that is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ChainPrint {
    /// Hook, priority and type of a base chain.
    pub(super) base: Option<(u32, i32, String)>,
    /// The fingerprint of each rule; 0 for a rule that is not ours.
    pub(super) rules: Vec<u64>,
}

/// A set's definition as the kernel holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SetPrint {
    pub(super) flags: u32,
    pub(super) key_type: u32,
    pub(super) key_len: u32,
    pub(super) data_type: u32,
    pub(super) timeout_milliseconds: u64,
}

impl SetPrint {
    pub(super) fn of(spec: &SetSpec) -> Self {
        let verdict = spec.data == Some(super::DataType::Verdict);
        Self {
            flags: spec.flags(),
            key_type: spec.key_type(),
            key_len: spec.key_len(),
            data_type: if verdict { NFT_DATA_VERDICT } else { spec.data_type() },
            timeout_milliseconds: spec.timeout_seconds * 1000,
        }
    }
}

/// Everything about a table except elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TablePrint {
    pub(super) chains: BTreeMap<String, ChainPrint>,
    pub(super) sets: BTreeMap<String, SetPrint>,
}

pub(super) struct Reader<'a> {
    pub(super) socket: &'a mut Socket,
    pub(super) family: Family,
    pub(super) table: &'a str,
}

impl Reader<'_> {
    /// Reads until nothing changed from the first request to the last, and returns the generation that was read.
    pub(super) fn settled<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<Option<T>>) -> Result<(T, u32)> {
        for _ in 0..ATTEMPTS_MAX {
            let before = self.generation()?;
            let result = read(self)?;
            if let Some(result) = result
                && self.generation()? == before
            {
                return Ok((result, before));
            }
        }
        Err(Error::Unsettled { what: "nftables", attempts: ATTEMPTS_MAX })
    }

    pub(super) fn generation(&mut self) -> Result<u32> {
        let bytes = self.request(NFT_MSG_GETGEN, 0, |_| {});
        let mut generation = 0;
        let refusal = self
            .socket
            .query(&bytes, |message| generation = message.attributes(NFGENMSG_BYTES).be32(NFTA_GEN_ID).unwrap_or(0))
            .map_err(Error::socket("read nftables' generation"))?;
        match refusal {
            None => Ok(generation),
            Some(refusal) => Err(Error::refused("tell nftables' generation", refusal)),
        }
    }

    pub(super) fn table_exists(&mut self) -> Result<bool> {
        let table = self.table;
        let bytes = self.request(NFT_MSG_GETTABLE, 0, |b| b.string(NFTA_TABLE_NAME, table));
        let refusal = self.socket.query(&bytes, |_| {}).map_err(Error::socket("look for an nftables table"))?;
        match refusal {
            None => Ok(true),
            Some(refusal) if refusal.errno == libc::ENOENT => Ok(false),
            Some(refusal) => Err(Error::refused(format!("show table {} {table}", self.family.as_str()), refusal)),
        }
    }

    /// Chains with their rules, and sets without their elements; `None` when they changed meanwhile. A table that does not
    /// exist reads as empty.
    pub(super) fn table(&mut self) -> Result<Option<TablePrint>> {
        let table = self.table.to_owned();
        let mut print = TablePrint::default();
        let chains = self.dump(
            NFT_MSG_GETCHAIN,
            |_| {},
            |attributes| {
                if attributes.string(NFTA_CHAIN_TABLE).as_deref() == Some(&table)
                    && let Some(name) = attributes.string(NFTA_CHAIN_NAME)
                {
                    print.chains.insert(name, ChainPrint { base: base(attributes), rules: Vec::new() });
                }
            },
        )?;
        let rules = self.dump(
            NFT_MSG_GETRULE,
            |b| b.string(NFTA_RULE_TABLE, &table),
            |attributes| {
                let chain = attributes.string(NFTA_RULE_CHAIN);
                if let Some(chain) = chain.and_then(|chain| print.chains.get_mut(&chain))
                    && attributes.string(NFTA_RULE_TABLE).as_deref() == Some(&table)
                {
                    chain.rules.push(fingerprint(attributes.find(NFTA_RULE_USERDATA).unwrap_or_default()));
                }
            },
        )?;
        let sets = self.dump(
            NFT_MSG_GETSET,
            |b| b.string(NFTA_SET_TABLE, &table),
            |attributes| {
                if let Some(name) = attributes.string(NFTA_SET_NAME) {
                    print.sets.insert(name, set_print(attributes));
                }
            },
        )?;
        Ok((chains && rules && sets).then_some(print))
    }

    /// The elements of a set; `None` when they changed meanwhile. A set that does not exist is empty.
    pub(super) fn elements(&mut self, set: &str, spec: &SetSpec) -> Result<Option<Vec<Element>>> {
        let table = self.table;
        let mut raw: Vec<(u32, Element)> = Vec::new();
        let complete = self.dump(
            NFT_MSG_GETSETELEM,
            |b| {
                b.string(NFTA_SET_ELEM_LIST_TABLE, table);
                b.string(NFTA_SET_ELEM_LIST_SET, set);
            },
            |attributes| {
                raw.extend(
                    attributes.nested(NFTA_SET_ELEM_LIST_ELEMENTS).filter_map(|(_, data)| element(Attributes(data))),
                );
            },
        )?;
        if !complete {
            return Ok(None);
        }
        if spec.has_end_markers() {
            return Ok(Some(pair_ranges(raw, spec.key_len())));
        }
        Ok(Some(raw.into_iter().map(|(_, element)| element).collect()))
    }

    fn request(&mut self, kind: u16, flags: u16, attributes: impl FnOnce(&mut Builder)) -> Vec<u8> {
        let mut builder = Builder::default();
        // A query ends with its acknowledgement; a dump has an end of its own.
        let flags = if flags == 0 { NLM_F_ACK } else { flags };
        builder.begin(NFNL_SUBSYS_NFTABLES << 8 | kind, NLM_F_REQUEST | flags, self.socket.next_sequence());
        builder.fixed(&[self.family.number(), 0, 0, 0]);
        attributes(&mut builder);
        builder.end();
        builder.bytes().unwrap_or_default().to_vec()
    }

    /// Whether the dump is consistent.
    fn dump(
        &mut self,
        kind: u16,
        attributes: impl FnOnce(&mut Builder),
        mut each: impl FnMut(Attributes<'_>),
    ) -> Result<bool> {
        let bytes = self.request(kind, NLM_F_DUMP, attributes);
        let each = |message: Message<'_>| each(message.attributes(NFGENMSG_BYTES));
        match self.socket.dump(&bytes, each).map_err(Error::socket("read nftables"))? {
            Dump::Complete => Ok(true),
            Dump::Interrupted => Ok(false),
            Dump::Refused(refusal) if refusal.errno == libc::ENOENT => Ok(true),
            Dump::Refused(refusal) => {
                Err(Error::refused(format!("list table {} {}", self.family.as_str(), self.table), refusal))
            }
        }
    }
}

/// Elements by key, which is how differences are found.
pub(super) fn by_key(elements: Vec<Element>) -> HashMap<Key, Data> {
    elements.into_iter().map(|element| (element.key, element.data)).collect()
}

fn base(attributes: Attributes<'_>) -> Option<(u32, i32, String)> {
    let hook = attributes.nested(NFTA_CHAIN_HOOK);
    let number = hook.be32(NFTA_HOOK_HOOKNUM)?;
    let priority = hook.be32(NFTA_HOOK_PRIORITY)?.cast_signed();
    Some((number, priority, attributes.string(NFTA_CHAIN_TYPE)?))
}

fn set_print(attributes: Attributes<'_>) -> SetPrint {
    let timeout = attributes.find(NFTA_SET_TIMEOUT).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
    SetPrint {
        flags: attributes.be32(NFTA_SET_FLAGS).unwrap_or(0),
        key_type: attributes.be32(NFTA_SET_KEY_TYPE).unwrap_or(0),
        key_len: attributes.be32(NFTA_SET_KEY_LEN).unwrap_or(0),
        data_type: attributes.be32(NFTA_SET_DATA_TYPE).unwrap_or(0),
        timeout_milliseconds: timeout.unwrap_or(0),
    }
}

/// The hexadecimal number at the end of one of our comments.
fn fingerprint(userdata: &[u8]) -> u64 {
    let comment = comment(userdata);
    let digits = comment.rsplit(' ').next().unwrap_or_default();
    u64::from_str_radix(digits, 16).unwrap_or(0)
}

fn comment(userdata: &[u8]) -> String {
    match userdata {
        [0, length, text @ ..] => {
            let text = text.get(..usize::from(*length)).unwrap_or(text);
            String::from_utf8_lossy(text.strip_suffix(&[0]).unwrap_or(text)).into_owned()
        }
        _ => String::new(),
    }
}

/// The element and its flags.
fn element(attributes: Attributes<'_>) -> Option<(u32, Element)> {
    let value = |bytes: &[u8]| Value(bytes.into());
    let start = value(attributes.nested(NFTA_SET_ELEM_KEY).find(NFTA_DATA_VALUE)?);
    let key = match attributes.nested(NFTA_SET_ELEM_KEY_END).find(NFTA_DATA_VALUE) {
        Some(end) => Key::range(start, value(end)),
        None => Key::from(start),
    };
    let data = attributes.nested(NFTA_SET_ELEM_DATA);
    let verdict = data.nested(NFTA_DATA_VERDICT);
    let data = match (data.find(NFTA_DATA_VALUE), verdict.be32(NFTA_VERDICT_CODE)) {
        (Some(bytes), _) => Data::Value(value(bytes)),
        (None, Some(code)) => {
            Data::Verdict(Verdict::from_wire(code.cast_signed(), verdict.string(NFTA_VERDICT_CHAIN))?)
        }
        (None, None) => Data::None,
    };
    let comment = comment(attributes.find(NFTA_SET_ELEM_USERDATA).unwrap_or_default());
    Some((attributes.be32(NFTA_SET_ELEM_FLAGS).unwrap_or(0), Element { key, data, comment }))
}

/// Puts starts and ends of ranges together, which the kernel lists separately and in falling order.
fn pair_ranges(mut raw: Vec<(u32, Element)>, key_len: u32) -> Vec<Element> {
    // On a tie the end of one range comes before the start of the next.
    raw.sort_by(|a, b| a.1.key.start.cmp(&b.1.key.start).then(b.0.cmp(&a.0)));
    let largest = || Value(std::iter::repeat_n(0xff, key_len as usize).collect());
    let mut ranges: Vec<Element> = Vec::new();
    let mut open: Option<Element> = None;
    for (flags, element) in raw {
        let is_end = flags & NFT_SET_ELEM_INTERVAL_END != 0;
        if let Some(mut range) = open.take() {
            range.key = Key::range(range.key.start, predecessor(&element.key.start));
            ranges.push(range);
        }
        if !is_end {
            open = Some(element);
        }
    }
    if let Some(mut range) = open {
        range.key = Key::range(range.key.start, largest());
        ranges.push(range);
    }
    ranges
}
