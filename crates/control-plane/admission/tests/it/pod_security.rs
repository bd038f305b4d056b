//! PodSecurity against upstream's fixtures: pods for every level, version and check, of which it is known whether they pass.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use windlass_admission::plugins::PodSecurity;
use windlass_admission::{Cluster, Equivalent, Operation, Plugin, Reinvocation, Review, Served, Warnings};
use windlass_api::{Chance, GroupVersionKind, GroupVersionResource, Status};
use windlass_auth::{Attributes, Decision, User};
use windlass_machinery::decode;
use windlass_resources::life::{self, Checkpoints, Write};
use windlass_resources::{Moment, Resource};

/// What the refusal says, by the check that a fixture is for.
const REASONS: [(&str, &str); 19] = [
    ("allowprivilegeescalation", "allowPrivilegeEscalation != false"),
    ("apparmorprofile", "forbidden AppArmor profile"),
    ("capabilities_baseline", "capabilities"),
    ("capabilities_restricted", "unrestricted capabilities"),
    ("hostnamespaces", "host namespaces"),
    ("hostpathvolumes", "hostPath"),
    ("hostports", "hostPort"),
    ("hostprobesandhostlifecycle", "probe or lifecycle host"),
    ("privileged", "privileged"),
    ("procmount", "procMount"),
    ("procmount_restricted", "procMount"),
    ("restrictedvolumes", "restricted volume types"),
    ("runasnonroot", "runAsNonRoot != true"),
    ("runasuser", "runAsUser=0"),
    ("seccompprofile_baseline", "seccompProfile"),
    ("seccompprofile_restricted", "seccompProfile"),
    ("selinuxoptions", "seLinuxOptions"),
    ("sysctls", "forbidden sysctl"),
    ("windowshostprocess", "hostProcess"),
];

fn fixtures() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../conformance/out/pod-security");
    assert!(folder.is_dir(), "conformance/out/pod-security is missing: `cargo xtask test` gets it");
    folder
}

/// What is in a folder, with its name.
fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path())).collect()
}

#[tokio::test]
async fn fixtures_pass_and_fail_as_upstream() {
    let resources = windlass_resources::all();
    let pods = resources.iter().find(|resource| resource.kind.group.is_empty() && resource.plural == "pods").unwrap();
    let (mut wrong, mut seen) = (Vec::new(), BTreeMap::new());
    for (level, folder) in entries(&fixtures()).into_iter().filter(|(_, path)| path.is_dir()) {
        for (version, folder) in entries(&folder) {
            let labels = json!({"pod-security.kubernetes.io/enforce": level, "pod-security.kubernetes.io/enforce-version": version});
            let namespace = Namespace(Arc::new(json!({"metadata": {"name": "test", "labels": labels}})));
            for (outcome, folder) in entries(&folder) {
                for (name, path) in entries(&folder) {
                    let pod = serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
                    let result = admit(pods, pod, &namespace).await;
                    *seen.entry(outcome.clone()).or_insert(0) += 1;
                    if let Err(why) = judge(&outcome, &format!("{level}:{version}"), &name, result) {
                        wrong.push(format!("{level}/{version}/{outcome}/{name}: {why}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {seen:?} differ: {:#?}", wrong.len(), &wrong[..wrong.len().min(20)]);
    assert!(seen["pass"] + seen["fail"] >= 4537, "{seen:?}");
}

/// Holds an answer against what the fixture's place says of it.
fn judge(outcome: &str, level: &str, file: &str, result: Result<(), Status>) -> Result<(), String> {
    let check = file.trim_end_matches(".yaml").trim_end_matches(|c: char| c.is_ascii_digit());
    match (outcome, result) {
        ("pass", Ok(())) => Ok(()),
        ("fail", Err(status)) => {
            let (_, reason) = REASONS.iter().find(|(name, _)| *name == check).ok_or("no such check")?;
            let is_right = status.code == 403
                && status.message.contains(&format!(" is forbidden: violates PodSecurity \"{level}\": "))
                && status.message.contains(reason);
            if is_right { Ok(()) } else { Err(status.message) }
        }
        (_, Ok(())) => Err("allowed".to_owned()),
        (_, Err(status)) => Err(status.message),
    }
}

/// Creates a pod as the API server does, with this one plugin.
async fn admit(pods: &Resource, pod: Value, namespace: &Namespace) -> Result<(), Status> {
    let mut pod = pod;
    // Fixtures are named after their checks, which is not always a name that a pod may have.
    pod["metadata"]["name"] = json!("test");
    let pod = decode::from_value(pods.object_type().schema, pods.object_type().id, pod).unwrap().value;
    let moment = Moment { now: "2001-02-03T04:05:06Z".parse().unwrap() };
    let write = Write { resource: pods, subresource: None, namespace: "test", moment, chance: &Chance::system() };
    life::create(write, pod, &OnePlugin { pods, namespace }).await.map(drop)
}

/// The life of a write with PodSecurity alone.
struct OnePlugin<'a> {
    pods: &'a Resource,
    namespace: &'a Namespace,
}

impl Checkpoints for OnePlugin<'_> {
    fn requester(&self) -> Value {
        Value::Null
    }

    fn record_ownership(&self, _new: &mut Value, _old: Option<&Value>) {}

    /// Here rather than in the step that may only refuse: validation, which stands between the two, refuses some of the pods too.
    async fn admit(&self, new: &mut Value, old: Option<&Value>) -> Result<(), Status> {
        let review = Review {
            operation: Operation::Create,
            kind: &GroupVersionKind::of("", "v1", "Pod"),
            resource: &self.pods.group_version_resource(),
            subresource: "",
            namespace: "test",
            name: "test",
            user: &User::new("somebody", &[]),
            object: Some(new),
            old,
            dry_run: false,
            options: &Value::Null,
            warnings: &Silent,
            reinvocation: Reinvocation::default(),
        };
        PodSecurity::default().validate(&review, self.namespace).await
    }

    fn guard(&self, _new: &Value, _old: Option<&Value>) -> Result<(), Status> {
        Ok(())
    }

    async fn review(&self, _new: &mut Value, _old: Option<&Value>) -> Result<(), Status> {
        Ok(())
    }

    fn warn(&self, _text: String) {}
}

struct Silent;

impl Warnings for Silent {
    fn warn(&self, _text: String) {}
}

/// A cluster of one namespace.
struct Namespace(Arc<Value>);

#[async_trait]
impl Cluster for Namespace {
    fn object(&self, table: &str, _namespace: &str, name: &str) -> Option<Arc<Value>> {
        (table == "namespaces" && name == "test").then(|| self.0.clone())
    }

    fn objects(&self, _table: &str, _namespace: &str) -> Vec<Arc<Value>> {
        Vec::new()
    }

    fn has_objects(&self, table: &str, namespace: &str) -> bool {
        !self.objects(table, namespace).is_empty()
    }

    fn revision(&self, _table: &str) -> u64 {
        0
    }

    fn decide(&self, _attributes: &Attributes<'_>) -> Decision {
        Decision::NoOpinion(String::new())
    }

    fn equivalents(&self, _resource: &GroupVersionResource, _subresource: &str) -> Vec<Equivalent> {
        Vec::new()
    }

    fn served(&self, _kind: &GroupVersionKind) -> Option<Served> {
        None
    }

    async fn object_of(&self, _kind: &GroupVersionKind, _namespace: &str, _name: &str) -> Option<Arc<Value>> {
        None
    }

    async fn objects_of(&self, _kind: &GroupVersionKind, _namespace: &str) -> Vec<Arc<Value>> {
        Vec::new()
    }

    async fn convert(&self, object: Value, _from: &GroupVersionKind, _to: &GroupVersionKind) -> Result<Value, Status> {
        Ok(object)
    }
}
