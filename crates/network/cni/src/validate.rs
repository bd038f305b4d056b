//! What names may look like. Both sides check: names become parts of paths and links.

use crate::{CniError, code};

const IF_NAME_BYTES_MAX: usize = 15;

/// An alphanumeric character, then those, underscores, dots and hyphens.
fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

pub(crate) fn container_id(id: &str) -> Result<(), CniError> {
    if id.is_empty() {
        return Err(CniError::new(code::UNKNOWN_CONTAINER, "missing containerID"));
    }
    if !is_identifier(id) {
        return Err(CniError::new(code::INVALID_ENVIRONMENT, "invalid characters in containerID").details(id));
    }
    Ok(())
}

pub(crate) fn network_name(name: &str) -> Result<(), CniError> {
    if name.is_empty() {
        return Err(CniError::new(code::INVALID_CONFIG, "missing network name"));
    }
    if !is_identifier(name) {
        return Err(CniError::new(code::INVALID_CONFIG, "invalid characters found in network name").details(name));
    }
    Ok(())
}

pub(crate) fn interface_name(name: &str) -> Result<(), CniError> {
    let problem = if name.is_empty() {
        "interface name is empty"
    } else if name.len() > IF_NAME_BYTES_MAX {
        "interface name is too long"
    } else if name == "." || name == ".." {
        "interface name is . or .."
    } else if name.chars().any(|c| matches!(c, '/' | ':') || c.is_whitespace()) {
        "interface name contains / or : or whitespace characters"
    } else {
        return Ok(());
    };
    Err(CniError::new(code::INVALID_ENVIRONMENT, problem).details(name))
}

/// A plugin's type is the name of an executable in one of the given directories, and nowhere else.
pub(crate) fn plugin_type(name: &str) -> Result<(), CniError> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(CniError::new(code::INVALID_CONFIG, "invalid plugin name").details(name));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (id, ok) in [("a1_.-", true), ("", false), (".a", false), ("a/b", false), ("ä", false), ("a b", false)] {
            assert_eq!(container_id(id).is_ok(), ok, "{id}");
            assert_eq!(network_name(id).is_ok(), ok, "{id}");
        }
        for (name, ok) in [("eth0", true), ("", false), ("sixteen-letters!", false), ("..", false), ("a:b", false)] {
            assert_eq!(interface_name(name).is_ok(), ok, "{name}");
        }
        assert!(plugin_type("../../bin/sh").is_err());
        assert!(plugin_type("bridge").is_ok());
    }
}
