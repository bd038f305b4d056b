//! Upstream's default roles and bindings, which a new cluster starts with and an old one is brought up to.
//!
//! The list is derived from upstream by `cargo xtask facts`.

use serde_json::Value;

/// ClusterRoles, ClusterRoleBindings, Roles and RoleBindings, in an order in which they can be created.
pub fn objects() -> Vec<Value> {
    include_str!("bootstrap.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a test reads every line that is compiled in"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_compiled_in() {
        let all = objects();
        let count = |kind: &str| all.iter().filter(|object| object["kind"] == kind).count();
        assert!(count("ClusterRole") > 60 && count("ClusterRoleBinding") > 40);
        assert!(count("Role") > 5 && count("RoleBinding") > 5);
    }
}
