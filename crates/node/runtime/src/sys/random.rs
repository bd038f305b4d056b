//! Identifiers that nobody can guess or repeat.

/// 64 hexadecimal digits, the form of container and sandbox IDs everywhere.
pub(crate) fn identifier() -> String {
    let mut bytes = [0u8; 32];
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        // SAFETY: the pointer and length describe the rest of the buffer.
        let count = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        // It fails only when a signal interrupts it, which for 32 bytes the kernel rules out; then the loop tries again.
        filled += usize::try_from(count).unwrap_or(0);
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
