//! Taints, and the tolerations that cancel them (API reference of `Toleration`).

use k8s_openapi::api::core::v1;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Taint {
    pub key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    pub effect: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_added: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Toleration {
    /// Empty, with operator Exists, is every key.
    pub key: String,
    pub operator: String,
    pub value: String,
    /// Empty is every effect.
    pub effect: String,
    pub toleration_seconds: Option<i64>,
}

impl Taint {
    pub fn is_same(&self, key: &str, effect: &str) -> bool {
        self.key == key && self.effect == effect
    }

    /// Whether pods that do not tolerate it are kept away from the node.
    pub fn keeps_away(&self) -> bool {
        matches!(self.effect.as_str(), "NoSchedule" | "NoExecute")
    }

    pub fn is_tolerated<'a>(&self, tolerations: impl IntoIterator<Item = &'a Toleration>) -> bool {
        tolerations.into_iter().any(|toleration| toleration.tolerates(self))
    }
}

impl Toleration {
    pub fn tolerates(&self, taint: &Taint) -> bool {
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

impl From<&v1::Taint> for Taint {
    fn from(taint: &v1::Taint) -> Self {
        let v1::Taint { key, value, effect, time_added } = taint.clone();
        let time_added = time_added.map(|time| crate::time::rfc3339(time.0));
        Self { key, value: value.unwrap_or_default(), effect, time_added }
    }
}

impl From<&v1::Toleration> for Toleration {
    fn from(toleration: &v1::Toleration) -> Self {
        let v1::Toleration { key, operator, value, effect, toleration_seconds } = toleration.clone();
        Self {
            key: key.unwrap_or_default(),
            operator: operator.unwrap_or_default(),
            value: value.unwrap_or_default(),
            effect: effect.unwrap_or_default(),
            toleration_seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerations() {
        let taint = Taint { key: "k".into(), value: "v".into(), effect: "NoSchedule".into(), time_added: None };
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
                toleration_seconds: None,
            };
            assert_eq!(toleration.tolerates(&taint), expected, "{toleration:?}");
            assert_eq!(taint.is_tolerated([&toleration]), expected);
        }
    }
}
