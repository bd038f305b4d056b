//! Netlink itself: messages and sockets, shared by nftables, routes and connection tracking.

mod message;
mod socket;

pub(crate) use message::{ATTRIBUTE_BYTES_MAX, Attributes, Builder, Message, read_u16, read_u32};
pub(crate) use socket::{Dump, Protocol, Refusal, Socket};
