//! Objects, containers and connections that come and go for a long time, after which the server is as large as before.
//!
//! A round makes pods, a Deployment, a Service, ConfigMaps and Events under names of its own, with watches open; reads
//! logs, runs programs in containers, some of which are left without a word; then deletes everything and waits until it is gone. Then
//! [`Sample`] measures. Everything goes through kubectl, so each step is a new TLS connection too.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::sample::{Sample, heading, judge};
use crate::cluster::Cluster;
use crate::conformance::kit;
use crate::process::{root, say};

const IMAGE: &str = "registry.k8s.io/e2e-test-images/busybox:1.37.0-2";
const ARCHIVE: &str = "images/e2e-test-images_busybox_1.37.0-2.tar";
const NAMESPACE: &str = "churn";
const CONFIG_MAPS: usize = 50;
const EVENTS: usize = 50;
const PODS: usize = 4;
const REPLICAS: usize = 8;
/// What `timeout` gives one kubectl, in seconds.
const COMMAND_SECONDS_MAX: &str = "180";

/// Churns for some time, then compares.
pub(super) fn run(program: &Path, duration: Duration) -> Result<(), String> {
    let out = root().join("conformance/out/churn");
    std::fs::create_dir_all(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    let kit = kit(&root().join("conformance/out"))?;
    let cluster = Cluster::start(program, &out, &kit.join("images"))?;
    cluster.import(&kit.join(ARCHIVE))?;
    let churn = Churn { cluster: &cluster, kubectl: kit.join("bin/kubectl") };
    churn.kubectl(&["create", "namespace", NAMESPACE], "")?;
    let (since, mut samples) = (Instant::now(), Vec::new());
    let file = out.join("samples.tsv");
    let mut table = format!("seconds\t{}\n", heading());
    while since.elapsed() < duration {
        churn.round(samples.len())?;
        let sample = Sample::take(program, cluster.data_dir())?;
        table.push_str(&format!("{}\t{sample}\n", since.elapsed().as_secs()));
        samples.push(sample);
        // As it grows, so that a run that breaks off leaves what it saw.
        std::fs::write(&file, &table).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    say(format_args!("{} rounds; every sample is in {}", samples.len(), file.display()));
    judge(&samples).map(say)
}

struct Churn<'a> {
    cluster: &'a Cluster,
    kubectl: PathBuf,
}

impl Churn<'_> {
    fn round(&self, number: usize) -> Result<(), String> {
        let pod = format!("pod-{number}-0");
        let mut open = Vec::new();
        for kinds in ["pods", "deployments", "configmaps,services,events"] {
            open.push(self.left(&["get", kinds, "--watch"])?);
        }
        self.kubectl(&["create", "-f", "-"], &manifests(number))?;
        self.kubectl(&["rollout", "status", &format!("deployment/web-{number}")], "")?;
        self.kubectl(&["wait", "--for=condition=Ready", "pods", "--all"], "")?;
        open.push(self.left(&["logs", "-f", &pod])?);
        let said = self.kubectl(&["exec", "-i", &pod, "--", "cat"], "round and round")?;
        if said != "round and round" {
            return Err(format!("exec said {said:?}"));
        }
        open.push(self.left(&["exec", &pod, "--", "sleep", "1000"])?);
        let logs = self.kubectl(&["logs", &pod], "")?;
        if !logs.contains("hello") {
            return Err(format!("the log is {logs:?}"));
        }
        self.kubectl(&["scale", &format!("deployment/web-{number}"), "--replicas=1"], "")?;
        // Clients that go without a word.
        for mut child in open {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.kubectl(&["delete", "deployments,services,pods", "--all", "--grace-period=1"], "")?;
        self.kubectl(&["wait", "--for=delete", "pods", "--all"], "")?;
        self.kubectl(&["delete", "configmaps", "-l", "churn=round"], "")?;
        self.kubectl(&["delete", "events", "--all"], "").map(|_| ())
    }

    /// Runs kubectl to its end and returns what it says.
    fn kubectl(&self, args: &[&str], input: &str) -> Result<String, String> {
        let mut command = self.cluster.inside(Path::new("timeout"));
        command.arg(COMMAND_SECONDS_MAX).arg(&self.kubectl).args(["--namespace", NAMESPACE]).args(args);
        command.env("KUBECONFIG", self.cluster.kubeconfig());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let problem = |error| format!("kubectl cannot be run: {error}");
        let mut child = command.spawn().map_err(problem)?;
        if let Some(mut stdin) = child.stdin.take() {
            // Whoever does not read it says why at its end.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().map_err(problem)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("kubectl {} failed: {}", args.join(" "), said.trim()))
    }

    /// Starts a kubectl that is left alone.
    fn left(&self, args: &[&str]) -> Result<Child, String> {
        let mut command = self.cluster.inside(&self.kubectl);
        command.args(["--namespace", NAMESPACE]).args(args).env("KUBECONFIG", self.cluster.kubeconfig());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map_err(|error| format!("kubectl cannot be run: {error}"))
    }
}

/// What a round creates.
fn manifests(round: usize) -> String {
    let container = format!(
        "{{name: c, image: '{IMAGE}', command: [sh, -c, 'echo hello; exec sleep 100000'], \
         volumeMounts: [{{name: v, mountPath: /v}}]}}"
    );
    let spec = format!(
        "{{terminationGracePeriodSeconds: 1, containers: [{container}], volumes: [{{name: v, configMap: {{name: map-{round}-0}}}}]}}"
    );
    let mut documents = Vec::new();
    for number in 0..CONFIG_MAPS {
        documents.push(format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: map-{round}-{number}, labels: {{churn: round}}}}, data: {{k: '{}'}}}}",
            "v".repeat(1000)
        ));
    }
    for number in 0..EVENTS {
        documents.push(format!(
            "{{apiVersion: v1, kind: Event, metadata: {{name: event-{round}-{number}}}, reason: Churned, message: round {round}, \
             involvedObject: {{kind: Pod, namespace: {NAMESPACE}, name: pod-{round}-0}}}}"
        ));
    }
    for number in 0..PODS {
        documents
            .push(format!("{{apiVersion: v1, kind: Pod, metadata: {{name: pod-{round}-{number}}}, spec: {spec}}}"));
    }
    let labels = format!("{{app: web-{round}}}");
    documents.push(format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web-{round}}}, spec: {{replicas: {REPLICAS}, \
         selector: {{matchLabels: {labels}}}, template: {{metadata: {{labels: {labels}}}, spec: {spec}}}}}}}"
    ));
    documents.push(format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: web-{round}}}, spec: {{selector: {labels}, ports: [{{port: 80}}]}}}}"
    ));
    documents.join("\n---\n")
}
