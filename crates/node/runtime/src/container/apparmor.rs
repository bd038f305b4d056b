//! The AppArmor profile that a container's processes change to when they are executed.
//!
//! A profile of the node's must have been loaded by its administrator. The default one is ours; it is loaded when the first container needs
//! it, by the node's `apparmor_parser`, for only that compiles policies. Source: containerd `internal/cri/server/container_create_linux.go`.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use windlass_cri::{Code, Error, Result, SecurityContext, SecurityProfile};

use crate::error::During;

const ENABLED: &str = "/sys/module/apparmor/parameters/enabled";
/// The names of what is loaded, each with its mode behind it.
const LOADED: &str = "/sys/kernel/security/apparmor/profiles";
const PARSERS: [&str; 2] = ["/sbin/apparmor_parser", "/usr/sbin/apparmor_parser"];
/// Whoever comes first loads it; two at once do no harm.
const LOAD: [&str; 2] = ["--replace", "--skip-cache"];
const DEFAULT_NAME: &str = "windlass-default";
const DEFAULT_POLICY: &str = include_str!("apparmor.policy");

/// What the node can do.
#[derive(Clone, Debug, Default)]
pub(super) struct Host {
    enabled: bool,
    parser: Option<&'static str>,
    /// `None` where nobody may know.
    loaded: Option<Vec<String>>,
}

impl Host {
    /// Looks at the node. Blocks for a moment.
    pub(super) fn look() -> Self {
        if !std::fs::read_to_string(ENABLED).is_ok_and(|text| text.starts_with('Y')) {
            return Self::default();
        }
        let loaded = std::fs::read_to_string(LOADED).ok();
        Self {
            enabled: true,
            parser: PARSERS.into_iter().find(|path| Path::new(path).exists()),
            loaded: loaded.map(|text| text.lines().map(|line| name_of(line).to_owned()).collect()),
        }
    }

    fn has(&self, profile: &str) -> Option<bool> {
        self.loaded.as_ref().map(|loaded| loaded.iter().any(|name| name == profile))
    }
}

/// `cri-containerd.apparmor.d (enforce)`.
fn name_of(line: &str) -> &str {
    line.rsplit_once(" (").map_or(line, |(name, _)| name)
}

/// The profile to change to; `None` leaves a container unconfined.
pub(super) fn profile(security: &SecurityContext, host: &Host) -> Result<Option<String>> {
    let unsupported = || Error::invalid("apparmor is not supported");
    match &security.apparmor {
        Some(SecurityProfile::Unconfined) => Ok(None),
        Some(SecurityProfile::Localhost(_)) if !host.enabled => Err(unsupported()),
        Some(SecurityProfile::Localhost(profile)) => {
            let profile = profile.strip_prefix("localhost/").unwrap_or(profile);
            if host.has(profile) == Some(false) {
                return Err(Error::invalid(format!("apparmor profile not found {profile}")));
            }
            Ok(Some(profile.to_owned()))
        }
        Some(SecurityProfile::RuntimeDefault) if !host.enabled || host.parser.is_none() => Err(unsupported()),
        // Whoever is privileged is unconfined unless a profile is named; so is who asks for nothing where nothing can be loaded.
        _ if security.privileged || !host.enabled || host.parser.is_none() => Ok(None),
        Some(SecurityProfile::RuntimeDefault) | None => Ok(Some(DEFAULT_NAME.to_owned())),
    }
}

/// Sees to it that the default profile is loaded, if that is the one. Blocks.
pub(super) fn load(profile: Option<&str>, host: &Host) -> Result<()> {
    let (Some(DEFAULT_NAME), Some(parser)) = (profile, host.parser) else { return Ok(()) };
    if host.has(DEFAULT_NAME) == Some(true) {
        return Ok(());
    }
    compile(parser, &LOAD).during(Code::Internal, || "load the default AppArmor profile".to_owned())
}

/// Gives the default policy to the parser.
fn compile(parser: &str, how: &[&str]) -> io::Result<()> {
    let mut command = Command::new(parser);
    command.args(how).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(DEFAULT_POLICY.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{parser}: {}: {}", output.status, said.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(loaded: Option<&[&str]>) -> Host {
        let loaded = loaded.map(|lines| lines.iter().map(|line| name_of(line).to_owned()).collect());
        Host { enabled: true, parser: Some("/sbin/apparmor_parser"), loaded }
    }

    #[test]
    fn which_profile() {
        let localhost = |name: &str| Some(SecurityProfile::Localhost(name.to_owned()));
        let none = Host::default();
        let (bare, full) =
            (Host { parser: None, ..host(Some(&[])) }, host(Some(&["mine (enforce)", "a b (complain)"])));
        let cases = [
            (None, false, &none, Ok(None)),
            (Some(SecurityProfile::Unconfined), false, &none, Ok(None)),
            (Some(SecurityProfile::RuntimeDefault), false, &none, Err("apparmor is not supported")),
            (localhost("mine"), false, &none, Err("apparmor is not supported")),
            (None, false, &bare, Ok(None)),
            (Some(SecurityProfile::RuntimeDefault), false, &bare, Err("apparmor is not supported")),
            (localhost("mine"), false, &bare, Err("apparmor profile not found mine")),
            (None, false, &full, Ok(Some("windlass-default"))),
            (None, true, &full, Ok(None)),
            (Some(SecurityProfile::RuntimeDefault), false, &full, Ok(Some("windlass-default"))),
            (Some(SecurityProfile::RuntimeDefault), true, &full, Ok(None)),
            (localhost("localhost/mine"), false, &full, Ok(Some("mine"))),
            (localhost("a b"), true, &full, Ok(Some("a b"))),
            (localhost("other"), false, &full, Err("apparmor profile not found other")),
        ];
        for (apparmor, privileged, host, expected) in cases {
            let security = SecurityContext { apparmor: apparmor.clone(), privileged, ..SecurityContext::default() };
            let found = profile(&security, host).map_err(|error| error.message);
            let expected = expected.map(|name| name.map(str::to_owned)).map_err(str::to_owned);
            assert_eq!(found, expected, "{apparmor:?} privileged={privileged} {host:?}");
        }
        // Where the list cannot be read the kernel has the last word.
        let security = SecurityContext { apparmor: localhost("other"), ..SecurityContext::default() };
        assert_eq!(profile(&security, &host(None)).unwrap().as_deref(), Some("other"));
    }

    #[test]
    fn the_policy_bears_the_name_and_loads_only_where_it_is_wanted() {
        assert!(DEFAULT_POLICY.contains(&format!("profile {DEFAULT_NAME} ")));
        let broken = Host { parser: Some("/none/apparmor_parser"), ..host(Some(&[])) };
        assert!(load(Some("mine"), &broken).is_ok() && load(None, &broken).is_ok());
        let error = load(Some(DEFAULT_NAME), &broken).unwrap_err();
        assert!(error.message.starts_with("load the default AppArmor profile"), "{error}");
        assert!(
            load(Some(DEFAULT_NAME), &Host { loaded: host(Some(&["windlass-default (enforce)"])).loaded, ..broken })
                .is_ok()
        );
    }

    /// Where there is a parser it understands how it is called, and the policy; nothing is loaded.
    #[test]
    fn the_policy_is_one() {
        for parser in PARSERS.into_iter().filter(|path| Path::new(path).exists()) {
            compile(parser, &[LOAD[0], LOAD[1], "--skip-kernel-load"]).unwrap();
        }
    }
}
