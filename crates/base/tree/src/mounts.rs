//! The table of mounts that the calling thread sees.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// One line of the table, of which the names are whatever bytes somebody chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    pub point: PathBuf,
    /// `major:minor`
    pub device: String,
    /// `shared:3`, `master:1`
    pub propagation: Vec<String>,
    /// `ext4`, `cgroup2`
    pub file_system: String,
    pub super_options: Vec<String>,
}

/// Everything that is mounted, in the order in which it was.
pub fn mounts() -> io::Result<Vec<Mount>> {
    Ok(parse_mounts(&std::fs::read("/proc/thread-self/mountinfo")?))
}

/// Reads a table in the form of `/proc/PID/mountinfo`.
pub fn parse_mounts(table: &[u8]) -> Vec<Mount> {
    table.split(|byte| *byte == b'\n').filter_map(parse_line).collect()
}

/// `36 35 98:0 /root /mount/point options shared:3 - type source options`
fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let device = text(fields.nth(2)?);
    let point = PathBuf::from(OsString::from_vec(unescape(fields.nth(1)?)));
    let propagation = fields.by_ref().skip(1).take_while(|field| *field != b"-").map(text).collect();
    let file_system = text(fields.next()?);
    let super_options = text(fields.nth(1)?).split(',').map(str::to_owned).collect();
    Some(Mount { point, device, propagation, file_system, super_options })
}

/// The kernel writes blanks, tabs, line feeds and backslashes as three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        match (first, after) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                out.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn lines_of_the_table() {
        let line = br"36 35 98:0 / /mnt\0402\134x rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue";
        let expected = Mount {
            point: "/mnt 2\\x".into(),
            device: "98:0".into(),
            propagation: vec!["master:1".into(), "shared:2".into()],
            file_system: "ext3".into(),
            super_options: vec!["rw".into(), "errors=continue".into()],
        };
        assert_eq!(parse_mounts(line), [expected]);
        let alone = parse_mounts(b"1 0 0:1 / /\xe9 rw - tmpfs none rw\n\nshort\n");
        assert_eq!(alone.len(), 1);
        assert_eq!((alone[0].point.as_os_str().as_bytes(), &alone[0].propagation), (&b"/\xe9"[..], &Vec::new()));
        assert_eq!(unescape(br"a\08\9"), br"a\08\9");
        assert!(mounts().unwrap().iter().any(|mount| mount.file_system == "proc"));
    }
}
