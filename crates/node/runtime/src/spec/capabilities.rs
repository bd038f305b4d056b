//! Capabilities by name, and which of them a container gets.

use crate::sys::capability::bit;

/// In the kernel's order: the place is the number.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What a container has that asks for nothing: containerd's default.
pub(crate) const DEFAULT: u64 = {
    // CHOWN, DAC_OVERRIDE, FSETID, FOWNER, MKNOD, NET_RAW, SETGID, SETUID, SETFCAP, SETPCAP, NET_BIND_SERVICE, SYS_CHROOT, KILL,
    // AUDIT_WRITE
    bit(0)
        | bit(1)
        | bit(4)
        | bit(3)
        | bit(27)
        | bit(13)
        | bit(6)
        | bit(7)
        | bit(31)
        | bit(8)
        | bit(10)
        | bit(18)
        | bit(5)
        | bit(29)
};

const ALL: u64 = bit(NAMES.len() as u32) - 1;

/// The number of a capability and its set. The name may be in any case and with `CAP_`.
pub(crate) fn number(name: &str) -> Option<(u32, u64)> {
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("CAP_").unwrap_or(&name);
    let number = NAMES.iter().position(|known| *known == name)? as u32;
    Some((number, bit(number)))
}

pub(crate) fn contains(set: u64, name: &str) -> bool {
    number(name).is_some_and(|(_, bit)| set & bit != 0)
}

/// What a container gets, as containerd computes it (`WithCapabilities`): `ALL` in `add` first, then `ALL` in `drop`, then the
/// single ones of `add`, then those of `drop`. Names that nobody knows count nothing, as with runc. At most `available`, what
/// the node itself has.
pub(crate) fn resolve(add: &[String], drop: &[String], privileged: bool, available: u64) -> u64 {
    if privileged {
        return ALL & available;
    }
    let has_all = |list: &[String]| list.iter().any(|name| name.eq_ignore_ascii_case("ALL"));
    let bits = |list: &[String]| list.iter().filter_map(|name| number(name)).fold(0, |set, (_, bit)| set | bit);
    let mut set = if has_all(add) { ALL } else { DEFAULT };
    if has_all(drop) {
        set = 0;
    }
    set |= bits(add);
    set &= !bits(drop);
    set & available
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_set() {
        let names: Vec<&str> = NAMES.iter().copied().filter(|name| contains(DEFAULT, name)).collect();
        assert_eq!(
            names.join(" "),
            "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP"
        );
        assert_eq!(DEFAULT, 0xa804_25fb);
        assert_eq!(number("cap_bpf"), Some((39, 1 << 39)));
    }

    #[test]
    fn adding_and_dropping() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (net_admin, chown) = (number("NET_ADMIN").unwrap().1, number("CHOWN").unwrap().1);
        for (add, drop, privileged, wanted) in [
            (list(&[]), list(&[]), false, DEFAULT),
            (list(&["NET_ADMIN"]), list(&["CHOWN"]), false, DEFAULT & !chown | net_admin),
            (list(&["net_admin"]), list(&["ALL"]), false, net_admin),
            (list(&["ALL"]), list(&["CHOWN"]), false, ALL & !chown),
            (list(&["ALL", "CHOWN"]), list(&["all"]), false, chown),
            (list(&["NO_SUCH"]), list(&["OTHER"]), false, DEFAULT),
            (list(&[]), list(&["ALL"]), true, ALL),
        ] {
            assert_eq!(resolve(&add, &drop, privileged, u64::MAX), wanted, "{add:?} {drop:?} {privileged}");
        }
        assert_eq!(resolve(&list(&["ALL"]), &[], false, chown), chown, "never more than the node has");
    }
}
