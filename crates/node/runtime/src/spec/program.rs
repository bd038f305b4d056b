//! What a container executes: arguments, environment, working directory, stop signal.

use windlass_cri::{ContainerConfig, ImageRunConfig};

/// Where programs are looked for when neither image nor pod says it.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DEFAULT_STOP_SIGNAL: i32 = libc::SIGTERM;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProgramError {
    #[error("no command specified")]
    NoCommand,
    #[error("the working directory {0:?} is not an absolute path")]
    RelativeWorkingDir(String),
    #[error("unknown signal {0:?}")]
    Signal(String),
    #[error("{0} contains a NUL byte")]
    Nul(&'static str),
}

/// A command of the pod replaces the image's entrypoint and arguments, arguments alone replace the image's arguments.
pub(crate) fn arguments(config: &ContainerConfig, image: &ImageRunConfig) -> Result<Vec<String>, ProgramError> {
    let (command, args) = match (config.command.is_empty(), config.args.is_empty()) {
        (false, _) => (&config.command, &config.args),
        (true, false) => (&image.entrypoint, &config.args),
        (true, true) => (&image.entrypoint, &image.cmd),
    };
    let all: Vec<String> = command.iter().chain(args).cloned().collect();
    match all.first() {
        None => Err(ProgramError::NoCommand),
        Some(_) if all.iter().any(|part| part.contains('\0')) => Err(ProgramError::Nul("the command")),
        Some(_) => Ok(all),
    }
}

/// Defaults, then the image's, then the pod's variables; a later one replaces an earlier one of the same name.
pub(crate) fn environment(
    config: &ContainerConfig,
    image: &ImageRunConfig,
    hostname: &str,
    home: &str,
) -> Result<Vec<String>, ProgramError> {
    let mut variables = Variables::default();
    variables.set(DEFAULT_PATH.to_owned());
    if config.tty {
        variables.set("TERM=xterm".to_owned());
    }
    variables.set(format!("HOSTNAME={hostname}"));
    image.env.iter().for_each(|variable| variables.set(variable.clone()));
    config.envs.iter().for_each(|(name, value)| variables.set(format!("{name}={value}")));
    if !variables.0.iter().any(|variable| variable.starts_with("HOME=")) {
        variables.set(format!("HOME={home}"));
    }
    if variables.0.iter().any(|variable| variable.contains('\0')) {
        return Err(ProgramError::Nul("the environment"));
    }
    Ok(variables.0)
}

#[derive(Default)]
struct Variables(Vec<String>);

impl Variables {
    fn set(&mut self, variable: String) {
        let name = variable.split('=').next().unwrap_or_default();
        let same = |known: &String| known.split('=').next() == Some(name);
        match self.0.iter().position(same) {
            Some(at) => self.0[at] = variable,
            None => self.0.push(variable),
        }
    }
}

/// The environment of a command that is executed in a container with `environment`.
pub(crate) fn exec_environment(environment: &[String], terminal: bool) -> Vec<String> {
    let mut list = environment.to_vec();
    if terminal && !list.iter().any(|variable| variable.starts_with("TERM=")) {
        list.push("TERM=xterm".to_owned());
    }
    list
}

pub(crate) fn working_dir(config: &ContainerConfig, image: &ImageRunConfig) -> Result<String, ProgramError> {
    let wish = if config.working_dir.is_empty() { &image.working_dir } else { &config.working_dir };
    match wish.as_str() {
        "" => Ok("/".to_owned()),
        absolute if absolute.starts_with('/') && !absolute.contains('\0') => Ok(absolute.to_owned()),
        other => Err(ProgramError::RelativeWorkingDir(other.to_owned())),
    }
}

/// The number of the signal that asks a container to end: the pod's wish, else the image's, else SIGTERM.
pub(crate) fn stop_signal(wish: Option<&str>, image: &str) -> Result<i32, ProgramError> {
    match wish.filter(|wish| !wish.is_empty()).or(Some(image).filter(|image| !image.is_empty())) {
        Some(name) => signal_number(name).ok_or_else(|| ProgramError::Signal(name.to_owned())),
        None => Ok(DEFAULT_STOP_SIGNAL),
    }
}

/// `SIGUSR1`, `USR1`, `10`, `SIGRTMIN+3`.
fn signal_number(name: &str) -> Option<i32> {
    const GREATEST: i32 = 64;
    if let Ok(number) = name.parse::<i32>() {
        return (1..=GREATEST).contains(&number).then_some(number);
    }
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    // As programs in containers count them (glibc): 34 to 64.
    const RTMIN: i32 = 34;
    const RTMAX: i32 = 64;
    for (prefix, base, sign) in [("RTMIN", RTMIN, 1), ("RTMAX", RTMAX, -1)] {
        if let Some(rest) = name.strip_prefix(prefix) {
            // `+3`, or the CRI's `PLUS3`.
            let digits = rest.trim_start_matches(|letter: char| !letter.is_ascii_digit());
            let distance: i32 = if rest.is_empty() { 0 } else { digits.parse().ok()? };
            return Some(base + sign * distance).filter(|number| (RTMIN..=RTMAX).contains(number));
        }
    }
    let known = format!("SIG{name}").parse::<nix::sys::signal::Signal>();
    known.ok().map(|signal| signal as i32)
}

/// A signal's name as the CRI has it, for the status of a container.
pub(crate) fn signal_name(number: i32) -> String {
    match nix::sys::signal::Signal::try_from(number) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) if number == 34 => "SIGRTMIN".to_owned(),
        Err(_) if number == 64 => "SIGRTMAX".to_owned(),
        Err(_) if number < 50 => format!("SIGRTMINPLUS{}", number - 34),
        Err(_) => format!("SIGRTMAXMINUS{}", 64 - number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(parts: &[&str]) -> Vec<String> {
        parts.iter().map(|part| (*part).to_owned()).collect()
    }

    fn image() -> ImageRunConfig {
        ImageRunConfig {
            entrypoint: list(&["/entry"]),
            cmd: list(&["default"]),
            env: list(&["PATH=/image/bin", "A=image", "EMPTY="]),
            working_dir: "/srv".to_owned(),
            stop_signal: "SIGQUIT".to_owned(),
            ..ImageRunConfig::default()
        }
    }

    #[test]
    fn commands() {
        for (command, args, wanted) in [
            (list(&[]), list(&[]), list(&["/entry", "default"])),
            (list(&[]), list(&["x"]), list(&["/entry", "x"])),
            (list(&["/own"]), list(&[]), list(&["/own"])),
            (list(&["/own"]), list(&["x", "y"]), list(&["/own", "x", "y"])),
        ] {
            let config = ContainerConfig { command, args, ..ContainerConfig::default() };
            assert_eq!(arguments(&config, &image()), Ok(wanted));
        }
        let nothing = arguments(&ContainerConfig::default(), &ImageRunConfig::default());
        assert_eq!(nothing, Err(ProgramError::NoCommand));
    }

    #[test]
    fn environments() {
        let config = ContainerConfig {
            envs: vec![("A".to_owned(), "pod".to_owned()), ("B".to_owned(), "x=y".to_owned())],
            tty: true,
            ..ContainerConfig::default()
        };
        let wanted = ["PATH=/image/bin", "TERM=xterm", "HOSTNAME=web-0", "A=pod", "EMPTY=", "B=x=y", "HOME=/root"];
        assert_eq!(environment(&config, &image(), "web-0", "/root").unwrap(), wanted);
        let plain = environment(&ContainerConfig::default(), &ImageRunConfig::default(), "h", "/").unwrap();
        assert_eq!(plain, [DEFAULT_PATH, "HOSTNAME=h", "HOME=/"]);
        assert!(exec_environment(&plain, true).contains(&"TERM=xterm".to_owned()));
        assert_eq!(exec_environment(&plain, false), plain);
    }

    #[test]
    fn directories() {
        let config = |dir: &str| ContainerConfig { working_dir: dir.to_owned(), ..ContainerConfig::default() };
        assert_eq!(working_dir(&config(""), &image()).unwrap(), "/srv");
        assert_eq!(working_dir(&config("/tmp"), &image()).unwrap(), "/tmp");
        assert_eq!(working_dir(&config(""), &ImageRunConfig::default()).unwrap(), "/");
        assert!(working_dir(&config("tmp"), &image()).is_err());
    }

    #[test]
    fn signals() {
        for (wish, image, wanted) in [
            (None, "", Ok(15)),
            (None, "SIGQUIT", Ok(3)),
            (None, "9", Ok(9)),
            (Some("SIGUSR1"), "SIGQUIT", Ok(10)),
            (Some("usr2"), "", Ok(12)),
            (Some("SIGRTMIN+3"), "", Ok(37)),
            (Some("SIGRTMAX-1"), "", Ok(63)),
            (Some("SIGRTMINPLUS3"), "", Ok(37)),
            (Some("SIGRTMIN+x"), "", Err(ProgramError::Signal("SIGRTMIN+x".to_owned()))),
            (Some("SIGWRONG"), "", Err(ProgramError::Signal("SIGWRONG".to_owned()))),
            (Some("99"), "", Err(ProgramError::Signal("99".to_owned()))),
        ] {
            assert_eq!(stop_signal(wish, image), wanted, "{wish:?} {image}");
        }
        assert_eq!(signal_name(15), "SIGTERM");
        assert_eq!(signal_name(37), "SIGRTMINPLUS3");
        assert_eq!(signal_name(63), "SIGRTMAXMINUS1");
    }
}
