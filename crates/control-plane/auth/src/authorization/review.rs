//! What a webhook is asked: a SubjectAccessReview.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Attributes, Decision};

/// Questions whose words, as far as the asker chooses them, have as many bytes are not remembered: others would have to make room.
const REMEMBERED_BYTES_MAX: usize = 10_000;

/// The version of SubjectAccessReview that a webhook speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewVersion {
    V1,
    V1Beta1,
}

impl ReviewVersion {
    pub fn parse(version: &str) -> Option<Self> {
        match version {
            "v1" => Some(Self::V1),
            "v1beta1" => Some(Self::V1Beta1),
            _ => None,
        }
    }

    fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "authorization.k8s.io/v1",
            Self::V1Beta1 => "authorization.k8s.io/v1beta1",
        }
    }
}

/// A question for a webhook.
#[derive(Clone, Debug)]
pub struct Review {
    spec: Value,
    is_small: bool,
}

/// What a webhook says of a question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Answer {
    pub allowed: bool,
    pub denied: bool,
    pub reason: String,
}

impl Answer {
    /// Reads the review that a webhook has sent back.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Answered {
            #[serde(default)]
            status: Answer,
        }
        serde_json::from_slice::<Answered>(body).map(|answered| answered.status).map_err(|error| error.to_string())
    }

    /// The decision, and an error that goes with it.
    pub fn decision(&self) -> (Decision, Option<String>) {
        let reason = || self.reason.clone();
        match (self.denied, self.allowed) {
            (true, true) => {
                let error = "webhook subject access review returned both allow and deny response";
                (Decision::Deny(reason()), Some(error.to_owned()))
            }
            (true, false) => (Decision::Deny(reason()), None),
            (false, true) => (Decision::Allow, None),
            (false, false) => (Decision::NoOpinion(reason()), None),
        }
    }
}

impl Review {
    pub fn of(attributes: &Attributes<'_>) -> Self {
        let a = attributes;
        let user = a.user;
        let mut spec = json!({"user": user.name, "groups": user.groups, "uid": user.uid, "extra": user.extra});
        if a.resource.is_empty() {
            spec["nonResourceAttributes"] = json!({"path": a.path, "verb": a.verb});
        } else {
            let mut resource = json!({
                "namespace": a.namespace,
                "verb": a.verb,
                "group": a.group,
                "version": a.version,
                "resource": a.resource,
                "subresource": a.subresource,
                "name": a.name,
            });
            for (field, requirements) in [("fieldSelector", fields(a)), ("labelSelector", labels(a))] {
                if !requirements.is_empty() {
                    resource[field] = json!({"requirements": requirements});
                }
            }
            spec["resourceAttributes"] = resource;
        }
        let chosen = [a.namespace, a.verb, a.group, a.version, a.resource, a.subresource, a.name, a.path];
        Self { spec, is_small: chosen.iter().map(|text| text.len()).sum::<usize>() < REMEMBERED_BYTES_MAX }
    }

    /// The question with all of its fields, as expressions see it.
    pub fn spec(&self) -> &Value {
        &self.spec
    }

    /// What the answer may be remembered by, if it may.
    pub fn key(&self) -> Option<String> {
        self.is_small.then(|| self.spec.to_string())
    }

    /// What is sent.
    pub fn body(&self, version: ReviewVersion) -> Value {
        let mut spec = without_empty(&self.spec);
        for field in ["resourceAttributes", "nonResourceAttributes"] {
            if let Some(attributes) = spec.get_mut(field) {
                *attributes = Value::Object(without_empty(attributes));
            }
        }
        if version == ReviewVersion::V1Beta1
            && let Some(groups) = spec.remove("groups")
        {
            spec.insert("group".to_owned(), groups);
        }
        json!({
            "kind": "SubjectAccessReview",
            "apiVersion": version.api_version(),
            "metadata": {},
            "spec": spec,
            "status": {"allowed": false},
        })
    }
}

/// The fields of an object that say something, as Go writes those that may be left out.
fn without_empty(object: &Value) -> Map<String, Value> {
    let says_something = |value: &Value| match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    };
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(_, value)| says_something(value)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn fields(attributes: &Attributes<'_>) -> Vec<Value> {
    let terms = attributes.fields.into_iter().flat_map(|fields| fields.terms());
    terms
        .map(|term| {
            let operator = if term.equal { "In" } else { "NotIn" };
            json!({"key": term.field, "operator": operator, "values": [term.value]})
        })
        .collect()
}

fn labels(attributes: &Attributes<'_>) -> Vec<Value> {
    let requirements = attributes.labels.into_iter().flat_map(|labels| labels.requirements());
    requirements
        .map(|(key, operator, values)| match values {
            [] => json!({"key": key, "operator": operator}),
            values => json!({"key": key, "operator": operator, "values": values}),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use windlass_api::fields::FieldSelector;
    use windlass_api::labels::Selector;

    use super::*;
    use crate::User;

    #[test]
    fn questions() {
        let jane = User { uid: "7".to_owned(), ..User::new("jane", &["a"]) };
        let (fields, labels) = (
            FieldSelector::parse("spec.nodeName=n,status.phase!=x").unwrap(),
            Selector::parse("a in (b,c),!d,e>1").unwrap(),
        );
        let list = Attributes {
            version: "v1",
            resource: "pods",
            namespace: "team",
            fields: Some(&fields),
            labels: Some(&labels),
            ..Attributes::of(&jane, "list")
        };
        let body = Review::of(&list).body(ReviewVersion::V1);
        let expected = json!({
            "kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {},
            "spec": {
                "user": "jane", "uid": "7", "groups": ["a", "system:authenticated"],
                "resourceAttributes": {
                    "namespace": "team", "verb": "list", "version": "v1", "resource": "pods",
                    "fieldSelector": {"requirements": [
                        {"key": "spec.nodeName", "operator": "In", "values": ["n"]},
                        {"key": "status.phase", "operator": "NotIn", "values": ["x"]}]},
                    "labelSelector": {"requirements": [
                        {"key": "a", "operator": "In", "values": ["b", "c"]}, {"key": "d", "operator": "DoesNotExist"}]},
                },
            },
            "status": {"allowed": false},
        });
        assert_eq!(body, expected);
        let path = Attributes { path: "/healthz", ..Attributes::of(&jane, "get") };
        let body = Review::of(&path).body(ReviewVersion::V1Beta1);
        assert_eq!(body["apiVersion"], "authorization.k8s.io/v1beta1");
        assert_eq!(body["spec"]["nonResourceAttributes"], json!({"path": "/healthz", "verb": "get"}));
        assert_eq!(body["spec"]["group"], json!(["a", "system:authenticated"]), "its name of old");
        let long = "x".repeat(REMEMBERED_BYTES_MAX);
        assert!(Review::of(&path).key().is_some());
        assert!(Review::of(&Attributes { path: &long, ..path }).key().is_none());
    }

    #[test]
    fn answers() {
        let read = |text: &str| Answer::read(text.as_bytes()).map(|answer| answer.decision());
        assert_eq!(read(r#"{"status": {"allowed": true, "reason": "ok"}}"#), Ok((Decision::Allow, None)));
        assert_eq!(
            read(r#"{"status": {"denied": true, "reason": "no"}}"#),
            Ok((Decision::Deny("no".to_owned()), None))
        );
        let both = read(r#"{"status": {"allowed": true, "denied": true}}"#).unwrap();
        assert!(matches!(both, (Decision::Deny(_), Some(_))), "{both:?}");
        assert_eq!(read("{}"), Ok((Decision::NoOpinion(String::new()), None)));
        assert!(read("<html>").is_err());
        assert!(read(r#"{"status": {"allowed": "true"}}"#).is_err());
    }
}
