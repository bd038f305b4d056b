//! Taints, and the tolerations that cancel them (API reference of `Toleration`).

use serde::Deserialize;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Taint {
    pub key: String,
    pub value: String,
    pub effect: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Toleration {
    /// Empty, with operator Exists, is every key.
    pub key: String,
    pub operator: String,
    pub value: String,
    /// Empty is every effect.
    pub effect: String,
}

impl Toleration {
    pub(crate) fn tolerates(&self, taint: &Taint) -> bool {
        if !self.effect.is_empty() && self.effect != taint.effect {
            return false;
        }
        if !self.key.is_empty() && self.key != taint.key {
            return false;
        }
        match self.operator.as_str() {
            "" | "Equal" => self.value == taint.value,
            "Exists" => true,
            _ => false,
        }
    }
}

pub(crate) fn tolerated(taint: &Taint, tolerations: &[Toleration]) -> bool {
    tolerations.iter().any(|toleration| toleration.tolerates(taint))
}

/// Whether a taint keeps pods that do not tolerate it away from the node.
pub(crate) fn keeps_away(taint: &Taint) -> bool {
    matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerations() {
        let taint = Taint { key: "k".to_owned(), value: "v".to_owned(), effect: "NoSchedule".to_owned() };
        // key, operator, value, effect
        let cases = [
            (("k", "", "v", "NoSchedule"), true),
            (("k", "Equal", "v", ""), true),
            (("k", "Equal", "w", ""), false),
            (("k", "Exists", "", "NoExecute"), false),
            (("k", "Exists", "", "NoSchedule"), true),
            (("", "Exists", "", ""), true),
            (("other", "Exists", "", ""), false),
            (("k", "Gt", "v", ""), false),
        ];
        for ((key, operator, value, effect), expected) in cases {
            let toleration = Toleration {
                key: key.to_owned(),
                operator: operator.to_owned(),
                value: value.to_owned(),
                effect: effect.to_owned(),
            };
            assert_eq!(toleration.tolerates(&taint), expected, "{toleration:?}");
        }
    }
}
