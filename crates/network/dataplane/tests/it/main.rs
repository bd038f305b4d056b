//! Tests against the kernel, in network namespaces that have no name and vanish with the test.

#![expect(clippy::unwrap_used, reason = "helpers of tests unwrap as tests do")]

mod conntrack;
mod nftables;
mod route;

use windlass_dataplane::Netns;

/// A new network namespace; says clearly what is missing when the tests do not run as root.
fn netns() -> Netns {
    Netns::create().expect("these tests make network namespaces: run them as root (CAP_SYS_ADMIN and CAP_NET_ADMIN)")
}
