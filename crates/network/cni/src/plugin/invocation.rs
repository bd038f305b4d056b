//! What a plugin is called with: the environment's variables and standard input.

use std::path::PathBuf;

use crate::{CniError, code, validate};

/// The parameters of one call.
#[derive(Clone, Debug, Default)]
pub struct Invocation {
    command: String,
    container_id: String,
    netns: String,
    if_name: String,
    path: String,
    netns_override: String,
    pub(super) stdin: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Add,
    Del,
    Check,
    Status,
    Gc,
    Version,
}

/// The parameters of ADD, DEL and CHECK.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) container_id: String,
    pub(super) if_name: String,
    /// Empty only for DEL.
    pub(super) netns: PathBuf,
    /// The caller knows that the sandbox shares this process' namespace.
    pub(super) may_share_netns: bool,
}

impl Invocation {
    /// `environment` has the `CNI_…` variables; others are ignored.
    pub fn new<'a>(environment: impl IntoIterator<Item = (&'a str, String)>, stdin: Vec<u8>) -> Self {
        let mut invocation = Self { stdin, ..Self::default() };
        for (name, value) in environment {
            match name {
                "CNI_COMMAND" => invocation.command = value,
                "CNI_CONTAINERID" => invocation.container_id = value,
                "CNI_NETNS" => invocation.netns = value,
                "CNI_IFNAME" => invocation.if_name = value,
                "CNI_PATH" => invocation.path = value,
                "CNI_NETNS_OVERRIDE" => invocation.netns_override = value,
                _ => {}
            }
        }
        invocation
    }

    /// The command, when everything that it needs is there.
    pub(super) fn command(&self) -> Result<Command, CniError> {
        let command = match self.command.as_str() {
            "ADD" => Command::Add,
            "DEL" => Command::Del,
            "CHECK" => Command::Check,
            "STATUS" => Command::Status,
            "GC" => Command::Gc,
            "VERSION" => return Ok(Command::Version),
            "" => return Err(missing("CNI_COMMAND")),
            other => return Err(CniError::new(code::INVALID_ENVIRONMENT, format!("unknown CNI_COMMAND: {other}"))),
        };
        let of_attachment = matches!(command, Command::Add | Command::Del | Command::Check);
        let needs_netns = matches!(command, Command::Add | Command::Check);
        let needed = [
            ("CNI_CONTAINERID", &self.container_id, of_attachment),
            ("CNI_NETNS", &self.netns, needs_netns),
            ("CNI_IFNAME", &self.if_name, of_attachment),
            ("CNI_PATH", &self.path, true),
        ];
        let absent = needed.iter().filter(|(_, value, needed)| *needed && value.is_empty()).map(|(name, _, _)| *name);
        let absent: Vec<_> = absent.collect();
        if !absent.is_empty() {
            return Err(missing(&absent.join(",")));
        }
        if of_attachment {
            validate::container_id(&self.container_id)?;
            validate::interface_name(&self.if_name)?;
        }
        Ok(command)
    }

    pub(super) fn target(&self) -> Target {
        Target {
            container_id: self.container_id.clone(),
            if_name: self.if_name.clone(),
            netns: PathBuf::from(&self.netns),
            may_share_netns: self.netns_override == "1" || self.netns_override.eq_ignore_ascii_case("true"),
        }
    }
}

fn missing(names: &str) -> CniError {
    CniError::new(code::INVALID_ENVIRONMENT, format!("required env variables [{names}] missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(variables: &[(&'static str, &str)]) -> Result<Command, String> {
        let environment = variables.iter().map(|(name, value)| (*name, (*value).to_owned()));
        Invocation::new(environment, Vec::new()).command().map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(invocation(&[]).unwrap_err(), "required env variables [CNI_COMMAND] missing");
        let add = ("CNI_COMMAND", "ADD");
        assert_eq!(
            invocation(&[add, ("CNI_IFNAME", "eth0")]).unwrap_err(),
            "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_PATH] missing"
        );
        let all = [add, ("CNI_CONTAINERID", "c"), ("CNI_NETNS", "/n"), ("CNI_IFNAME", "eth0"), ("CNI_PATH", "/p")];
        assert_eq!(invocation(&all), Ok(Command::Add));
        let bad = [add, ("CNI_CONTAINERID", "../c"), ("CNI_NETNS", "/n"), ("CNI_IFNAME", "eth0"), ("CNI_PATH", "/p")];
        assert_eq!(invocation(&bad).unwrap_err(), "invalid characters in containerID; ../c");
        assert_eq!(invocation(&[("CNI_COMMAND", "VERSION")]), Ok(Command::Version));
        assert_eq!(invocation(&[("CNI_COMMAND", "GC"), ("CNI_PATH", "/p")]), Ok(Command::Gc));
        assert_eq!(invocation(&[("CNI_COMMAND", "RUN")]).unwrap_err(), "unknown CNI_COMMAND: RUN");
    }
}
