//! Addresses of a name, from the C library's resolver: /etc/hosts, nsswitch.conf and search lists count as everywhere on the machine.
//!
//! The standard library asks the same resolver and then tells failures apart by their text alone; here they keep their number.

use std::ffi::{CStr, CString};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use crate::dial_error::DialError;

/// Of more addresses than these nobody tries all.
const ADDRESSES_MAX: usize = 16;

/// The addresses of a host, in the resolver's order. A literal address is its own.
pub(super) async fn lookup(host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let name = CString::new(host).map_err(|_| DialError::Address(host.to_owned()))?;
    // The resolver blocks.
    match tokio::task::spawn_blocking(move || resolve(&name, port)).await {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(code)) => Err(failure(host, code)),
        Err(_) => Err(failure(host, libc::EAI_FAIL)),
    }
}

fn failure(host: &str, code: libc::c_int) -> DialError {
    let (reason, transient) = match code {
        libc::EAI_NONAME | libc::EAI_NODATA => ("no such host", false),
        libc::EAI_AGAIN => ("temporary failure in name resolution", true),
        _ => ("server misbehaving", true),
    };
    DialError::Lookup { host: host.to_owned(), reason: reason.to_owned(), transient }
}

/// Frees what the resolver allocated.
struct Found(*mut libc::addrinfo);

impl Drop for Found {
    fn drop(&mut self) {
        // SAFETY: the pointer is what getaddrinfo gave, which is freed once.
        unsafe { libc::freeaddrinfo(self.0) };
    }
}

fn resolve(name: &CStr, port: u16) -> Result<Vec<SocketAddr>, libc::c_int> {
    // SAFETY: all zeros are a valid value: no flags, any family, no pointers.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut first = std::ptr::null_mut();
    // SAFETY: the name ends with a zero, no service is asked for, and the result goes to a pointer of ours.
    let code = unsafe { libc::getaddrinfo(name.as_ptr(), std::ptr::null(), &raw const hints, &raw mut first) };
    if code != 0 {
        return Err(code);
    }
    let found = Found(first);
    let mut addresses = Vec::new();
    let mut at = found.0;
    while !at.is_null() && addresses.len() < ADDRESSES_MAX {
        // SAFETY: not null, and part of the list that `found` keeps alive.
        let entry = unsafe { &*at };
        addresses.extend(address(entry, port));
        at = entry.ai_next;
    }
    Ok(addresses)
}

fn address(entry: &libc::addrinfo, port: u16) -> Option<SocketAddr> {
    match entry.ai_family {
        libc::AF_INET => {
            // SAFETY: the family says which structure the address is.
            let v4 = unsafe { &*entry.ai_addr.cast::<libc::sockaddr_in>() };
            Some(SocketAddr::new(IpAddr::from(v4.sin_addr.s_addr.to_ne_bytes()), port))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { &*entry.ai_addr.cast::<libc::sockaddr_in6>() };
            Some(SocketAddrV6::new(v6.sin6_addr.s6_addr.into(), port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_and_addresses() {
        assert_eq!(lookup("::1", 7).await.unwrap(), ["[::1]:7".parse().unwrap()]);
        assert!(lookup("localhost", 7).await.unwrap().iter().all(|address| address.ip().is_loopback()));
        assert!(matches!(lookup("a\0b", 7).await, Err(DialError::Address(_))));
    }

    #[test]
    fn failures_are_told_by_number() {
        let text = |code| failure("r.example", code).to_string();
        assert_eq!(text(libc::EAI_NONAME), "dial tcp: lookup r.example: no such host");
        assert!(!failure("h", libc::EAI_NONAME).is_transient() && failure("h", libc::EAI_AGAIN).is_transient());
    }
}
