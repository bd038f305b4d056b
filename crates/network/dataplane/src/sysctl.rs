//! Kernel parameters below `/proc/sys/net`. They belong to the network namespace of the thread that opens the file: run these
//! inside [`crate::Netns::run`] for another one.

use std::fs;
use std::io;

/// Writes a parameter unless it already has the value. `name` uses slashes, because interface names may contain dots:
/// `net/ipv4/conf/eth0/forwarding`.
pub fn set(name: &str, value: &str) -> io::Result<()> {
    if get(name).is_ok_and(|current| current == value) {
        return Ok(());
    }
    fs::write(path(name), value)
}

/// Reads a parameter without the trailing newline.
pub fn get(name: &str) -> io::Result<String> {
    let mut value = fs::read_to_string(path(name))?;
    value.truncate(value.trim_end().len());
    Ok(value)
}

fn path(name: &str) -> String {
    format!("/proc/sys/{name}")
}
