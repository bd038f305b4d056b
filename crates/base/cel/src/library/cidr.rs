//! Functions of ranges of IP addresses.

use crate::error::Error;
use crate::functions::{Declared, declared};
use crate::kinds::cidr::Cidr;
use crate::kinds::ip;
use crate::value::{Opaque, Value};

type Outcome<'a> = Result<Value<'a>, Error>;

pub(super) const FUNCTIONS: &[Declared] = &[
    declared("string_to_cidr", "cidr", "(string) -> CIDR", cidr),
    declared("cidr_contains_ip_string", "containsIP", "CIDR.(string) -> bool", contains_ip),
    declared("cidr_contains_ip_ip", "containsIP", "CIDR.(IP) -> bool", contains_ip),
    declared("cidr_contains_cidr_string", "containsCIDR", "CIDR.(string) -> bool", contains_cidr),
    declared("cidr_contains_cidr", "containsCIDR", "CIDR.(CIDR) -> bool", contains_cidr),
    declared("cidr_ip", "ip", "CIDR.() -> IP", address),
    declared("cidr_prefix_length", "prefixLength", "CIDR.() -> int", prefix_length),
    declared("cidr_masked", "masked", "CIDR.() -> CIDR", masked),
    declared("is_cidr", "isCIDR", "(string) -> bool", is_cidr),
    declared("cidr_to_string", "string", "(CIDR) -> string", super::conversions::to_text),
];

fn text<'v>(args: &'v [Value<'_>]) -> Result<&'v str, Error> {
    args.first().and_then(Value::as_str).ok_or(Error::NoSuchOverload)
}

/// Upstream says twice while doing what it failed.
fn doubled(error: Error) -> Error {
    Error::Argument(format!("network address parse error during conversion from string: {error}"))
}

fn cidr<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let cidr = Cidr::parse(text(args)?).map_err(doubled)?;
    Ok(Value::library(Opaque::Cidr(cidr)))
}

fn is_cidr<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Bool(Cidr::parse(text(args)?).is_ok()))
}

fn one(args: &[Value<'_>]) -> Result<Cidr, Error> {
    match args {
        [Value::Library(opaque), ..] => match &**opaque {
            Opaque::Cidr(cidr) => Ok(*cidr),
            _ => Err(Error::NoSuchOverload),
        },
        _ => Err(Error::NoSuchOverload),
    }
}

fn contains_ip<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let range = one(args)?;
    let address = match &args[1..] {
        // Upstream does not say what is wrong with the address.
        [Value::String(text)] => ip::parse(text.as_str()).map_err(|_| Error::NoSuchOverload)?,
        [Value::Library(opaque)] => match &**opaque {
            Opaque::Ip(ip) => *ip,
            _ => return Err(Error::NoSuchOverload),
        },
        _ => return Err(Error::NoSuchOverload),
    };
    Ok(Value::Bool(range.contains(address)))
}

fn contains_cidr<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let range = one(args)?;
    let other = match &args[1..] {
        [Value::String(text)] => Cidr::parse(text.as_str()).map_err(doubled)?,
        other => one(other)?,
    };
    Ok(Value::Bool(range.bits <= other.bits && range.contains(other.address)))
}

fn address<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::library(Opaque::Ip(one(args)?.address)))
}

fn prefix_length<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Int(one(args)?.bits.into()))
}

fn masked<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::library(Opaque::Cidr(one(args)?.masked())))
}
