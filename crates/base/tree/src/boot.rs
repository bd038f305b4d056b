//! The boot of the machine: what was made in an earlier one (mounts, namespaces, cgroups, unsynced files) may be gone.

use std::io;

/// Returns the kernel's ID of this boot, which is another one after each start.
pub fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_id_that_stays() {
        let id = super::boot_id().unwrap();
        assert_eq!((id.len(), id.matches('-').count()), (36, 4), "{id}");
        assert_eq!(super::boot_id().unwrap(), id);
    }
}
