//! A netlink socket: requests that are acknowledged, dumps, and netfilter's batches.
//!
//! The kernel answers netlink requests before the sending system call returns, so nothing here waits for long; a time limit
//! on reception only guards against a kernel that does not answer at all. A socket belongs for ever to the network namespace
//! of the thread that opened it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto, setsockopt, socket,
    sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::message::{Attributes, Message, Messages, read_u32};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;
const NLMSGERR_ATTR_OFFS: u16 = 2;

/// The kernel fills at most 32 KiB of a dump into one datagram.
const RECEIVE_BUFFER_BYTES: usize = 64 * 1024;
const ANSWER_SECONDS_MAX: i64 = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Route,
    Netfilter,
}

/// The kernel said no to one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The sequence number of the message.
    pub(crate) sequence: u32,
    pub(crate) errno: i32,
    /// The kernel's own explanation, where it has one.
    pub(crate) message: Option<String>,
    /// Where in the message the offending attribute stands.
    pub(crate) offset: Option<u32>,
}

/// How a dump ended.
#[derive(Debug)]
pub(crate) enum Dump {
    Complete,
    /// What was dumped changed meanwhile: parts may be missing or doubled.
    Interrupted,
    Refused(Refusal),
}

#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
    send_buffer_bytes: usize,
    receive_buffer_answers: usize,
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace.
    pub(crate) fn open(protocol: Protocol) -> io::Result<Self> {
        let protocol = match protocol {
            Protocol::Route => SockProtocol::NetlinkRoute,
            Protocol::Netfilter => SockProtocol::NetlinkNetFilter,
        };
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::seconds(ANSWER_SECONDS_MAX))?;
        // Both only improve error messages; kernels before 4.12 do not have them.
        let _ = set_netlink_option(&fd, libc::NETLINK_EXT_ACK);
        let _ = set_netlink_option(&fd, libc::NETLINK_CAP_ACK);
        Ok(Self { fd, sequence: 1, buffer: Vec::new(), send_buffer_bytes: 0, receive_buffer_answers: 0 })
    }

    /// A sequence number that no earlier message of this socket had.
    pub(crate) fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Sends messages that each ask for an acknowledgement and reads the `count` answers. Refused ones are returned.
    pub(crate) fn request(&mut self, bytes: &[u8], count: usize) -> io::Result<Vec<Refusal>> {
        self.reserve_receive_buffer(count)?;
        self.send(bytes)?;
        let mut refusals = Vec::new();
        let mut answers = 0;
        while answers < count {
            self.receive(MsgFlags::empty(), |message| {
                if let Some(answer) = answer(message) {
                    answers += 1;
                    refusals.extend(answer.err());
                }
            })?;
        }
        Ok(refusals)
    }

    /// Sends one message and gives the replies that precede its acknowledgement to `each`.
    pub(crate) fn query(&mut self, bytes: &[u8], mut each: impl FnMut(Message<'_>)) -> io::Result<Option<Refusal>> {
        self.send(bytes)?;
        let sequence = self.sequence;
        let mut end = None;
        while end.is_none() {
            self.receive(MsgFlags::empty(), |message| match answer(message) {
                _ if message.sequence != sequence => {}
                Some(answer) => end = Some(answer.err()),
                None => each(message),
            })?;
        }
        Ok(end.flatten())
    }

    /// Sends a netfilter batch. All answers are waiting when the system call returns; `acknowledged` is the sequence number
    /// of the one message that asks for an acknowledgement. Returns the refusals, or an error when neither a refusal nor the
    /// acknowledgement arrived.
    pub(crate) fn batch(&mut self, bytes: &[u8], acknowledged: u32) -> io::Result<Vec<Refusal>> {
        self.reserve_receive_buffer(acknowledged as usize)?;
        self.send(bytes)?;
        let mut refusals = Vec::new();
        let mut done = false;
        loop {
            let received = self.receive(MsgFlags::MSG_DONTWAIT, |message| match answer(message) {
                Some(Ok(sequence)) if sequence == acknowledged => done = true,
                Some(Err(refusal)) => refusals.push(refusal),
                _ => {}
            });
            match received {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if refusals.is_empty() && !done {
            return Err(io::Error::other("the kernel did not answer the batch"));
        }
        Ok(refusals)
    }

    /// Sends one dump request and gives every message of the dump to `each`.
    pub(crate) fn dump(&mut self, bytes: &[u8], mut each: impl FnMut(Message<'_>)) -> io::Result<Dump> {
        self.send(bytes)?;
        let sequence = self.sequence;
        let mut interrupted = false;
        let mut end = None;
        while end.is_none() {
            self.receive(MsgFlags::empty(), |message| {
                if message.sequence != sequence {
                    return;
                }
                interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
                match message.kind {
                    // A dump that fails on its way says so in its last message.
                    NLMSG_DONE => match read_u32(message.payload, 0).map(u32::cast_signed) {
                        Some(code) if code < 0 => {
                            end = Some(Dump::Refused(Refusal { sequence, errno: -code, message: None, offset: None }));
                        }
                        _ => end = Some(Dump::Complete),
                    },
                    NLMSG_ERROR => {
                        end = Some(answer(message).and_then(Result::err).map_or(Dump::Complete, Dump::Refused));
                    }
                    _ => each(message),
                }
            })?;
        }
        match end {
            Some(Dump::Refused(refusal)) if refusal.errno == libc::EINTR => Ok(Dump::Interrupted),
            Some(Dump::Refused(refusal)) => Ok(Dump::Refused(refusal)),
            _ if interrupted => Ok(Dump::Interrupted),
            _ => Ok(Dump::Complete),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reserve_send_buffer(bytes.len())?;
        loop {
            match sendto(self.fd.as_raw_fd(), bytes, &NetlinkAddr::new(0, 0), MsgFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// A batch must be one datagram, and the socket's buffer limits a datagram.
    fn reserve_send_buffer(&mut self, bytes: usize) -> io::Result<()> {
        const USUAL_BYTES: usize = 128 * 1024;
        if bytes <= USUAL_BYTES.max(self.send_buffer_bytes) {
            return Ok(());
        }
        setsockopt(&self.fd, sockopt::SndBufForce, &(bytes + USUAL_BYTES))?;
        self.send_buffer_bytes = bytes;
        Ok(())
    }

    /// All answers pile up in the socket before the first is read; one that finds no room is lost.
    fn reserve_receive_buffer(&mut self, answers: usize) -> io::Result<()> {
        const ANSWER_BYTES: usize = 2048;
        const USUAL_ANSWERS: usize = 64;
        if answers <= USUAL_ANSWERS.max(self.receive_buffer_answers) {
            return Ok(());
        }
        setsockopt(&self.fd, sockopt::RcvBufForce, &(answers * ANSWER_BYTES))?;
        self.receive_buffer_answers = answers;
        Ok(())
    }

    fn receive(&mut self, flags: MsgFlags, each: impl FnMut(Message<'_>)) -> io::Result<()> {
        if self.buffer.is_empty() {
            self.buffer.resize(RECEIVE_BUFFER_BYTES, 0);
        }
        let length = loop {
            match recv(self.fd.as_raw_fd(), &mut self.buffer, flags) {
                Ok(length) => break length,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        };
        Messages(&self.buffer[..length]).for_each(each);
        Ok(())
    }
}

/// Reads an acknowledgement (`Ok` with its sequence number) or a refusal; `None` for other messages.
fn answer(message: Message<'_>) -> Option<Result<u32, Refusal>> {
    if message.kind != NLMSG_ERROR {
        return None;
    }
    let code = read_u32(message.payload, 0)?.cast_signed();
    if code == 0 {
        return Some(Ok(message.sequence));
    }
    let mut refusal = Refusal { sequence: message.sequence, errno: -code, message: None, offset: None };
    if message.flags & NLM_F_ACK_TLVS != 0 {
        // The code is followed by the header of the refused message, and by all of it unless the answer is capped.
        let echoed = if message.flags & NLM_F_CAPPED != 0 { 16 } else { read_u32(message.payload, 4)? as usize };
        let attributes = Attributes(message.payload.get(4 + echoed.next_multiple_of(4)..).unwrap_or_default());
        refusal.message = attributes.string(NLMSGERR_ATTR_MSG);
        refusal.offset = attributes.u32(NLMSGERR_ATTR_OFFS);
    }
    Some(Err(refusal))
}

fn set_netlink_option(fd: &OwnedFd, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option's value is a c_int that lives across the call, and its size is passed.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
