//! A seccomp profile in terms of names.

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Allow,
    /// Allow and write it to the audit log.
    Log,
    /// Fail with this error number.
    Errno(u16),
    /// Let a tracer decide, told this number.
    Trace(u16),
    /// SIGSYS
    Trap,
    KillThread,
    KillProcess,
}

impl Action {
    /// What the filter returns to the kernel.
    pub(super) fn code(self) -> u32 {
        match self {
            Self::Allow => libc::SECCOMP_RET_ALLOW,
            Self::Log => libc::SECCOMP_RET_LOG,
            Self::Errno(number) => libc::SECCOMP_RET_ERRNO | u32::from(number),
            Self::Trace(number) => libc::SECCOMP_RET_TRACE | u32::from(number),
            Self::Trap => libc::SECCOMP_RET_TRAP,
            Self::KillThread => libc::SECCOMP_RET_KILL_THREAD,
            Self::KillProcess => libc::SECCOMP_RET_KILL_PROCESS,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal(u64),
    NotEqual(u64),
    Less(u64),
    LessOrEqual(u64),
    GreaterOrEqual(u64),
    Greater(u64),
    /// The argument and `mask` together are `value`.
    Masked {
        mask: u64,
        value: u64,
    },
}

/// A condition on one argument of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Argument {
    /// 0 to 5.
    pub(crate) index: u8,
    pub(crate) comparison: Comparison,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Names that a machine does not know are passed over: profiles list calls of all machines.
    pub(crate) names: Vec<String>,
    pub(crate) action: Action,
    /// All must hold; conditions on the same argument are alternatives, as runc takes them.
    pub(crate) arguments: Vec<Argument>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) default: Action,
    pub(crate) rules: Vec<Rule>,
    /// The 32-bit calls of this machine are filtered by the same names; otherwise they end the process.
    pub(crate) compat: bool,
}
