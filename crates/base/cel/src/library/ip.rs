//! IP addresses.

use std::net::IpAddr;

use crate::error::Error;
use crate::functions::{Declared, declared};
use crate::kinds::ip::parse;
use crate::value::{Opaque, Value};

type Outcome<'a> = Result<Value<'a>, Error>;

pub(super) const FUNCTIONS: &[Declared] = &[
    declared("string_to_ip", "ip", "(string) -> IP", ip),
    declared("ip_family", "family", "IP.() -> int", family),
    declared("ip_is_canonical", "ip.isCanonical", "(string) -> bool", is_canonical),
    declared("ip_is_unspecified", "isUnspecified", "IP.() -> bool", |args| holds(args, |ip| ip.is_unspecified())),
    declared("ip_is_loopback", "isLoopback", "IP.() -> bool", |args| holds(args, |ip| ip.is_loopback())),
    declared("ip_is_link_local_multicast", "isLinkLocalMulticast", "IP.() -> bool", |args| {
        holds(args, is_link_local_multicast)
    }),
    declared("ip_is_link_local_unicast", "isLinkLocalUnicast", "IP.() -> bool", |args| {
        holds(args, is_link_local_unicast)
    }),
    declared("ip_is_global_unicast", "isGlobalUnicast", "IP.() -> bool", |args| holds(args, is_global_unicast)),
    declared("is_ip", "isIP", "(string) -> bool", is_ip),
    declared("ip_to_string", "string", "(IP) -> string", super::conversions::to_text),
];

fn text<'v>(args: &'v [Value<'_>]) -> Result<&'v str, Error> {
    args.first().and_then(Value::as_str).ok_or(Error::NoSuchOverload)
}

fn ip<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::library(Opaque::Ip(parse(text(args)?)?)))
}

fn is_ip<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Bool(parse(text(args)?).is_ok()))
}

fn is_canonical<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let text = text(args)?;
    Ok(Value::Bool(parse(text)?.to_string() == text))
}

fn one(args: &[Value<'_>]) -> Result<IpAddr, Error> {
    match args {
        [Value::Library(opaque)] => match &**opaque {
            Opaque::Ip(ip) => Ok(*ip),
            _ => Err(Error::NoSuchOverload),
        },
        _ => Err(Error::NoSuchOverload),
    }
}

fn family<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Int(if one(args)?.is_ipv4() { 4 } else { 6 }))
}

fn holds<'a>(args: &[Value<'a>], of: fn(&IpAddr) -> bool) -> Outcome<'a> {
    Ok(Value::Bool(of(&one(args)?)))
}

fn is_link_local_multicast(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
    }
}

fn is_link_local_unicast(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn is_global_unicast(ip: &IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    !is_broadcast && !ip.is_unspecified() && !ip.is_loopback() && !ip.is_multicast() && !is_link_local_unicast(ip)
}
