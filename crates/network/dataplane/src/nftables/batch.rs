//! One atomic change of one table: all of its commands take effect at once, or none does.
//!
//! This is the low level: a batch does not know what the kernel holds. [`super::Table`] does, and fills batches with
//! differences; who shares a table with other processes (the CNI plugin) uses batches directly. Commands that add succeed
//! when the same thing is there already, unless said otherwise.

use crate::netlink::{ATTRIBUTE_BYTES_MAX, Attributes, Builder, Refusal, Socket};
use crate::{Error, Result};

use super::expression::encode_verdict;
use super::wire::*;
use super::{Chain, Data, DataType, Family, Key, Rule, SetSpec, Type, Value};

/// Room that a list of elements leaves for its last element.
const ELEMENT_BYTES_MAX: usize = 1024;
const NFNETLINK_V0: u8 = 0;

/// An element to be added, with a comment that `nft list` shows and dumps return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    pub key: Key,
    pub data: Data,
    pub comment: String,
}

impl Element {
    pub fn new(key: impl Into<Key>, data: Data) -> Self {
        Self { key: key.into(), data, comment: String::new() }
    }
}

#[derive(Debug)]
pub struct Batch<'a> {
    family: Family,
    table: &'a str,
    builder: Builder,
    /// Sequence numbers within the batch are positions in this list, plus one for the opening message.
    commands: Vec<Command>,
    generation: Option<u32>,
    sets: u32,
}

/// For error messages.
#[derive(Debug)]
enum Command {
    Table { add: bool },
    Chain { add: bool, name: String },
    Rule { add: bool, chain: String },
    Set { add: bool, name: String },
    Elements { add: bool, set: String, start: usize },
}

impl<'a> Batch<'a> {
    pub fn new(family: Family, table: &'a str) -> Self {
        Self::begun(family, table, None)
    }

    /// A batch that the kernel refuses with ERESTART unless its rules are still of this generation.
    pub(super) fn of_generation(family: Family, table: &'a str, generation: u32) -> Self {
        Self::begun(family, table, Some(generation))
    }

    fn begun(family: Family, table: &'a str, generation: Option<u32>) -> Self {
        let mut batch = Self { family, table, builder: Builder::default(), commands: Vec::new(), generation, sets: 0 };
        batch.frame(NFNL_MSG_BATCH_BEGIN, 0);
        batch
    }

    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    pub fn add_table(&mut self) {
        self.begin(NFT_MSG_NEWTABLE, NLM_F_CREATE, Command::Table { add: true });
        self.builder.string(NFTA_TABLE_NAME, self.table);
        self.builder.be32(NFTA_TABLE_FLAGS, 0);
        self.builder.end();
    }

    /// Removes the table with all that it contains.
    pub fn delete_table(&mut self) {
        self.begin(NFT_MSG_DELTABLE, 0, Command::Table { add: false });
        self.builder.string(NFTA_TABLE_NAME, self.table);
        self.builder.end();
    }

    /// Adds the chain without its rules.
    pub fn add_chain(&mut self, name: &str, chain: &Chain) {
        self.begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE, Command::Chain { add: true, name: name.to_owned() });
        let b = &mut self.builder;
        b.string(NFTA_CHAIN_TABLE, self.table);
        b.string(NFTA_CHAIN_NAME, name);
        if let Some(base) = &chain.base {
            b.nested(NFTA_CHAIN_HOOK, |b| {
                b.be32(NFTA_HOOK_HOOKNUM, base.hook as u32);
                b.be32(NFTA_HOOK_PRIORITY, base.priority.cast_unsigned());
            });
            b.be32(NFTA_CHAIN_POLICY, 1);
            b.string(NFTA_CHAIN_TYPE, base.kind.as_str());
        }
        b.end();
    }

    pub fn delete_chain(&mut self, name: &str) {
        self.begin(NFT_MSG_DELCHAIN, 0, Command::Chain { add: false, name: name.to_owned() });
        self.builder.string(NFTA_CHAIN_TABLE, self.table);
        self.builder.string(NFTA_CHAIN_NAME, name);
        self.builder.end();
    }

    /// Appends a rule; a rule that is there already is there twice afterwards.
    pub fn add_rule(&mut self, chain: &str, rule: &Rule) {
        self.begin(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, Command::Rule { add: true, chain: chain.to_owned() });
        let b = &mut self.builder;
        b.string(NFTA_RULE_TABLE, self.table);
        b.string(NFTA_RULE_CHAIN, chain);
        let list = b.begin_nest(NFTA_RULE_EXPRESSIONS);
        b.encoded(&rule.encode());
        b.end_nest(list);
        let comment = rule_comment(rule);
        b.attribute(NFTA_RULE_USERDATA, &comment_bytes(NFTNL_UDATA_RULE_COMMENT, &comment));
        b.end();
    }

    /// Removes all rules of a chain.
    pub fn flush_chain(&mut self, chain: &str) {
        self.begin(NFT_MSG_DELRULE, 0, Command::Rule { add: false, chain: chain.to_owned() });
        self.builder.string(NFTA_RULE_TABLE, self.table);
        self.builder.string(NFTA_RULE_CHAIN, chain);
        self.builder.end();
    }

    pub fn add_set(&mut self, name: &str, spec: &SetSpec) {
        self.begin(NFT_MSG_NEWSET, NLM_F_CREATE, Command::Set { add: true, name: name.to_owned() });
        self.sets += 1;
        let b = &mut self.builder;
        b.string(NFTA_SET_TABLE, self.table);
        b.string(NFTA_SET_NAME, name);
        b.be32(NFTA_SET_FLAGS, spec.flags());
        b.be32(NFTA_SET_KEY_TYPE, spec.key_type());
        b.be32(NFTA_SET_KEY_LEN, spec.key_len());
        match &spec.data {
            Some(DataType::Verdict) => b.be32(NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT),
            Some(DataType::Value(_)) => {
                b.be32(NFTA_SET_DATA_TYPE, spec.data_type());
                b.be32(NFTA_SET_DATA_LEN, spec.data_len());
            }
            None => {}
        }
        b.be32(NFTA_SET_ID, self.sets);
        if spec.timeout_seconds > 0 {
            b.be64(NFTA_SET_TIMEOUT, spec.timeout_seconds * 1000);
        }
        b.nested(NFTA_SET_DESC, |b| {
            if spec.size_max > 0 {
                b.be32(NFTA_SET_DESC_SIZE, spec.size_max);
            }
            if spec.interval && spec.key.len() > 1 {
                b.nested(NFTA_SET_DESC_CONCAT, |b| {
                    for part in &spec.key {
                        b.nested(NFTA_LIST_ELEM, |b| b.be32(NFTA_SET_FIELD_LEN, part.bytes()));
                    }
                });
            }
        });
        b.attribute(NFTA_SET_USERDATA, &byte_orders(spec));
        b.end();
    }

    pub fn delete_set(&mut self, name: &str) {
        self.begin(NFT_MSG_DELSET, 0, Command::Set { add: false, name: name.to_owned() });
        self.builder.string(NFTA_SET_TABLE, self.table);
        self.builder.string(NFTA_SET_NAME, name);
        self.builder.end();
    }

    /// Adds elements. The kernel refuses (EEXIST, EBUSY) when an element is there with other data.
    pub fn add_elements(&mut self, set: &str, spec: &SetSpec, elements: impl IntoIterator<Item = Element>) {
        self.elements(true, set, elements, |b, element| encode_element(b, spec, element));
    }

    /// Removes elements. The kernel refuses (ENOENT) when one is not there.
    pub fn delete_elements(&mut self, set: &str, spec: &SetSpec, keys: impl IntoIterator<Item = Key>) {
        self.elements(false, set, keys, |b, key| encode_keys(b, spec, &key, |_| {}));
    }

    /// Removes every element of a set.
    pub fn flush_set(&mut self, set: &str) {
        self.begin_elements(false, set);
        self.builder.end();
    }

    pub(super) fn send_over(mut self, socket: &mut Socket) -> Result<()> {
        if self.commands.is_empty() {
            return Ok(());
        }
        // One acknowledgement, of the last command, tells a batch that went through from one that was never looked at.
        let acknowledged = self.commands.len() as u32;
        self.builder.set_flags(NLM_F_ACK);
        self.frame(NFNL_MSG_BATCH_END, acknowledged + 1);
        let bytes = self.builder.bytes().ok_or(Error::Oversized { action: "change nftables" })?;
        let refusals = socket.batch(bytes, acknowledged).map_err(Error::socket("change nftables"))?;
        match refusals.into_iter().next() {
            None => Ok(()),
            Some(refusal) => Err(self.explain(refusal)),
        }
    }

    fn explain(&self, refusal: Refusal) -> Error {
        let position = (refusal.sequence as usize).checked_sub(1);
        let command = position.and_then(|position| self.commands.get(position));
        let within = format!("{} {}", self.family.as_str(), self.table);
        let text = match command {
            Some(Command::Table { add }) => format!("{} table {within}", verb(*add)),
            Some(Command::Chain { add, name }) => format!("{} chain {within} {name}", verb(*add)),
            Some(Command::Rule { add: true, chain }) => format!("add a rule to chain {within} {chain}"),
            Some(Command::Rule { add: false, chain }) => format!("flush chain {within} {chain}"),
            Some(Command::Set { add, name }) => format!("{} set {within} {name}", verb(*add)),
            Some(Command::Elements { add, set, start }) => {
                let key = refusal.offset.and_then(|offset| self.key_at(start + offset as usize));
                let key = key.map(|key| format!(" {key}")).unwrap_or_default();
                format!("{} element{key} of set {within} {set}", verb(*add))
            }
            None => format!("change table {within}"),
        };
        Error::refused(text, refusal)
    }

    /// The key of the element that stands at `at` in the batch, in hexadecimal.
    fn key_at(&self, at: usize) -> Option<String> {
        let element = Attributes(self.builder.bytes()?.get(at..)?).next()?.1;
        let key = Attributes(element).nested(NFTA_SET_ELEM_KEY).find(NFTA_DATA_VALUE)?;
        Some(key.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn elements<T>(
        &mut self,
        add: bool,
        set: &str,
        items: impl IntoIterator<Item = T>,
        encode: impl Fn(&mut Builder, T),
    ) {
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() {
            self.begin_elements(add, set);
            let list = self.builder.begin_nest(NFTA_SET_ELEM_LIST_ELEMENTS);
            let limit = self.builder.len() + ATTRIBUTE_BYTES_MAX - ELEMENT_BYTES_MAX;
            while self.builder.len() < limit {
                let Some(item) = items.next() else { break };
                encode(&mut self.builder, item);
            }
            self.builder.end_nest(list);
            self.builder.end();
        }
    }

    fn begin_elements(&mut self, add: bool, set: &str) {
        let (kind, flags) = if add { (NFT_MSG_NEWSETELEM, NLM_F_CREATE) } else { (NFT_MSG_DELSETELEM, 0) };
        let start = self.builder.len();
        self.begin(kind, flags, Command::Elements { add, set: set.to_owned(), start });
        self.builder.string(NFTA_SET_ELEM_LIST_TABLE, self.table);
        self.builder.string(NFTA_SET_ELEM_LIST_SET, set);
    }

    fn begin(&mut self, kind: u16, flags: u16, command: Command) {
        self.commands.push(command);
        self.builder.begin(NFNL_SUBSYS_NFTABLES << 8 | kind, NLM_F_REQUEST | flags, self.commands.len() as u32);
        self.builder.fixed(&[self.family.number(), NFNETLINK_V0, 0, 0]);
    }

    /// The messages that open and close a batch.
    fn frame(&mut self, kind: u16, sequence: u32) {
        self.builder.begin(kind, NLM_F_REQUEST, sequence);
        let [high, low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
        self.builder.fixed(&[0, NFNETLINK_V0, high, low]);
        if let Some(generation) = self.generation.filter(|_| kind == NFNL_MSG_BATCH_BEGIN) {
            self.builder.be32(NFNL_BATCH_GENID, generation);
        }
        self.builder.end();
    }
}

fn verb(add: bool) -> &'static str {
    if add { "add" } else { "delete" }
}

/// What a rule's comment says in the kernel: its fingerprint, and what the author wrote.
pub(super) fn rule_comment(rule: &Rule) -> String {
    let fingerprint = format!("{:016x}", rule.fingerprint());
    if rule.comment.is_empty() { fingerprint } else { format!("{} {fingerprint}", rule.comment) }
}

/// libnftnl's form: a type, a length, and the text with its terminating zero.
fn comment_bytes(kind: u8, comment: &str) -> Vec<u8> {
    let mut text = comment.as_bytes();
    // The fingerprint stands at the end and must survive.
    let max = NFT_USERDATA_BYTES_MAX - 3;
    if text.len() > max {
        text = &text[text.len() - max..];
    }
    let mut bytes = vec![kind, text.len() as u8 + 1];
    bytes.extend_from_slice(text);
    bytes.push(0);
    bytes
}

/// Tells `nft list` that lone numbers are in host order; it takes what it is not told for network order.
fn byte_orders(spec: &SetSpec) -> Vec<u8> {
    const HOST: u32 = 1;
    const NETWORK: u32 = 2;
    let order = |types: &[Type]| if types == [Type::Mark] { HOST } else { NETWORK };
    let mut userdata = Vec::new();
    let mut push = |kind: u8, order: u32| {
        userdata.extend([kind, 4]);
        userdata.extend(order.to_ne_bytes());
    };
    push(NFTNL_UDATA_SET_KEYBYTEORDER, order(&spec.key));
    if let Some(DataType::Value(types)) = &spec.data {
        push(NFTNL_UDATA_SET_DATABYTEORDER, order(types));
    }
    userdata
}

fn encode_element(b: &mut Builder, spec: &SetSpec, element: Element) {
    encode_keys(b, spec, &element.key, |b| {
        match element.data {
            Data::None => {}
            Data::Value(value) => {
                let value = value.padded(spec.data_len());
                b.nested(NFTA_SET_ELEM_DATA, |b| b.attribute(NFTA_DATA_VALUE, value.as_bytes()));
            }
            Data::Verdict(verdict) => encode_verdict(b, NFTA_SET_ELEM_DATA, &verdict),
        }
        if !element.comment.is_empty() {
            b.attribute(NFTA_SET_ELEM_USERDATA, &comment_bytes(NFTNL_UDATA_SET_ELEM_COMMENT, &element.comment));
        }
    });
}

/// Encodes the key as one element, or as a start and an end where the kernel keeps ranges so.
fn encode_keys(b: &mut Builder, spec: &SetSpec, key: &Key, rest: impl FnOnce(&mut Builder)) {
    let start = key.start.clone().padded(spec.key_len());
    let end = key.end().clone().padded(spec.key_len());
    b.nested(NFTA_LIST_ELEM, |b| {
        encode_key(b, NFTA_SET_ELEM_KEY, &start);
        if spec.interval && !spec.has_end_markers() {
            encode_key(b, NFTA_SET_ELEM_KEY_END, &end);
        }
        rest(b);
    });
    if spec.has_end_markers()
        && let Some(after) = successor(&end)
    {
        b.nested(NFTA_LIST_ELEM, |b| {
            encode_key(b, NFTA_SET_ELEM_KEY, &after);
            b.be32(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
        });
    }
}

fn encode_key(b: &mut Builder, kind: u16, key: &Value) {
    b.nested(kind, |b| b.attribute(NFTA_DATA_VALUE, key.as_bytes()));
}

/// The next larger value of the same length, or `None` after the largest.
pub(super) fn successor(value: &Value) -> Option<Value> {
    let mut value = value.clone();
    for byte in value.0.iter_mut().rev() {
        let (next, overflow) = byte.overflowing_add(1);
        *byte = next;
        if !overflow {
            return Some(value);
        }
    }
    None
}

/// The inverse of [`successor`].
pub(super) fn predecessor(value: &Value) -> Value {
    let mut value = value.clone();
    for byte in value.0.iter_mut().rev() {
        let (next, overflow) = byte.overflowing_sub(1);
        *byte = next;
        if !overflow {
            break;
        }
    }
    value
}
