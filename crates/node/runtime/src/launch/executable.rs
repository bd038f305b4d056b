//! Finding the program to execute, with errors in the words that users of container runtimes know.

use std::ffi::CString;
use std::io;
use std::path::{Path, PathBuf};

use super::report::{Failure, FailureKind, Result, words};

/// The path of the program `name`, looked up in `path` (the container's `$PATH`) unless it contains a slash. Must run with the
/// credentials and the root that the program will have.
pub(crate) fn find(name: &str, path: Option<&str>) -> Result<PathBuf> {
    if name.is_empty() {
        return Err(unusable(name, "executable file not found in $PATH"));
    }
    if name.contains('/') {
        return match check(Path::new(name)) {
            Ok(()) => Ok(PathBuf::from(name)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(unusable(name, &format!("stat {name}: {}", words(&error))))
            }
            Err(error) => Err(unusable(name, &words(&error))),
        };
    }
    let mut denied = None;
    for directory in path.unwrap_or_default().split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        let candidate = Path::new(directory).join(name);
        match check(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => denied = Some(error),
            Err(_) => {}
        }
    }
    match denied {
        Some(error) => Err(unusable(name, &words(&error))),
        None => Err(unusable(name, "executable file not found in $PATH")),
    }
}

/// Whether this process may execute the file.
fn check(path: &Path) -> io::Result<()> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    let path = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the path is a valid C string for the length of the call.
    let result = unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn unusable(name: &str, why: &str) -> Failure {
    Failure::new(FailureKind::Executable, format!("exec: \"{name}\": {why}"))
}

/// Becomes the program. Returns only with the reason why not.
pub(crate) fn execute(path: &Path, args: &[String], env: &[String]) -> Failure {
    let strings =
        |list: &[String]| list.iter().map(|text| CString::new(text.as_bytes())).collect::<Result<Vec<_>, _>>();
    let invalid = || Failure::new(FailureKind::Invalid, "an argument or environment variable contains a NUL byte");
    let Ok(program) = CString::new(path.as_os_str().as_encoded_bytes()) else { return invalid() };
    let (Ok(args), Ok(env)) = (strings(args), strings(env)) else { return invalid() };
    let pointers = |list: &[CString]| {
        list.iter().map(|text| text.as_ptr()).chain(std::iter::once(std::ptr::null())).collect::<Vec<_>>()
    };
    // SAFETY: both lists end with a null pointer, and they and their strings outlive the call.
    unsafe { libc::execve(program.as_ptr(), pointers(&args).as_ptr(), pointers(&env).as_ptr()) };
    let error = io::Error::last_os_error();
    Failure::new(FailureKind::Executable, format!("exec {}: {}", path.display(), words(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups_and_their_errors() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("plain"), "").unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        std::fs::copy("/proc/self/exe", at("program")).unwrap();
        let search = format!("/nowhere:{}", directory.path().display());

        assert_eq!(find("program", Some(&search)).unwrap(), at("program"));
        let absolute = at("program").display().to_string();
        assert_eq!(find(&absolute, None).unwrap(), at("program"));

        let plain = at("plain").display().to_string();
        let folder = at("folder").display().to_string();
        for (name, path, wanted) in [
            ("absent", Some(search.as_str()), r#"exec: "absent": executable file not found in $PATH"#.to_owned()),
            ("program", None, r#"exec: "program": executable file not found in $PATH"#.to_owned()),
            ("", Some(search.as_str()), r#"exec: "": executable file not found in $PATH"#.to_owned()),
            ("/absent/x", None, r#"exec: "/absent/x": stat /absent/x: no such file or directory"#.to_owned()),
            ("plain", Some(search.as_str()), r#"exec: "plain": permission denied"#.to_owned()),
            (plain.as_str(), None, format!(r#"exec: "{plain}": permission denied"#)),
            (folder.as_str(), None, format!(r#"exec: "{folder}": is a directory"#)),
        ] {
            assert_eq!(find(name, path).unwrap_err().message, wanted);
        }
    }
}
