//! Seccomp profiles from files, in the form of the OCI runtime specification (`linux.seccomp`).

use std::path::Path;

use serde::Deserialize;

use super::profile::{Action, Argument, Comparison, Profile, Rule};

/// A profile that is longer is not one.
const FILE_BYTES_MAX: u64 = 4 << 20;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    #[error("cannot read seccomp profile {path}")]
    Read { path: String, source: std::io::Error },
    #[error("seccomp profile {path} is not valid")]
    Parse { path: String, source: serde_json::Error },
    #[error("seccomp profile {path}: {name} is not supported")]
    Unsupported { path: String, name: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    default_action: String,
    default_errno_ret: Option<u16>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    syscalls: Vec<Syscall>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Syscall {
    names: Vec<String>,
    action: String,
    errno_ret: Option<u16>,
    #[serde(default)]
    args: Vec<Arg>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arg {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// Reads a profile. Blocks.
pub(crate) fn load(path: &str) -> Result<Profile, ProfileError> {
    let text = windlass_tree::read_config(Path::new(path), FILE_BYTES_MAX)
        .map_err(|source| ProfileError::Read { path: path.to_owned(), source })?;
    parse(path, &text)
}

fn parse(path: &str, text: &[u8]) -> Result<Profile, ProfileError> {
    let file: File =
        serde_json::from_slice(text).map_err(|source| ProfileError::Parse { path: path.to_owned(), source })?;
    let unsupported = |name: &str| ProfileError::Unsupported { path: path.to_owned(), name: name.to_owned() };
    let mut rules = Vec::with_capacity(file.syscalls.len());
    for call in file.syscalls {
        let action = action(&call.action, call.errno_ret).ok_or_else(|| unsupported(&call.action))?;
        let arguments = call.args.iter().map(|arg| argument(arg).ok_or_else(|| unsupported(&arg.op)));
        rules.push(Rule { names: call.names, action, arguments: arguments.collect::<Result<_, _>>()? });
    }
    Ok(Profile {
        default: action(&file.default_action, file.default_errno_ret)
            .ok_or_else(|| unsupported(&file.default_action))?,
        rules,
        compat: file.architectures.iter().any(|name| matches!(name.as_str(), "SCMP_ARCH_X86" | "SCMP_ARCH_ARM")),
    })
}

fn action(name: &str, number: Option<u16>) -> Option<Action> {
    let number = number.unwrap_or(libc::EPERM as u16);
    Some(match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_ERRNO" => Action::Errno(number),
        "SCMP_ACT_TRACE" => Action::Trace(number),
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        // SCMP_ACT_NOTIFY needs a listener of its own.
        _ => return None,
    })
}

fn argument(arg: &Arg) -> Option<Argument> {
    let value = arg.value;
    let comparison = match arg.op.as_str() {
        "SCMP_CMP_NE" => Comparison::NotEqual(value),
        "SCMP_CMP_LT" => Comparison::Less(value),
        "SCMP_CMP_LE" => Comparison::LessOrEqual(value),
        "SCMP_CMP_EQ" => Comparison::Equal(value),
        "SCMP_CMP_GE" => Comparison::GreaterOrEqual(value),
        "SCMP_CMP_GT" => Comparison::Greater(value),
        // As libseccomp: the first number is the mask.
        "SCMP_CMP_MASKED_EQ" => Comparison::Masked { mask: value, value: arg.value_two },
        _ => return None,
    };
    Some(Argument { index: arg.index, comparison })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files() {
        let text = br#"{
            "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
            "syscalls": [
                {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
                 "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]}
            ]}"#;
        let profile = parse("p", text).unwrap();
        assert_eq!(profile.default, Action::Errno(38));
        assert!(profile.compat);
        assert_eq!(profile.rules.len(), 2);
        let masked = Comparison::Masked { mask: 2_114_060_288, value: 0 };
        assert_eq!(profile.rules[1].arguments, [Argument { index: 0, comparison: masked }]);
        let log_all = parse("p", br#"{"defaultAction": "SCMP_ACT_LOG"}"#).unwrap();
        assert_eq!((log_all.default, log_all.rules.len()), (Action::Log, 0));
    }

    #[test]
    fn bad_files_say_why() {
        let message = |text: &str| parse("/p.json", text.as_bytes()).unwrap_err().to_string();
        assert_eq!(message("{"), "seccomp profile /p.json is not valid");
        let notify = r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#;
        assert_eq!(message(notify), "seccomp profile /p.json: SCMP_ACT_NOTIFY is not supported");
        assert!(matches!(load("/nonexistent.json"), Err(ProfileError::Read { .. })));
    }
}
