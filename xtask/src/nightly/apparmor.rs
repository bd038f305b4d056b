//! The container runtime on a kernel that has AppArmor, which many machines' own kernels lack.
//!
//! Debian's kernel is booted under QEMU with the runtime's tests of AppArmor in the initial file system. The machine is emulated, for
//! virtualization within virtual machines is not to be relied on; that is slow, and the tests ask for no speed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::needs;
use crate::process::{self, cargo_program, root, target_dir};

const NEEDS: &str = include_str!("guest/needs.tsv");
const INIT: &str = include_str!("guest/init");
const RUN: &str = include_str!("guest/run");
/// The package that depends on the newest kernel's.
const KERNEL: &str = "linux-image-cloud-amd64";
const PARSER: &str = "/usr/sbin/apparmor_parser";
const COMMAND_LINE: &str =
    "console=ttyS0 quiet panic=-1 apparmor=1 security=apparmor lsm=landlock,lockdown,yama,integrity,apparmor";
const MEMORY: &str = "2048";
/// What `timeout` gives the guest, in seconds.
const SECONDS_MAX: &str = "1200";

pub(super) fn run() -> Result<(), String> {
    if std::env::consts::ARCH != "x86_64" {
        return Err("the guest is one for x86_64".to_owned());
    }
    needs::install(NEEDS)?;
    let place = target_dir().join("apparmor");
    remove(&place)?;
    let kernel = fetch_kernel(&place)?;
    let (tests, helper) = build_tests()?;
    let guest = place.join("guest");
    fill(&guest, &tests, &helper, &kernel)?;
    shell(&guest, "find . | cpio --quiet -o -H newc | gzip -1 > ../initrd")?;
    let said = boot(&kernel.join("vmlinuz"), &place.join("initrd"))?;
    judge(&said)
}

/// Downloads the kernel's package; returns the directory where `vmlinuz` and `overlay.ko` are.
fn fetch_kernel(place: &Path) -> Result<PathBuf, String> {
    let kernel = place.join("kernel");
    make(&kernel)?;
    let script = format!(
        "apt-get download -q \"$(apt-cache depends {KERNEL} | sed -n 's/^ *Depends: //p' | head -n 1)\" && dpkg-deb -x *.deb . && \
         mv boot/vmlinuz-* vmlinuz && mv lib/modules/*/kernel/fs/overlayfs/overlay.ko overlay.ko"
    );
    shell(&kernel, &script)?;
    Ok(kernel)
}

/// The runtime's tests, and the program that they take for the supervisor.
fn build_tests() -> Result<(PathBuf, PathBuf), String> {
    let mut command = Command::new(cargo_program());
    command.args(["test", "-p", "windlass-runtime", "--test", "it", "--no-run"]).current_dir(root());
    let output = command.stderr(Stdio::piped()).output().map_err(|error| format!("cargo cannot be run: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("the tests cannot be built:\n{said}"));
    }
    let tests = executable(&said).ok_or_else(|| format!("cargo names no test program:\n{said}"))?;
    Ok((root().join(tests), target_dir().join("debug/windlass-runtime-helper")))
}

/// `Executable tests/it/main.rs (target/debug/deps/it-0123)`
fn executable(said: &str) -> Option<&str> {
    said.lines().find_map(|line| line.trim_start().strip_prefix("Executable ")?.split_once('(')?.1.strip_suffix(')'))
}

/// The guest's files. The helper stands where it was built, for the tests look for it there.
fn fill(guest: &Path, tests: &Path, helper: &Path, kernel: &Path) -> Result<(), String> {
    for name in ["bin", "dev", "etc", "lib", "lib64", "opt", "proc", "run", "sbin", "sys", "tests", "tmp", "usr"] {
        make(&guest.join(name))?;
    }
    let at = |path: &str| guest.join(path);
    copy(Path::new("/bin/busybox"), &at("bin/busybox"))?;
    copy(Path::new(PARSER), &at("sbin/apparmor_parser"))?;
    copy(&kernel.join("overlay.ko"), &at("tests/overlay.ko"))?;
    for (program, to) in [(tests, at("tests/it")), (helper, at(&helper.display().to_string().replacen('/', "", 1)))] {
        copy(program, &to)?;
        process::run("strip", [to])?;
    }
    for library in libraries(&[tests, helper, Path::new(PARSER)])? {
        copy(Path::new(&library), &at(library.trim_start_matches('/')))?;
    }
    for (path, text) in [("init", INIT), ("tests/run", RUN)] {
        fs::write(at(path), text).map_err(|error| format!("{path}: {error}"))?;
        process::run("chmod", ["+x".into(), at(path).into_os_string()])?;
    }
    Ok(())
}

/// The shared libraries that programs are linked with.
fn libraries(programs: &[&Path]) -> Result<Vec<String>, String> {
    let output = Command::new("ldd").args(programs).output().map_err(|error| format!("ldd cannot be run: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f…)`, `/lib64/ld-linux-x86-64.so.2 (0x7f…)`
    let paths =
        said.lines().filter_map(|line| line.split_whitespace().rev().nth(1)).filter(|path| path.starts_with('/'));
    let mut paths: Vec<String> = paths.map(str::to_owned).collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// Boots, and returns what the guest said.
fn boot(kernel: &Path, initrd: &Path) -> Result<String, String> {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", SECONDS_MAX, "qemu-system-x86_64", "-accel", "tcg", "-m", MEMORY]);
    command.args(["-nographic", "-no-reboot", "-nic", "none", "-append", COMMAND_LINE]);
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(initrd).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| format!("qemu-system-x86_64 cannot be run: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    process::say(&said);
    Ok(said)
}

/// Tests that were left out prove nothing.
fn judge(said: &str) -> Result<(), String> {
    let ended = said.lines().map(str::trim).find_map(|line| line.strip_prefix("the tests ended with "));
    match ended {
        None => Err("the guest ended before its tests did".to_owned()),
        Some("0") if said.contains("skipped:") => Err("the guest's kernel has no AppArmor".to_owned()),
        Some("0") if said.contains("test result: ok. 0 passed") => Err("there are no such tests".to_owned()),
        Some("0") => Ok(()),
        Some(code) => Err(format!("tests have failed in the guest: {code}")),
    }
}

fn shell(directory: &Path, script: &str) -> Result<(), String> {
    let status = Command::new("sh").args(["-e", "-c", script]).current_dir(directory).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{script}: {status}")),
        Err(error) => Err(format!("sh cannot be run: {error}")),
    }
}

fn make(directory: &Path) -> Result<(), String> {
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))
}

fn remove(directory: &Path) -> Result<(), String> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(format!("{}: {error}", directory.display())),
        _ => Ok(()),
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    to.parent().map_or(Ok(()), make)?;
    fs::copy(from, to).map(drop).map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_names_the_program() {
        let said = "   Compiling x v0.1.0\n    Finished `test` profile\n  Executable tests/it/main.rs (target/debug/deps/it-01)\n";
        assert_eq!(executable(said), Some("target/debug/deps/it-01"));
        assert_eq!(executable("    Finished `test` profile\n"), None);
    }

    #[test]
    fn verdicts() {
        let ended = |code: u32, more: &str| format!("{more}\r\nthe tests ended with {code}\r\n");
        assert_eq!(judge(&ended(0, "test result: ok. 3 passed; 0 failed")), Ok(()));
        for bad in [
            "kernel panic".to_owned(),
            ended(101, "test result: FAILED. 2 passed; 1 failed"),
            ended(0, "skipped: no AppArmor\ntest result: ok. 3 passed"),
            ended(0, "test result: ok. 0 passed; 0 failed"),
        ] {
            assert!(judge(&bad).is_err(), "{bad}");
        }
    }
}
