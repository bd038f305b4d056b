//! Netlink messages as bytes: a builder for requests and a reader for replies.
//!
//! The builder appends to one buffer, so that a batch of thousands of commands is one allocation and one system call. It
//! knows lengths, padding and nesting, and nothing of what the attributes mean. The reader takes bytes that the kernel sent
//! and never panics on them: a message or attribute that does not add up ends the iteration.

/// Size of `struct nlmsghdr`.
pub(crate) const HEADER_BYTES: usize = 16;

/// An attribute holds at most this many bytes, because its length is a u16 that counts the four bytes of its own header.
pub(crate) const ATTRIBUTE_BYTES_MAX: usize = u16::MAX as usize - 4;

const NLA_F_NESTED: u16 = 0x8000;
const NLA_TYPE_MASK: u16 = 0x3fff;

/// Appends netlink messages to a buffer.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    buffer: Vec<u8>,
    /// Where the message under construction starts.
    start: usize,
    /// An attribute did not fit its length field; the buffer must not be sent.
    oversized: bool,
}

/// Where an open nested attribute starts; give it back to [`Builder::end_nest`].
#[must_use]
pub(crate) struct Nest(usize);

impl Builder {
    pub(crate) fn begin(&mut self, kind: u16, flags: u16, sequence: u32) {
        self.start = self.buffer.len();
        self.buffer.extend_from_slice(&0_u32.to_ne_bytes());
        self.buffer.extend_from_slice(&kind.to_ne_bytes());
        self.buffer.extend_from_slice(&flags.to_ne_bytes());
        self.buffer.extend_from_slice(&sequence.to_ne_bytes());
        self.buffer.extend_from_slice(&0_u32.to_ne_bytes());
    }

    /// The fixed structure that follows the header, such as `struct nfgenmsg` or `struct ifinfomsg`.
    pub(crate) fn fixed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.pad();
    }

    pub(crate) fn attribute(&mut self, kind: u16, data: &[u8]) {
        let length = u16::try_from(data.len() + 4).unwrap_or_else(|_| {
            self.oversized = true;
            4
        });
        self.buffer.extend_from_slice(&length.to_ne_bytes());
        self.buffer.extend_from_slice(&kind.to_ne_bytes());
        self.buffer.extend_from_slice(data);
        self.pad();
    }

    pub(crate) fn u8(&mut self, kind: u16, value: u8) {
        self.attribute(kind, &[value]);
    }

    /// In the host's byte order, as rtnetlink wants it.
    pub(crate) fn u32(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    /// In network byte order, as netfilter wants it.
    pub(crate) fn be32(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    pub(crate) fn be64(&mut self, kind: u16, value: u64) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// A string with its terminating zero.
    pub(crate) fn string(&mut self, kind: u16, value: &str) {
        let length = u16::try_from(value.len() + 5).unwrap_or_else(|_| {
            self.oversized = true;
            4
        });
        self.buffer.extend_from_slice(&length.to_ne_bytes());
        self.buffer.extend_from_slice(&kind.to_ne_bytes());
        self.buffer.extend_from_slice(value.as_bytes());
        self.buffer.push(0);
        self.pad();
    }

    pub(crate) fn begin_nest(&mut self, kind: u16) -> Nest {
        let at = self.buffer.len();
        self.buffer.extend_from_slice(&0_u16.to_ne_bytes());
        self.buffer.extend_from_slice(&(kind | NLA_F_NESTED).to_ne_bytes());
        Nest(at)
    }

    pub(crate) fn end_nest(&mut self, nest: Nest) {
        match u16::try_from(self.buffer.len() - nest.0) {
            Ok(length) => self.buffer[nest.0..nest.0 + 2].copy_from_slice(&length.to_ne_bytes()),
            Err(_) => self.oversized = true,
        }
    }

    pub(crate) fn nested(&mut self, kind: u16, content: impl FnOnce(&mut Self)) {
        let nest = self.begin_nest(kind);
        content(self);
        self.end_nest(nest);
    }

    /// Appends attributes that were encoded before.
    pub(crate) fn encoded(&mut self, attributes: &[u8]) {
        self.buffer.extend_from_slice(attributes);
        self.pad();
    }

    pub(crate) fn end(&mut self) {
        match u32::try_from(self.buffer.len() - self.start) {
            Ok(length) => self.buffer[self.start..self.start + 4].copy_from_slice(&length.to_ne_bytes()),
            Err(_) => self.oversized = true,
        }
    }

    /// Adds flags to the message that was begun last.
    pub(crate) fn set_flags(&mut self, flags: u16) {
        let at = self.start + 6;
        if let Some(field) = self.buffer.get_mut(at..at + 2) {
            let flags = u16::from_ne_bytes([field[0], field[1]]) | flags;
            field.copy_from_slice(&flags.to_ne_bytes());
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// The messages, unless one of them does not fit netlink's length fields.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        (!self.oversized).then_some(self.buffer.as_slice())
    }

    fn pad(&mut self) {
        while !self.buffer.len().is_multiple_of(4) {
            self.buffer.push(0);
        }
    }
}

/// One message of a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    /// What follows `struct nlmsghdr`.
    pub(crate) payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// The attributes behind a fixed structure of `fixed_bytes`.
    pub(crate) fn attributes(&self, fixed_bytes: usize) -> Attributes<'a> {
        Attributes(self.payload.get(align(fixed_bytes)..).unwrap_or_default())
    }
}

/// The messages of one datagram.
pub(crate) struct Messages<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let length = read_u32(self.0, 0)? as usize;
        let message = Message {
            kind: read_u16(self.0, 4)?,
            flags: read_u16(self.0, 6)?,
            sequence: read_u32(self.0, 8)?,
            payload: self.0.get(HEADER_BYTES..length)?,
        };
        self.0 = self.0.get(align(length)..).unwrap_or_default();
        Some(message)
    }
}

/// A run of attributes: (type without flags, content).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attributes<'a>(pub(crate) &'a [u8]);

impl<'a> Attributes<'a> {
    pub(crate) fn find(self, kind: u16) -> Option<&'a [u8]> {
        let mut attributes = self;
        attributes.find_map(|(k, data)| (k == kind).then_some(data))
    }

    pub(crate) fn nested(self, kind: u16) -> Attributes<'a> {
        Attributes(self.find(kind).unwrap_or_default())
    }

    pub(crate) fn string(self, kind: u16) -> Option<String> {
        let data = self.find(kind)?;
        let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
        Some(String::from_utf8_lossy(&data[..end]).into_owned())
    }

    pub(crate) fn u32(self, kind: u16) -> Option<u32> {
        read_u32(self.find(kind)?, 0)
    }

    pub(crate) fn be32(self, kind: u16) -> Option<u32> {
        self.u32(kind).map(u32::from_be)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(read_u16(self.0, 0)?);
        let kind = read_u16(self.0, 2)? & NLA_TYPE_MASK;
        let data = self.0.get(4..length)?;
        self.0 = self.0.get(align(length)..).unwrap_or_default();
        Some((kind, data))
    }
}

fn align(length: usize) -> usize {
    length.next_multiple_of(4)
}

pub(crate) fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(crate) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_built_is_read() {
        let mut builder = Builder::default();
        builder.begin(7, 5, 42);
        builder.fixed(&[1, 2, 3]);
        builder.string(1, "abc");
        builder.nested(2, |b| {
            b.be32(3, 9);
            b.u8(4, 1);
        });
        builder.end();
        builder.begin(8, 0, 43);
        builder.end();
        let bytes = builder.bytes().unwrap();
        let messages: Vec<_> = Messages(bytes).collect();
        assert_eq!(messages.len(), 2);
        assert_eq!((messages[0].kind, messages[0].flags, messages[0].sequence), (7, 5, 42));
        let attributes = messages[0].attributes(3);
        assert_eq!(attributes.string(1).as_deref(), Some("abc"));
        assert_eq!(attributes.nested(2).be32(3), Some(9));
        assert_eq!(attributes.nested(2).find(4), Some(&[1][..]));
        assert_eq!(attributes.find(5), None);
        assert_eq!((messages[1].kind, messages[1].payload.len()), (8, 0));
    }

    #[test]
    fn an_attribute_that_does_not_fit_is_not_sent() {
        let mut builder = Builder::default();
        builder.begin(1, 0, 0);
        builder.nested(1, |b| {
            b.attribute(1, &vec![0; 40_000]);
            b.attribute(1, &vec![0; 40_000]);
        });
        builder.end();
        assert!(builder.bytes().is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for message in Messages(&bytes) {
                for (_, data) in message.attributes(4) {
                    Attributes(data).for_each(drop);
                }
            }
        }
    }
}
