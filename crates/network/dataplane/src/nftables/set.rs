//! Sets and maps as they are wanted: the type of their keys and data, and elements.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smallvec::SmallVec;

use super::Verdict;
use super::wire::{NFT_SET_CONCAT, NFT_SET_EVAL, NFT_SET_INTERVAL, NFT_SET_MAP, NFT_SET_TIMEOUT};

/// The type of a value, or of one part of a concatenation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `ipv4_addr`
    Ipv4,
    /// `ipv6_addr`
    Ipv6,
    /// `inet_proto`
    Protocol,
    /// `inet_service`
    Port,
    /// `mark`: a 32-bit number in host order.
    Mark,
    /// `ifname`: sixteen bytes, padded with zeros.
    Ifname,
}

impl Type {
    /// Length in bytes without padding.
    pub fn bytes(self) -> u32 {
        match self {
            Self::Ipv4 | Self::Mark => 4,
            Self::Ipv6 | Self::Ifname => 16,
            Self::Protocol => 1,
            Self::Port => 2,
        }
    }

    /// nft's number for the type, which the kernel stores for whoever lists the set.
    fn nft_number(self) -> u32 {
        match self {
            Self::Ipv4 => 7,
            Self::Ipv6 => 8,
            Self::Protocol => 12,
            Self::Port => 13,
            Self::Mark => 19,
            Self::Ifname => 41,
        }
    }
}

/// What a map leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataType {
    Value(Vec<Type>),
    Verdict,
}

/// The definition of a set, or of a map when it has data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetSpec {
    /// One type, or the parts of a concatenation.
    pub key: Vec<Type>,
    pub data: Option<DataType>,
    /// Elements may be ranges.
    pub interval: bool,
    /// Elements are learned from packets: the kernel owns them, and they are neither compared nor written.
    pub dynamic: bool,
    /// Elements belong to others, who add and remove them by batches: they are neither compared nor written.
    pub foreign: bool,
    /// Elements expire; the timeout of those that say none. Zero when elements never expire.
    pub timeout_seconds: u64,
    /// The most elements the set may hold; zero for no bound.
    pub size_max: u32,
}

impl SetSpec {
    pub fn set(key: &[Type]) -> Self {
        Self {
            key: key.to_vec(),
            data: None,
            interval: false,
            dynamic: false,
            foreign: false,
            timeout_seconds: 0,
            size_max: 0,
        }
    }

    pub fn map(key: &[Type], data: &[Type]) -> Self {
        Self { data: Some(DataType::Value(data.to_vec())), ..Self::set(key) }
    }

    pub fn verdict_map(key: &[Type]) -> Self {
        Self { data: Some(DataType::Verdict), ..Self::set(key) }
    }

    #[must_use]
    pub fn interval(mut self) -> Self {
        self.interval = true;
        self
    }

    /// Elements are learned from packets and expire.
    #[must_use]
    pub fn dynamic(mut self, timeout_seconds: u64, size_max: u32) -> Self {
        self.dynamic = true;
        self.timeout_seconds = timeout_seconds;
        self.size_max = size_max;
        self
    }

    /// Elements belong to others.
    #[must_use]
    pub fn foreign(mut self) -> Self {
        self.foreign = true;
        self
    }

    /// The key in the form in which [`super::Nftables::elements`] returns it: padded to the set's length.
    pub fn key(&self, key: impl Into<Key>) -> Key {
        key.into().padded(self.key_len())
    }

    /// The same for a map's data.
    pub fn value(&self, value: Value) -> Value {
        value.padded(self.data_len())
    }

    pub(super) fn key_len(&self) -> u32 {
        concatenation_len(&self.key)
    }

    pub(super) fn key_type(&self) -> u32 {
        concatenation_type(&self.key)
    }

    pub(super) fn data_len(&self) -> u32 {
        match &self.data {
            Some(DataType::Value(types)) => concatenation_len(types),
            _ => 0,
        }
    }

    pub(super) fn data_type(&self) -> u32 {
        match &self.data {
            Some(DataType::Value(types)) => concatenation_type(types),
            _ => 0,
        }
    }

    pub(super) fn flags(&self) -> u32 {
        let mut flags = 0;
        if self.data.is_some() {
            flags |= NFT_SET_MAP;
        }
        if self.interval {
            flags |= NFT_SET_INTERVAL;
            if self.key.len() > 1 {
                flags |= NFT_SET_CONCAT;
            }
        }
        if self.dynamic {
            flags |= NFT_SET_EVAL;
        }
        if self.timeout_seconds > 0 {
            flags |= NFT_SET_TIMEOUT;
        }
        flags
    }

    /// Ranges of a single type are kept as two elements, start and end; concatenations hold both in one.
    pub(super) fn has_end_markers(&self) -> bool {
        self.interval && self.key.len() == 1
    }
}

/// Every part of a concatenation starts on a register of four bytes; a lone type has its own length.
fn concatenation_len(types: &[Type]) -> u32 {
    match types {
        [one] => one.bytes(),
        many => many.iter().map(|part| part.bytes().next_multiple_of(4)).sum(),
    }
}

fn concatenation_type(types: &[Type]) -> u32 {
    const BITS: u32 = 6;
    types.iter().fold(0, |number, part| number << BITS | part.nft_number())
}

/// Up to 24 bytes stand in place: a whole IPv6 service key, or any IPv4 one.
pub(super) type Bytes = SmallVec<[u8; 24]>;

/// A key or a value as the kernel compares it: parts in their own byte order, each padded to four bytes if there are several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(super) Bytes);

impl Value {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.ipv4(address),
            IpAddr::V6(address) => self.ipv6(address),
        }
    }

    #[must_use]
    pub fn ipv4(self, address: Ipv4Addr) -> Self {
        self.part(&address.octets())
    }

    #[must_use]
    pub fn ipv6(self, address: Ipv6Addr) -> Self {
        self.part(&address.octets())
    }

    #[must_use]
    pub fn protocol(self, number: u8) -> Self {
        self.part(&[number])
    }

    #[must_use]
    pub fn port(self, port: u16) -> Self {
        self.part(&port.to_be_bytes())
    }

    #[must_use]
    pub fn mark(self, mark: u32) -> Self {
        self.part(&mark.to_ne_bytes())
    }

    /// An interface's name; what exceeds fifteen bytes is cut, as the kernel has no longer names.
    #[must_use]
    pub fn ifname(self, name: &str) -> Self {
        let mut bytes = [0; 16];
        let length = name.len().min(15);
        bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
        self.part(&bytes)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Pads what is there already and appends. A value of one part therefore keeps its own length.
    fn part(mut self, bytes: &[u8]) -> Self {
        while !self.0.len().is_multiple_of(4) {
            self.0.push(0);
        }
        self.0.extend_from_slice(bytes);
        self
    }

    /// Concatenations are padded at their end too.
    pub(super) fn padded(mut self, length: u32) -> Self {
        while self.0.len() < length as usize {
            self.0.push(0);
        }
        self
    }
}

/// What an element of a set or map carries besides its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// A set has no data.
    None,
    Value(Value),
    Verdict(Verdict),
}

/// The key of an element: one value, or an inclusive range of an interval set.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub(super) start: Value,
    /// The last value of the range; `None` stands for a range of one value. Boxed because few keys are ranges.
    pub(super) end: Option<Box<Value>>,
}

impl Key {
    pub fn range(start: Value, end: Value) -> Self {
        let end = (end != start).then(|| Box::new(end));
        Self { start, end }
    }

    pub fn start(&self) -> &Value {
        &self.start
    }

    pub fn end(&self) -> &Value {
        self.end.as_deref().unwrap_or(&self.start)
    }

    pub(super) fn padded(self, length: u32) -> Self {
        Self { start: self.start.padded(length), end: self.end.map(|end| Box::new(end.padded(length))) }
    }
}

impl From<Value> for Key {
    fn from(start: Value) -> Self {
        Self { start, end: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concatenations_are_padded_and_lone_values_are_not() {
        let key = Value::new().ipv4(Ipv4Addr::new(10, 0, 0, 1)).protocol(6).port(443);
        assert_eq!(key.padded(12).as_bytes(), [10, 0, 0, 1, 6, 0, 0, 0, 1, 187, 0, 0]);
        assert_eq!(Value::new().port(80).as_bytes(), [0, 80]);
        let spec = SetSpec::set(&[Type::Ipv4, Type::Protocol, Type::Port]);
        assert_eq!((spec.key_len(), spec.key_type()), (12, (7 << 6 | 12) << 6 | 13));
        assert_eq!(SetSpec::set(&[Type::Port]).key_len(), 2);
        assert_eq!(Value::new().ifname("eth0").as_bytes().len(), 16);
    }
}
