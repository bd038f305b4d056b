//! What checks say, word for word as upstream.

use serde_json::json;

use super::*;

/// The reason and the detail that a check gives for a pod, as of a version.
fn said(id: &str, version: Version, pod: &Value) -> Option<(String, String)> {
    let check = BASELINE.iter().chain(RESTRICTED).find(|check| check.id == id).unwrap();
    let violation = check.rule(version)?(Pod::of(pod))?;
    Some((violation.reason, violation.detail))
}

fn expect(id: &str, pod: Value, reason: &str, detail: &str) {
    let expected = Some((reason.to_owned(), detail.to_owned()));
    assert_eq!(said(id, Version::Latest, &pod), expected, "{pod}");
}

/// A pod of containers with these security contexts, named a, b, c and so on.
fn contexts(pod: Value, containers: &[Value]) -> Value {
    let names = ["a", "b", "c", "d", "e"];
    let containers: Vec<Value> =
        containers.iter().zip(names).map(|(context, name)| json!({"name": name, "securityContext": context})).collect();
    json!({"spec": {"securityContext": pod, "containers": containers}})
}

#[test]
fn containers_are_named_in_one_order() {
    let context = json!({"privileged": true});
    let one = |name: &str| json!([{"name": name, "securityContext": context}]);
    let pod = json!({"spec": {"containers": one("b"), "initContainers": one("c"), "ephemeralContainers": one("a")}});
    expect("privileged", pod, "privileged", r#"containers "c", "b", "a" must not set securityContext.privileged=true"#);
}

#[test]
fn privileges() {
    let (id, reason) = ("allowPrivilegeEscalation", "allowPrivilegeEscalation != false");
    let (yes, no) = (json!({"allowPrivilegeEscalation": true}), json!({"allowPrivilegeEscalation": false}));
    let detail = r#"containers "a", "b" must set securityContext.allowPrivilegeEscalation=false"#;
    expect(id, contexts(json!({}), &[json!({}), yes.clone(), no]), reason, detail);
    let mut windows = contexts(json!({}), &[yes]);
    windows["spec"]["os"] = json!({"name": "windows"});
    assert_eq!(said(id, Version::Minor(25), &windows), None);
    assert!(said(id, Version::Minor(24), &windows).is_some());
    assert_eq!(said(id, Version::Minor(7), &windows), None);
    let host = json!({"windowsOptions": {"hostProcess": true}});
    let detail = r#"pod and containers "a", "b" must not set securityContext.windowsOptions.hostProcess=true"#;
    expect("windowsHostProcess", contexts(host.clone(), &[host.clone(), host]), "hostProcess", detail);
}

#[test]
fn capabilities() {
    let of = |add: &[&str], drop: &[&str]| json!({"capabilities": {"add": add, "drop": drop}});
    let pod = contexts(json!({}), &[of(&["FOO", "BAR"], &[]), of(&["BAR", "BAZ"], &["ALL"]), of(&["CHOWN"], &["ALL"])]);
    expect(
        "capabilities_baseline",
        pod.clone(),
        "non-default capabilities",
        r#"containers "a", "b" must not include "BAR", "BAZ", "FOO" in securityContext.capabilities.add"#,
    );
    expect(
        "capabilities_restricted",
        pod,
        "unrestricted capabilities",
        r#"container "a" must set securityContext.capabilities.drop=["ALL"]; containers "a", "b", "c" must not include "BAR", "BAZ", "CHOWN", "FOO" in securityContext.capabilities.add"#,
    );
}

#[test]
fn the_host() {
    let pod = json!({"spec": {"hostNetwork": true, "hostPID": true, "hostIPC": true}});
    expect("hostNamespaces", pod, "host namespaces", "hostNetwork=true, hostPID=true, hostIPC=true");
    let ports = |name: &str, ports: &[u16]| json!({"name": name, "ports": ports.iter().map(|port| json!({"hostPort": port})).collect::<Vec<_>>()});
    let pod = json!({"spec": {"containers": [ports("a", &[0]), ports("b", &[0, 20])]}});
    expect("hostPorts", pod, "hostPort", r#"container "b" uses hostPort 20"#);
    let pod = json!({"spec": {"containers": [ports("b", &[10, 20]), ports("c", &[9, 30])]}});
    expect("hostPorts", pod, "hostPort", r#"containers "b", "c" use hostPorts 10, 20, 30, 9"#);
    let pod = json!({"spec": {"containers": [
        {"name": "b", "livenessProbe": {"httpGet": {"host": "b.com"}}, "startupProbe": {"tcpSocket": {"host": ""}}},
        {"name": "a", "lifecycle": {"preStop": {"tcpSocket": {"host": "a.com"}}}}, {"name": "c"}]}});
    let detail = r#"containers "a", "b" use probe or lifecycle hosts "a.com", "b.com""#;
    expect("hostProbesAndHostLifecycle", pod.clone(), "probe or lifecycle host", detail);
    assert_eq!(said("hostProbesAndHostLifecycle", Version::Minor(33), &pod), None);
}

#[test]
fn volumes() {
    let pod = json!({"spec": {"volumes": [{"name": "a", "hostPath": {"path": "/"}}, {"name": "b", "nfs": {}},
        {"name": "c", "emptyDir": {}}, {"name": "d"}]}});
    expect("hostPathVolumes", pod.clone(), "hostPath volumes", r#"volume "a""#);
    let detail = r#"volumes "a", "b", "d" use restricted volume types "hostPath", "nfs", "unknown""#;
    expect("restrictedVolumes", pod, "restricted volume types", detail);
}

#[test]
fn users() {
    let reason = "runAsNonRoot != true";
    let (yes, no) = (json!({"runAsNonRoot": true}), json!({"runAsNonRoot": false}));
    let pod = contexts(no.clone(), &[no, json!({})]);
    expect("runAsNonRoot", pod, reason, r#"pod and container "a" must not set securityContext.runAsNonRoot=false"#);
    let mut pod = contexts(json!({}), &[json!({}), yes.clone(), json!({})]);
    let detail = r#"pod or containers "a", "c" must set securityContext.runAsNonRoot=true"#;
    expect("runAsNonRoot", pod.clone(), reason, detail);
    pod["spec"]["hostUsers"] = json!(false);
    assert_eq!(said("runAsNonRoot", Version::Minor(35), &pod), None);
    assert!(said("runAsNonRoot", Version::Minor(34), &pod).is_some());
    assert_eq!(said("runAsNonRoot", Version::Latest, &contexts(yes, &[json!({})])), None);
    let root = json!({"runAsUser": 0});
    let pod = contexts(root.clone(), &[json!({"runAsUser": 1}), root.clone(), root]);
    expect("runAsUser", pod, "runAsUser=0", r#"pod and containers "b", "c" must not set runAsUser=0"#);
}

#[test]
fn profiles_of_the_kernel() {
    let of = |field: &str, kind: &str| json!({field: {"type": kind}});
    let seccomp = |kind: &str| of("seccompProfile", kind);
    let pod = contexts(seccomp("Unconfined"), &[seccomp("Localhost"), seccomp("Unconfined"), json!({})]);
    let detail = r#"pod and container "b" must not set securityContext.seccompProfile.type to "Unconfined""#;
    expect("seccompProfile_baseline", pod.clone(), "seccompProfile", detail);
    expect("seccompProfile_restricted", pod, "seccompProfile", detail);
    let pod = contexts(json!({}), &[json!({}), seccomp("RuntimeDefault")]);
    let detail =
        r#"pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost""#;
    expect("seccompProfile_restricted", pod, "seccompProfile", detail);
    let armor = |kind: &str| of("appArmorProfile", kind);
    let mut pod = contexts(armor("Unconfined"), &[armor("Localhost"), armor("")]);
    pod["metadata"] = json!({"annotations": {"container.apparmor.security.beta.kubernetes.io/a": "unconfined",
        "container.apparmor.security.beta.kubernetes.io/b": "localhost/b"}});
    let detail = r#"pod and container "b" and annotation must not set AppArmor profile type to "", "Unconfined", "container.apparmor.security.beta.kubernetes.io/a="unconfined"""#;
    expect("appArmorProfile", pod, "forbidden AppArmor profiles", detail);
    let linux = |options: Value| json!({"seLinuxOptions": options});
    let pod = contexts(
        linux(json!({"type": "bar", "user": "u"})),
        &[linux(json!({"type": "container_t"})), linux(json!({"role": "r", "type": "foo"}))],
    );
    let detail = r#"pod and container "b" set forbidden securityContext.seLinuxOptions: types "bar", "foo"; user may not be set; role may not be set"#;
    expect("seLinuxOptions", pod, "seLinuxOptions", detail);
}

#[test]
fn annotations_for_seccomp_count_until_there_were_fields() {
    let pod = json!({"metadata": {"annotations": {"seccomp.security.alpha.kubernetes.io/pod": "unconfined",
        "container.seccomp.security.alpha.kubernetes.io/a": "unknown",
        "container.seccomp.security.alpha.kubernetes.io/b": "docker/default"}},
        "spec": {"containers": [{"name": "a"}, {"name": "b"}]}});
    let detail = r#"forbidden annotations container.seccomp.security.alpha.kubernetes.io/a="unknown", seccomp.security.alpha.kubernetes.io/pod="unconfined""#;
    let expected = Some(("seccompProfile".to_owned(), detail.to_owned()));
    assert_eq!(said("seccompProfile_baseline", Version::Minor(18), &pod), expected);
    assert_eq!(said("seccompProfile_baseline", Version::Minor(19), &pod), None);
}

#[test]
fn kernel_parameters_and_proc() {
    let set = |names: &[&str]| json!({"sysctls": names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()});
    let pod = contexts(set(&["b", "net.ipv4.tcp_rmem", "a"]), &[]);
    expect("sysctls", pod.clone(), "forbidden sysctls", "b, a");
    let (_, detail) = said("sysctls", Version::Minor(31), &pod).unwrap();
    assert_eq!(detail, "b, net.ipv4.tcp_rmem, a");
    let mount = |kind: &str| json!({"procMount": kind});
    let mut pod = contexts(json!({}), &[mount("Default"), mount("Unmasked"), mount("other")]);
    let detail = r#"containers "b", "c" must not set securityContext.procMount to "Unmasked", "other""#;
    expect("procMount", pod.clone(), "procMount", detail);
    pod["spec"]["hostUsers"] = json!(false);
    assert_eq!(said("procMount", Version::Latest, &pod), None);
    expect("procMount_restricted", pod, "procMount", detail);
}

#[test]
fn checks_are_ordered_and_replace_each_other() {
    for checks in [BASELINE, RESTRICTED] {
        assert!(checks.is_sorted_by_key(|check| check.id));
        assert!(checks.iter().all(|check| check.rules.is_sorted_by_key(|(since, _)| *since)));
    }
    let pod = contexts(json!({"seccompProfile": {"type": "Unconfined"}}), &[json!({"privileged": true})]);
    let reasons = |level, version| {
        let found = violations(LevelVersion { level, version }, Pod::of(&pod));
        found.into_iter().map(|violation| violation.reason).collect::<Vec<_>>()
    };
    assert!(reasons(Level::Privileged, Version::Latest).is_empty());
    assert_eq!(reasons(Level::Baseline, Version::Latest), ["privileged", "seccompProfile"]);
    assert_eq!(
        reasons(Level::Restricted, Version::Latest),
        [
            "privileged",
            "allowPrivilegeEscalation != false",
            "unrestricted capabilities",
            "runAsNonRoot != true",
            "seccompProfile"
        ]
    );
    assert_eq!(reasons(Level::Restricted, Version::Minor(7)), ["privileged", "runAsNonRoot != true"]);
}
