//! A cluster on paper, for tests.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;
use windlass_api::{GroupVersionKind, GroupVersionResource, Status};
use windlass_auth::{Attributes, Decision};
use windlass_machinery::tree::text;
use windlass_resources::Resource;
use windlass_webhook::{Answer, CallError, ClientConfig};

use crate::review::{AuditAnnotations, Cluster, Equivalent, Served, Warnings};

/// Objects by their tables, and what is said about writes.
#[derive(Default)]
pub(crate) struct Fake {
    pub revision: u64,
    pub objects: BTreeMap<&'static str, Vec<Value>>,
    /// All of these resources serve the same objects.
    pub equivalents: Vec<Equivalent>,
    /// The verbs that everybody has.
    pub verbs: Vec<&'static str>,
    pub warnings: Mutex<Vec<String>>,
    pub annotations: Mutex<BTreeMap<String, String>>,
    /// What webhooks will answer, and what they were asked.
    pub answers: Mutex<VecDeque<String>>,
    pub questions: Mutex<Vec<(ClientConfig, Value)>>,
}

impl Warnings for Fake {
    fn warn(&self, text: String) {
        self.warnings.lock().push(text);
    }

    fn audit(&self) -> Option<&dyn AuditAnnotations> {
        Some(self)
    }
}

impl AuditAnnotations for Fake {
    fn annotate(&self, key: &str, value: String) {
        self.annotations.lock().entry(key.to_owned()).or_insert(value);
    }

    fn keeps_objects(&self) -> bool {
        true
    }
}

#[async_trait]
impl Cluster for Fake {
    fn object(&self, table: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.objects(table, namespace).into_iter().find(|object| text(&object["metadata"], "name") == name)
    }

    fn objects(&self, table: &str, namespace: &str) -> Vec<Arc<Value>> {
        let all = self.objects.get(table).into_iter().flatten();
        let is_there = |object: &&Value| namespace.is_empty() || text(&object["metadata"], "namespace") == namespace;
        all.filter(is_there).cloned().map(Arc::new).collect()
    }

    fn has_objects(&self, table: &str, namespace: &str) -> bool {
        !self.objects(table, namespace).is_empty()
    }

    fn revision(&self, _table: &str) -> u64 {
        self.revision
    }

    fn decide(&self, attributes: &Attributes<'_>) -> Decision {
        match self.verbs.contains(&attributes.verb) {
            true => Decision::Allow,
            false => Decision::NoOpinion("nobody may".to_owned()),
        }
    }

    fn equivalents(&self, resource: &GroupVersionResource, _subresource: &str) -> Vec<Equivalent> {
        let is_one = self.equivalents.iter().any(|one| one.resource == *resource);
        self.equivalents.iter().filter(|other| is_one && other.resource != *resource).cloned().collect()
    }

    fn decode(&self, _kind: &GroupVersionKind, object: Value) -> Result<Value, Status> {
        Ok(object)
    }

    fn new_uid(&self) -> String {
        "uid".to_owned()
    }

    /// Every webhook gives the next of the answers.
    async fn call_webhook(&self, client: &ClientConfig, body: Bytes, _: Duration) -> Result<Answer, CallError> {
        let question = serde_json::from_slice(&body).unwrap();
        self.questions.lock().push((client.clone(), question));
        let answer = self.answers.lock().pop_front().unwrap_or_default();
        Ok(Answer { code: 200, content_type: "application/json".to_owned(), body: answer.into() })
    }

    /// The built-in kinds.
    fn served(&self, kind: &GroupVersionKind) -> Option<Served> {
        struct Builtin(Resource);
        impl AsRef<Resource> for Builtin {
            fn as_ref(&self) -> &Resource {
                &self.0
            }
        }
        let resource = windlass_resources::all().into_iter().find(|resource| resource.kind == *kind)?;
        Some(Arc::new(Builtin(resource)))
    }

    async fn object_of(&self, kind: &GroupVersionKind, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.object(&(*self.served(kind)?).as_ref().table, namespace, name)
    }

    async fn objects_of(&self, kind: &GroupVersionKind, namespace: &str) -> Vec<Arc<Value>> {
        let served = self.served(kind);
        served.map(|served| self.objects(&(*served).as_ref().table, namespace)).unwrap_or_default()
    }

    /// Says which kind the object has become.
    async fn convert(
        &self,
        mut object: Value,
        _from: &GroupVersionKind,
        to: &GroupVersionKind,
    ) -> Result<Value, Status> {
        object["convertedTo"] = Value::from(to.to_string());
        Ok(object)
    }
}
