//! SELinux labels other than those for containers.

use serde_json::Value;

use super::wording::{Sorted, plural, quoted_set, setters};
use super::{Check, Pod, Violation, name};

pub(super) const OPTIONS: Check =
    Check::new("seLinuxOptions", &[(0, |pod| options(pod, &TYPES)), (31, |pod| options(pod, &TYPES_1_31))]);

const TYPES: [&str; 4] = ["", "container_t", "container_init_t", "container_kvm_t"];
const TYPES_1_31: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

/// What is wrong with all labels of a pod.
#[derive(Default)]
struct Wrong {
    types: Sorted,
    user: bool,
    role: bool,
}

impl Wrong {
    /// Takes down what is wrong with one label. Says whether anything is.
    fn note(&mut self, object: &Value, allowed: &[&str]) -> bool {
        let options = &object["securityContext"]["seLinuxOptions"];
        let text = |field: &str| options[field].as_str().unwrap_or_default();
        let (kind, user, role) = (text("type"), !text("user").is_empty(), !text("role").is_empty());
        let bad_type = !allowed.contains(&kind);
        if bad_type {
            self.types.insert(kind.to_owned());
        }
        self.user |= user;
        self.role |= role;
        bad_type || user || role
    }

    fn text(&self) -> String {
        let noun = plural("type", "types", self.types.len());
        let types = (!self.types.is_empty()).then(|| format!("{noun} {}", quoted_set(&self.types)));
        let user = self.user.then(|| "user may not be set".to_owned());
        let role = self.role.then(|| "role may not be set".to_owned());
        [types, user, role].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

fn options(pod: Pod<'_>, allowed: &[&str]) -> Option<Violation> {
    let mut wrong = Wrong::default();
    let pod_is_bad = wrong.note(pod.spec, allowed);
    let bad: Vec<&str> = pod.containers().filter(|container| wrong.note(container, allowed)).map(name).collect();
    let who = setters(pod_is_bad, &bad)?;
    let detail = format!("{who} set forbidden securityContext.seLinuxOptions: {}", wrong.text());
    Some(Violation::new("seLinuxOptions", detail))
}
