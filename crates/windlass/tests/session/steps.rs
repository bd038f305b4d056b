//! What a user does.

use std::collections::BTreeSet;

use crate::cluster::Kubectl;

fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

/// The words of a line that begins with `first`.
fn row(table: &str, first: &str) -> Vec<String> {
    let line = table.lines().find(|line| line.split_whitespace().next() == Some(first));
    let line = line.unwrap_or_else(|| panic!("no line of {first} in:\n{table}"));
    line.split_whitespace().map(str::to_owned).collect()
}

/// A request for a certificate of `/CN=myuser/O=devs`, PEM in base 64.
const REQUEST_OF_MYUSER: &str = "\
    LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIYk1JR0NBZ0VBTUNBeER6QU5CZ05WQkFNTUJtMTVkWE5sY2pFTk1Bc0dBMVVFQ2d3RV\
    pHVjJjekJaTUJNRwpCeXFHU000OUFnRUdDQ3FHU000OUF3RUhBMElBQkJTSEV5R241YnFCQytwV2ozVnRUZFFtTXVGcnVEcFQ1Ylg3ClVBeWU2ZU1BSWlx\
    aGd3emVhSDdxOC9jRjM5RjFpdXdwVW5XWkU3TVk4bXVVRE9YTHNncWdBREFLQmdncWhrak8KUFFRREFnTklBREJGQWlCZGw2cnQ0SkQ4R1NkR3o3NitOdW\
    MrMmZsNTI0MHNsaVQxV2NRbXlRRG50Z0loQUlYeAplVW55aE51ejRPVHZrMlV4N3gvRmxSd0pWTEVqTVcwOUJLSXNGcHFHCi0tLS0tRU5EIENFUlRJRklD\
    QVRFIFJFUVVFU1QtLS0tLQo=\
    ";
/// The same for `/O=system:masters/CN=evil`.
const REQUEST_OF_MASTERS: &str = "\
    LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIak1JR0tBZ0VBTUNneEZ6QVZCZ05WQkFvTURuTjVjM1JsYlRwdFlYTjBaWEp6TVEwd0\
    N3WURWUVFEREFSbApkbWxzTUZrd0V3WUhLb1pJemowQ0FRWUlLb1pJemowREFRY0RRZ0FFRkljVElhZmx1b0VMNmxhUGRXMU4xQ1l5CjRXdTRPbFBsdGZ0\
    UURKN3A0d0FpS3FHRERONW9mdXJ6OXdYZjBYV0s3Q2xTZFprVHN4anlhNVFNNWN1eUNxQUEKTUFvR0NDcUdTTTQ5QkFNQ0EwZ0FNRVVDSUZRczZ3TEdvK0\
    0xYlFEUXh2NzVSV1RNYm9UbHZsakUxL21RNkNudApPY2FEQWlFQW03RGZ6bVYwL0dFcTI1OG1jU25VaG5RdzBBcDhidmp2TTJRRlBWODZBNEE9Ci0tLS0t\
    RU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=\
    ";

pub(crate) fn pods(kubectl: &Kubectl<'_>, websockets: bool) {
    let nodes = kubectl.ok(&["get", "nodes"]);
    contains(&nodes, &["NAME", "STATUS", "ROLES", "AGE", "VERSION"]);
    assert_eq!(row(&nodes, "node-1")[1], "Ready");
    let run = ["run", "my-app", "--image=nginx:latest", "--image-pull-policy=IfNotPresent", "--port", "80"];
    assert_eq!(kubectl.ok(&run), "pod/my-app created");
    kubectl.ok(&["wait", "--for=condition=Ready", "pod/my-app", "--timeout=60s"]);
    let table = kubectl.ok(&["get", "pods"]);
    contains(&table, &["NAME     READY   STATUS    RESTARTS   AGE"]);
    assert_eq!(&row(&table, "my-app")[1..4], ["1/1", "Running", "0"]);
    contains(
        &kubectl.ok(&["get", "pods", "-o", "wide"]),
        &["IP", "NODE", "NOMINATED NODE", "READINESS GATES", "node-1"],
    );
    assert_eq!(kubectl.ok(&["get", "pods", "-l", "run=my-app", "-o", "name"]), "pod/my-app");
    assert_eq!(kubectl.ok(&["get", "pods", "--field-selector", "status.phase=Running", "-o", "name"]), "pod/my-app");
    assert_eq!(kubectl.ok(&["get", "pods", "--field-selector", "status.phase=Failed", "-o", "name"]), "");
    assert_eq!(kubectl.ok(&["get", "pod", "my-app", "-o", "jsonpath={.spec.containers[0].image}"]), "nginx:latest");
    let columns = kubectl.ok(&["get", "pod", "my-app", "-o", "custom-columns=N:.metadata.name,P:.status.phase"]);
    assert_eq!(row(&columns, "my-app"), ["my-app", "Running"]);
    contains(&kubectl.ok(&["get", "pods", "-A", "-o", "yaml"]), &["kind: Pod", "name: my-app"]);
    contains(&kubectl.ok(&["get", "pod", "my-app", "-o", "json"]), &["\"qosClass\": \"BestEffort\""]);
    contains(
        &kubectl.ok(&["describe", "pod", "my-app"]),
        &[
            "Node:             node-1/",
            "QoS Class:",
            "BestEffort",
            "Conditions:",
            "Successfully assigned default/my-app to node-1",
            "Started",
            "kube-api-access-",
        ],
    );
    assert_eq!(kubectl.ok(&["logs", "my-app"]), "version latest is up");
    assert_eq!(kubectl.ok(&["logs", "my-app", "--tail=0"]), "");
    contains(
        &kubectl.ok(&["logs", "my-app", "-c", "my-app", "--timestamps", "--since=1h"]),
        &["Z version latest is up"],
    );
    if websockets {
        sessions(kubectl);
    }
    // Newer clients say from which namespace.
    contains(&kubectl.ok(&["delete", "pod", "my-app", "--grace-period=1"]), &["pod \"my-app\" deleted"]);
    contains(&kubectl.fails(&["get", "pod", "my-app"]), &["Error from server (NotFound): pods \"my-app\" not found"]);
}

fn sessions(kubectl: &Kubectl<'_>) {
    assert_eq!(kubectl.ok(&["exec", "my-app", "--", "cat", "/www/index.html"]), "my-app");
    assert_eq!(kubectl.with_input(&["exec", "-i", "my-app", "--", "cat"], "through and back"), "through and back");
    let (code, _) = kubectl.try_with_input(&["exec", "my-app", "--", "sh", "-c", "exit 7"], "");
    assert_eq!(code, 7);
    let file = kubectl.file("copied.txt");
    std::fs::write(&file, "a file").unwrap();
    kubectl.ok(&["cp", file.to_str().unwrap(), "my-app:/tmp/copied.txt"]);
    assert_eq!(kubectl.ok(&["exec", "my-app", "--", "cat", "/tmp/copied.txt"]), "a file");
    let back = kubectl.file("back.txt");
    kubectl.ok(&["cp", "my-app:/tmp/copied.txt", back.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(back).unwrap(), "a file");
    kubectl.forwarding("pod/my-app", 80, |port| {
        for _ in 0..3 {
            assert_eq!(kubectl.http(&format!("http://127.0.0.1:{port}/")).as_deref(), Some("my-app"));
        }
    });
}

pub(crate) fn objects(kubectl: &Kubectl<'_>) {
    kubectl.ok(&["create", "namespace", "lab"]);
    kubectl.ok(&["create", "configmap", "settings", "-n", "lab", "--from-literal=color=blue"]);
    kubectl.ok(&["create", "secret", "generic", "keys", "-n", "lab", "--from-literal=key=value"]);
    kubectl.ok(&["create", "serviceaccount", "robot", "-n", "lab"]);
    kubectl.ok(&["create", "service", "clusterip", "web", "-n", "lab", "--tcp=80:80"]);
    kubectl.ok(&["label", "configmap", "settings", "-n", "lab", "tier=front"]);
    kubectl.ok(&["annotate", "configmap", "settings", "-n", "lab", "note=short"]);
    kubectl.ok(&["patch", "configmap", "settings", "-n", "lab", "-p", r#"{"data":{"color":"red"}}"#]);
    let read = ["get", "configmap", "settings", "-n", "lab", "-o", "jsonpath={.data.color} {.metadata.labels.tier}"];
    assert_eq!(kubectl.ok(&read), "red front");
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied, namespace: lab}\ndata: {a: \"1\"}\n---\n\
        {\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"other\", \"namespace\": \"lab\"}}\n";
    assert_eq!(
        kubectl.with_input(&["apply", "-f", "-"], manifest),
        "configmap/applied created\nconfigmap/other created"
    );
    assert_eq!(
        kubectl.with_input(&["apply", "-f", "-"], manifest),
        "configmap/applied unchanged\nconfigmap/other unchanged"
    );
    let changed = manifest.replace("\"1\"", "\"2\"");
    let (code, diff) = kubectl.try_with_input(&["diff", "-f", "-"], &changed);
    assert_eq!(code, 1, "{diff}");
    contains(&diff, &["-  a: \"1\"", "+  a: \"2\""]);
    contains(&kubectl.with_input(&["apply", "-f", "-"], &changed), &["configmap/applied configured"]);
    contains(&kubectl.with_input(&["replace", "-f", "-"], manifest), &["configmap/applied replaced"]);
    contains(&kubectl.ok(&["explain", "pods.spec.containers"]), &["KIND:", "FIELD", "image"]);
    contains(&kubectl.ok(&["api-resources"]), &["deployments", "apps/v1", "poddisruptionbudgets"]);
    let token = "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/service-account-token\n\
        metadata: {name: robot-token, namespace: lab, annotations: {kubernetes.io/service-account.name: robot}}\n";
    kubectl.with_input(&["apply", "-f", "-"], token);
    let held = ["get", "secret", "robot-token", "-n", "lab", "-o", "jsonpath={.data.token}"];
    kubectl.until(&held, |token| token.starts_with("ZXlK"));
    contains(&kubectl.ok(&["describe", "secret", "robot-token", "-n", "lab"]), &["ca.crt:", "namespace:  3 bytes"]);
    assert_eq!(kubectl.ok(&["auth", "can-i", "create", "deployments"]), "yes");
    let robot = ["auth", "can-i", "create", "deployments", "--as=system:serviceaccount:lab:robot"];
    contains(&kubectl.fails(&robot), &["no"]);
    kubectl.ok(&["delete", "serviceaccount", "robot", "-n", "lab"]);
    kubectl.ok(&["wait", "--for=delete", "secret/robot-token", "-n", "lab", "--timeout=20s"]);
    contains(
        &kubectl.ok(&["delete", "configmap", "-n", "lab", "-l", "tier=front"]),
        &["configmap \"settings\" deleted"],
    );
    kubectl.ok(&["delete", "namespace", "lab"]);
    contains(&kubectl.fails(&["get", "namespace", "lab"]), &["namespaces \"lab\" not found"]);
}

pub(crate) fn certificates(kubectl: &Kubectl<'_>) {
    let ask = |name: &str, request: &str| {
        format!(
            "apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {{name: {name}}}\nspec:\n  \
             request: {request}\n  signerName: kubernetes.io/kube-apiserver-client\n  usages: [client auth]\n"
        )
    };
    kubectl.with_input(&["apply", "-f", "-"], &ask("myuser", REQUEST_OF_MYUSER));
    contains(&kubectl.ok(&["get", "csr", "myuser"]), &["kubernetes-admin", "Pending"]);
    kubectl.ok(&["certificate", "approve", "myuser"]);
    kubectl.until(&["get", "csr", "myuser"], |table| table.contains("Approved,Issued"));
    let issued = kubectl.ok(&["get", "csr", "myuser", "-o", "jsonpath={.status.certificate}"]);
    assert!(issued.starts_with("LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS"), "{issued}");
    let (_, refused) = kubectl.try_with_input(&["apply", "-f", "-"], &ask("evil", REQUEST_OF_MASTERS));
    contains(&refused, &["use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"]);
    kubectl.ok(&["delete", "csr", "myuser"]);
}

pub(crate) fn deployments(kubectl: &Kubectl<'_>) {
    let name = "deployment/nginx-deployment";
    kubectl.ok(&["create", "deployment", "nginx-deployment", "--image=nginx:1.19"]);
    contains(&kubectl.ok(&["rollout", "status", name, "--timeout=60s"]), &["successfully rolled out"]);
    for replicas in ["3", "8"] {
        kubectl.ok(&["scale", name, &format!("--replicas={replicas}")]);
        kubectl.ok(&["rollout", "status", name, "--timeout=60s"]);
        let ready = format!("{replicas}/{replicas}");
        assert_eq!(&row(&kubectl.ok(&["get", "deployments"]), "nginx-deployment")[1..4], [&ready, replicas, replicas]);
    }
    assert_eq!(kubectl.ok(&["get", "replicaset", "-o", "name"]).lines().count(), 1);
    contains(&kubectl.ok(&["set", "image", name, "nginx=nginx:1.27.3"]), &["image updated"]);
    kubectl.ok(&["rollout", "status", name, "--timeout=60s"]);
    let image = ["get", name, "-o", "jsonpath={.spec.template.spec.containers[0].image}"];
    assert_eq!(kubectl.ok(&image), "nginx:1.27.3");
    contains(&kubectl.ok(&["rollout", "history", name]), &["REVISION", "1", "2"]);
    kubectl.ok(&["rollout", "undo", name]);
    kubectl.ok(&["rollout", "status", name, "--timeout=60s"]);
    assert_eq!(kubectl.ok(&image), "nginx:1.19");
    kubectl.ok(&["rollout", "pause", name]);
    kubectl.ok(&["set", "image", name, "nginx=nginx:1.27.3"]);
    contains(&kubectl.ok(&["describe", name]), &["DeploymentPaused"]);
    kubectl.ok(&["rollout", "resume", name]);
    kubectl.ok(&["rollout", "restart", name]);
    kubectl.ok(&["rollout", "status", name, "--timeout=60s"]);
    let of_deployment = ["get", "pods", "-l", "app=nginx-deployment", "-o", "name"];
    let pod = kubectl.ok(&of_deployment).lines().next().unwrap().to_owned();
    kubectl.ok(&["delete", &pod, "--grace-period=1"]);
    kubectl.until(&of_deployment, |pods| pods.lines().count() == 8 && !pods.contains(&pod));
    kubectl.ok(&["scale", name, "--replicas=3"]);
    kubectl.until(&of_deployment, |pods| pods.lines().count() == 3);
    kubectl.ok(&["rollout", "status", name, "--timeout=60s"]);
    contains(&kubectl.ok(&["get", "events"]), &["ScalingReplicaSet", "SuccessfulCreate", "Scheduled", "Started"]);
}

pub(crate) fn services(kubectl: &Kubectl<'_>) {
    let manifest = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  type: NodePort\n  \
        selector: {app: nginx-deployment}\n  ports: [{port: 80, nodePort: 30080}]\n";
    assert_eq!(kubectl.with_input(&["apply", "-f", "-"], manifest), "service/web created");
    contains(&kubectl.ok(&["get", "service", "web"]), &["NodePort", "80:30080/TCP"]);
    let pods = kubectl.ok(&["get", "pods", "-l", "app=nginx-deployment", "-o", "jsonpath={.items[*].metadata.name}"]);
    let wanted: BTreeSet<String> = pods.split(' ').map(str::to_owned).collect();
    let mut answered = BTreeSet::new();
    for _ in 0..1000 {
        answered.extend(kubectl.http("http://localhost:30080/"));
        if answered == wanted {
            break;
        }
    }
    assert_eq!(answered, wanted, "not every replica answers in turn");
    kubectl.ok(&["expose", "deployment", "nginx-deployment", "--name=exposed", "--port=8080", "--target-port=80"]);
    kubectl.ok(&["run", "client", "--image=nginx:1.19"]);
    kubectl.ok(&["wait", "--for=condition=Ready", "pod/client", "--timeout=60s"]);
    for url in ["http://exposed:8080/", "http://web.default.svc.cluster.local/"] {
        let answer = kubectl.until(&["exec", "client", "--", "wget", "-q", "-O", "-", url], |_| true);
        assert!(wanted.contains(&answer), "{answer}");
    }
    kubectl.ok(&[
        "delete",
        "pod/client",
        "service/exposed",
        "service/web",
        "deployment/nginx-deployment",
        "--grace-period=1",
    ]);
}

pub(crate) fn configuration(kubectl: &Kubectl<'_>) {
    kubectl.ok(&["create", "configmap", "settings", "--from-literal=color=blue"]);
    kubectl.ok(&["create", "secret", "generic", "keys", "--from-literal=key=hidden"]);
    let manifest = r#"
apiVersion: v1
kind: Pod
metadata: {name: configured, labels: {app: configured}}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - {name: first, image: "nginx:1.19", command: [sh, -c, "echo one >/shared/order"], volumeMounts: [{name: shared, mountPath: /shared}]}
  - {name: second, image: "nginx:1.19", command: [sh, -c, "echo two >>/shared/order"], volumeMounts: [{name: shared, mountPath: /shared}]}
  containers:
  - name: main
    image: nginx:1.19
    env:
    - {name: COLOR, valueFrom: {configMapKeyRef: {name: settings, key: color}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: GREETING, value: "hello $(COLOR)"}
    envFrom: [{secretRef: {name: keys}}]
    readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}
    livenessProbe: {exec: {command: [cat, /www/index.html]}, periodSeconds: 1, initialDelaySeconds: 1}
    volumeMounts:
    - {name: shared, mountPath: /shared}
    - {name: all, mountPath: /all}
  - {name: side, image: "nginx:1.19", command: [sh, -c, "sleep 3600"], volumeMounts: [{name: shared, mountPath: /shared}]}
  volumes:
  - {name: shared, emptyDir: {}}
  - name: all
    projected:
      sources:
      - configMap: {name: settings}
      - secret: {name: keys}
      - downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}
"#;
    kubectl.with_input(&["apply", "-f", "-"], manifest);
    kubectl.ok(&["wait", "--for=condition=Ready", "pod/configured", "--timeout=60s"]);
    let read =
        |container: &str, script: &str| kubectl.ok(&["exec", "configured", "-c", container, "--", "sh", "-c", script]);
    assert_eq!(read("main", "echo $GREETING $NODE $key"), "hello blue node-1 hidden");
    assert_eq!(read("side", "cat /shared/order"), "one\ntwo");
    assert_eq!(read("main", "cat /all/color /all/key /all/labels"), "bluehiddenapp=\"configured\"");
    assert_eq!(read("side", "wget -q -O - http://127.0.0.1/"), "configured");
    kubectl.ok(&["patch", "configmap", "settings", "-p", r#"{"data":{"color":"red"}}"#]);
    kubectl.until(&["exec", "configured", "-c", "main", "--", "cat", "/all/color"], |color| color == "red");
    kubectl.ok(&["delete", "pod/configured", "configmap/settings", "secret/keys"]);
}

pub(crate) fn life_of_containers(kubectl: &Kubectl<'_>) {
    let crash = ["run", "crash", "--image=nginx:1.19", "--", "sh", "-c", "echo up; sleep 1; exit 3"];
    kubectl.ok(&crash);
    kubectl.until(&["get", "pod", "crash"], |table| table.contains("CrashLoopBackOff"));
    let last = "jsonpath={.status.containerStatuses[0].lastState.terminated.exitCode}";
    assert_eq!(kubectl.ok(&["get", "pod", "crash", "-o", last]), "3");
    assert_eq!(kubectl.ok(&["logs", "crash", "--previous"]), "up");
    contains(&kubectl.ok(&["describe", "pod", "crash"]), &["BackOff", "Restart Count:"]);
    kubectl.ok(&["delete", "pod", "crash", "--grace-period=1"]);
    let once = ["run", "once", "--image=nginx:1.19", "--restart=Never", "--", "sh", "-c", "echo done"];
    kubectl.ok(&once);
    kubectl.ok(&["wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/once", "--timeout=60s"]);
    assert_eq!(row(&kubectl.ok(&["get", "pod", "once"]), "once")[2], "Completed");
    assert_eq!(kubectl.ok(&["logs", "once", "-f"]), "done");
    kubectl.ok(&["delete", "pod", "once"]);
}

pub(crate) fn bad_input(kubectl: &Kubectl<'_>) {
    let (code, text) = kubectl.try_with_input(
        &["apply", "-f", "-"],
        "apiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec: {containers: [{name: c, image: i, imag: x}]}\n",
    );
    assert_eq!(code, 1, "{text}");
    contains(&text, &["strict decoding error: unknown field \"spec.containers[0].imag\""]);
    let (_, text) =
        kubectl.try_with_input(&["apply", "-f", "-"], "apiVersion: v1\nkind: Podd\nmetadata: {name: bad}\n");
    contains(&text, &["no matches for kind \"Podd\" in version \"v1\""]);
    let (_, text) = kubectl.try_with_input(
        &["apply", "-f", "-"],
        "apiVersion: v1\nkind: Pod\nmetadata: {name: Bad_Name}\nspec: {containers: []}\n",
    );
    contains(
        &text,
        &[
            "The Pod \"Bad_Name\" is invalid:",
            "metadata.name: Invalid value: \"Bad_Name\"",
            "spec.containers: Required value",
        ],
    );
    kubectl.ok(&["run", "absent", "--image=registry.invalid/no/image:1"]);
    kubectl
        .until(&["get", "pod", "absent"], |table| table.contains("ErrImagePull") || table.contains("ImagePullBackOff"));
    contains(&kubectl.ok(&["describe", "pod", "absent"]), &["Failed to pull image \"registry.invalid/no/image:1\""]);
    kubectl.ok(&["delete", "pod", "absent", "--grace-period=1"]);
}
