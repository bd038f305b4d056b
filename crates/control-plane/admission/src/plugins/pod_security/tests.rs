//! What the plugin makes of requests.

use serde_json::json;
use windlass_api::{GroupVersionKind, GroupVersionResource};
use windlass_auth::User;

use super::*;
use crate::fake::Fake;
use crate::reinvocation::Reinvocation;

const RESTRICTED: &str = "allowPrivilegeEscalation != false (container \"c\" must set \
                          securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set \
                          securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"c\" must set \
                          securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set \
                          securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")";

/// A cluster of one namespace.
fn with_namespace(namespace: Value) -> Fake {
    Fake { objects: [("namespaces", vec![namespace])].into(), ..Fake::default() }
}

/// A cluster of the pods of a namespace.
fn with_pods(mut pods: Vec<Value>) -> Fake {
    pods.iter_mut().for_each(|pod| pod["metadata"]["namespace"] = json!("n"));
    Fake { objects: [("pods", pods)].into(), ..Fake::default() }
}

fn namespace(labels: &[(&str, &str)]) -> Value {
    let labels: Value =
        labels.iter().map(|(mode, value)| (format!("pod-security.kubernetes.io/{mode}"), json!(value))).collect();
    json!({"metadata": {"name": "n", "labels": labels}})
}

fn pod() -> Value {
    json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
}

/// What the client hears of a write: the refusal, and warnings.
async fn told(
    plugin: &PodSecurity,
    cluster: &Fake,
    resource: (&'static str, &'static str, &str),
    old: Option<Value>,
    mut new: Value,
) -> (Option<Status>, Vec<String>) {
    let (group, plural, subresource) = resource;
    let name = text(&new["metadata"], "name").to_owned();
    let review = Review {
        operation: if old.is_some() { Operation::Update } else { Operation::Create },
        kind: &GroupVersionKind::of(group, "v1", if plural == "namespaces" { "Namespace" } else { "Pod" }),
        resource: &GroupVersionResource::of(group, "v1", plural),
        subresource,
        namespace: if plural == "namespaces" { "" } else { "n" },
        name: &name,
        user: &User::new("jane", &[]),
        object: Some(&mut new),
        old: old.as_ref(),
        dry_run: false,
        options: &Value::Null,
        warnings: cluster,
        reinvocation: Reinvocation::default(),
    };
    let refusal = plugin.validate(&review, cluster).await.err();
    (refusal, std::mem::take(&mut *cluster.warnings.lock()))
}

const PODS: (&str, &str, &str) = ("", "pods", "");
const NAMESPACES: (&str, &str, &str) = ("", "namespaces", "");

#[tokio::test]
async fn pods_are_refused_or_warned_of() {
    let plugin = PodSecurity::default();
    let of = |labels: &[(&str, &str)]| with_namespace(namespace(labels));
    let cluster = of(&[("enforce", "restricted")]);
    let (refusal, warnings) = told(&plugin, &cluster, PODS, None, pod()).await;
    let refusal = refusal.unwrap();
    assert_eq!((refusal.code, warnings.len()), (403, 0));
    let message = format!("pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\": {RESTRICTED}");
    assert_eq!(refusal.message, message);
    // Of updates, only those count that bring another image or container.
    let (refusal, _) = told(&plugin, &cluster, PODS, Some(pod()), pod()).await;
    assert!(refusal.is_none());
    let mut changed = pod();
    changed["spec"]["containers"][0]["image"] = json!("other");
    assert!(told(&plugin, &cluster, PODS, Some(pod()), changed).await.0.is_some());
    let mut debugged = pod();
    debugged["spec"]["ephemeralContainers"] = json!([{"name": "d", "image": "i"}]);
    let ephemeral = ("", "pods", "ephemeralcontainers");
    assert!(told(&plugin, &cluster, ephemeral, Some(pod()), debugged.clone()).await.0.is_some());
    assert!(told(&plugin, &cluster, ephemeral, Some(debugged.clone()), debugged.clone()).await.0.is_none());
    assert!(told(&plugin, &cluster, ("", "pods", "status"), Some(pod()), debugged).await.0.is_none());

    let cluster = of(&[("enforce", "baseline"), ("warn", "restricted"), ("warn-version", "v1.37")]);
    let (refusal, warnings) = told(&plugin, &cluster, PODS, None, pod()).await;
    assert!(refusal.is_none());
    assert_eq!(warnings, [format!("would violate PodSecurity \"restricted:v1.37\": {RESTRICTED}")]);
    let (refusal, warnings) = told(&plugin, &of(&[]), PODS, None, pod()).await;
    assert!(refusal.is_none() && warnings.is_empty());
    let (refusal, _) = told(&plugin, &Fake::default(), PODS, None, pod()).await;
    assert_eq!(refusal.unwrap().message, "Internal error occurred: failed to lookup namespace \"n\"");
}

#[tokio::test]
async fn templates_are_only_warned_of() {
    let plugin = PodSecurity::default();
    let cluster = with_namespace(namespace(&[("enforce", "restricted")]));
    let spec = json!({"metadata": {"name": "w"}, "spec": {"template": pod()}});
    let cron = json!({"metadata": {"name": "w"}, "spec": {"jobTemplate": {"spec": {"template": pod()}}}});
    let workloads = [
        (("", "podtemplates", ""), json!({"metadata": {"name": "w"}, "template": pod()})),
        (("", "replicationcontrollers", ""), spec.clone()),
        (("apps", "deployments", ""), spec.clone()),
        (("apps", "replicasets", ""), spec.clone()),
        (("apps", "statefulsets", ""), spec.clone()),
        (("apps", "daemonsets", ""), spec.clone()),
        (("batch", "jobs", ""), spec.clone()),
        (("batch", "cronjobs", ""), cron),
    ];
    for (resource, object) in workloads {
        let (refusal, warnings) = told(&plugin, &cluster, resource, None, object).await;
        assert!(refusal.is_none());
        assert_eq!(
            warnings,
            [format!("would violate PodSecurity \"restricted:latest\": {RESTRICTED}")],
            "{resource:?}"
        );
    }
    let scale = ("apps", "deployments", "scale");
    assert!(told(&plugin, &cluster, scale, Some(spec.clone()), spec).await.1.is_empty());
    let without = json!({"metadata": {"name": "w"}, "spec": {}});
    assert!(told(&plugin, &cluster, ("", "replicationcontrollers", ""), None, without).await.1.is_empty());
}

#[tokio::test]
async fn labels_of_namespaces_are_checked() {
    let plugin = PodSecurity::default();
    let bad = namespace(&[("enforce", "strict")]);
    let (refusal, _) = told(&plugin, &Fake::default(), NAMESPACES, None, bad.clone()).await;
    let refusal = refusal.unwrap();
    assert_eq!(refusal.code, 422);
    assert_eq!(
        refusal.message,
        "Namespace \"n\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"strict\": must be \
         one of privileged, baseline, restricted"
    );
    // What was wrong before may stay, and nothing else may become wrong.
    assert!(told(&plugin, &Fake::default(), NAMESPACES, Some(bad.clone()), bad.clone()).await.0.is_none());
    let worse = namespace(&[("enforce", "strict"), ("warn-version", "1")]);
    assert!(told(&plugin, &Fake::default(), NAMESPACES, Some(bad), worse).await.0.is_some());
}

#[tokio::test]
async fn who_enforces_more_hears_of_pods() {
    let plugin = PodSecurity::default();
    let named = |name: &str, owner: Option<&str>, privileged: bool| {
        let owners: Vec<Value> = owner.iter().map(|uid| json!({"uid": uid, "controller": true})).collect();
        json!({"metadata": {"name": name, "ownerReferences": owners}, "spec": {"hostPID": !privileged, "containers": [
            {"name": "c", "securityContext": {"privileged": privileged}}]}})
    };
    let pods = vec![named("a", None, false), named("c", None, true), named("b", Some("u"), true)];
    let cluster = with_pods(pods);
    let change = async |cluster: &Fake, old: &[(&str, &str)], new: &[(&str, &str)]| {
        told(&plugin, cluster, NAMESPACES, Some(namespace(old)), namespace(new)).await.1
    };
    let baseline: &[(&str, &str)] = &[("enforce", "baseline")];
    assert_eq!(
        change(&cluster, &[], baseline).await,
        [
            "existing pods in namespace \"n\" violate the new PodSecurity enforce level \"baseline:latest\"",
            "a: host namespaces",
            "b (and 1 other pod): privileged",
        ]
    );
    assert!(change(&cluster, baseline, &[]).await.is_empty());
    assert!(change(&cluster, baseline, baseline).await.is_empty());
    assert!(change(&cluster, &[("enforce", "restricted")], baseline).await.is_empty());
    assert_eq!(change(&cluster, baseline, &[("enforce", "baseline"), ("enforce-version", "v1.1")]).await.len(), 3);

    // Pods of one controller are looked at last, but for one.
    let mut pods: Vec<Value> = (0..4000).map(|n| named(&format!("r{n:04}"), Some("u"), true)).collect();
    pods.push(named("z", None, false));
    let cluster = with_pods(pods);
    assert_eq!(
        change(&cluster, &[], baseline).await,
        [
            "new PodSecurity enforce level only checked against the first 3000 of 4001 existing pods",
            "existing pods in namespace \"n\" violate the new PodSecurity enforce level \"baseline:latest\"",
            "r0000 (and 2998 other pods): privileged",
            "z: host namespaces",
        ]
    );
}

#[tokio::test]
async fn exemptions() {
    let cluster = with_namespace(namespace(&[("enforce", "restricted")]));
    let with = |usernames: &[&str], runtime_classes: &[&str], namespaces: &[&str]| {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let (usernames, namespaces) = (list(usernames), list(namespaces));
        let exemptions = Exemptions { usernames, runtime_classes: list(runtime_classes), namespaces };
        PodSecurity::new(Configuration { exemptions, ..Configuration::default() }, &Metrics::default())
    };
    let mut boxed = pod();
    boxed["spec"]["runtimeClassName"] = json!("box");
    for (plugin, is_exempt) in [
        (with(&["jane"], &[], &[]), true),
        (with(&[], &["box"], &[]), true),
        (with(&[], &[], &["n"]), true),
        (with(&["john", ""], &["other", ""], &["m", ""]), false),
    ] {
        assert_eq!(told(&plugin, &cluster, PODS, None, boxed.clone()).await.0.is_none(), is_exempt);
    }
    let stated = namespace(&[("enforce", "baseline"), ("audit", "restricted"), ("audit-version", "v1.2")]);
    let (_, warnings) = told(&with(&[], &[], &["n"]), &cluster, NAMESPACES, None, stated.clone()).await;
    let warning = "namespace \"n\" is exempt from Pod Security, and the policy (enforce=baseline:latest, \
                   audit=restricted:v1.2) will be ignored";
    assert_eq!(warnings, [warning]);
    assert!(told(&with(&[], &[], &["m"]), &cluster, NAMESPACES, None, stated).await.1.is_empty());
}

#[tokio::test]
async fn decisions_are_counted() {
    let metrics = Metrics::default();
    let exemptions = Exemptions { usernames: vec!["jane".to_owned()], ..Exemptions::default() };
    let plugin =
        PodSecurity::new(Configuration { exemptions: Exemptions::default(), ..Configuration::default() }, &metrics);
    let labels =
        &[("enforce", "baseline"), ("audit", "restricted"), ("audit-version", "v1.99"), ("warn", "restricted")];
    let cluster = with_namespace(namespace(labels));
    told(&plugin, &cluster, PODS, None, pod()).await;
    let cluster = with_namespace(namespace(&[("enforce", "nonsense")]));
    told(&plugin, &cluster, PODS, None, pod()).await;
    told(&plugin, &with_namespace(namespace(&[])), PODS, None, pod()).await;
    let exempting = PodSecurity::new(Configuration { exemptions, ..Configuration::default() }, &metrics);
    told(&exempting, &cluster, PODS, None, pod()).await;
    let (_, text) = metrics.text();
    let text = String::from_utf8(text).unwrap();
    let evaluation = |decision: &str, mode: &str, level: &str, version: &str| {
        format!(
            "pod_security_evaluations_total{{decision=\"{decision}\",mode=\"{mode}\",policy_level=\"{level}\",\
             policy_version=\"{version}\",request_operation=\"create\",resource=\"pod\",subresource=\"\"}} 1"
        )
    };
    let of_request = "request_operation=\"create\",resource=\"pod\",subresource=\"\"} 1";
    for line in [
        evaluation("allow", "enforce", "baseline", "latest"),
        evaluation("deny", "audit", "restricted", "future"),
        evaluation("deny", "warn", "restricted", "latest"),
        evaluation("deny", "enforce", "restricted", "latest"),
        evaluation("allow", "enforce", "privileged", "latest"),
        format!("pod_security_errors_total{{fatal=\"false\",{of_request}"),
        format!("pod_security_exemptions_total{{{of_request}"),
    ] {
        assert!(text.contains(&line), "{line}\n{text}");
    }
}
