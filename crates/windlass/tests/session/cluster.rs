//! A cluster for the test, and the kubectl clients that speak to it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use windlass_eventually::until_blocking;

/// A small disk of its own for the cluster's data, so that it can be filled.
const DISK_SIZE: &str = "size=1g";

/// How long anything in the session may take.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Cluster {
    namespace: String,
    directory: tempfile::TempDir,
    /// The network devices that were there before the cluster; some kernels make more than the loopback device.
    devices: Vec<String>,
}

impl Cluster {
    /// `windlass up` in a new network namespace; the user's kubeconfig has another context already.
    pub(crate) fn up() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let namespace = format!("windlass-session-{}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &namespace]));
        let mut cluster = Self { namespace, directory, devices: Vec::new() };
        std::fs::create_dir(cluster.disk()).unwrap();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", DISK_SIZE, "windlass-session"]).arg(cluster.disk()));
        cluster.devices = cluster.network_devices();
        std::fs::create_dir_all(cluster.kubeconfig().parent().unwrap()).unwrap();
        let other = "apiVersion: v1\nkind: Config\ncurrent-context: work\ncontexts: [{name: work, context: {cluster: w, user: u}}]\n";
        std::fs::write(cluster.kubeconfig(), other).unwrap();
        let told = cluster.windlass(&["up"]);
        assert!(told.contains("the cluster is ready"), "{told}");
        let merged = std::fs::read_to_string(cluster.kubeconfig()).unwrap();
        assert!(merged.contains("work") && merged.contains("current-context: windlass"), "{merged}");
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(cluster.kubeconfig()).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        let again = cluster.windlass(&["up"]);
        assert!(again.contains("the cluster runs already"), "{again}");
        let status = cluster.windlass(&["status"]);
        assert!(status.contains(", Ready"), "{status}");
        cluster
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn disk(&self) -> PathBuf {
        self.directory().join("disk")
    }

    fn data_dir(&self) -> PathBuf {
        self.disk().join("data")
    }

    /// Leaves not a byte on the cluster's disk; returns what took them.
    fn fill_disk(&self) -> PathBuf {
        let path = self.disk().join("filler");
        let mut file = std::fs::File::create(&path).unwrap();
        let chunk = vec![1; 1 << 20];
        for size in [chunk.len(), 1] {
            while file.write(&chunk[..size]).is_ok_and(|wrote| wrote > 0) {}
        }
        path
    }

    fn kubeconfig(&self) -> PathBuf {
        self.directory().join("home/.kube/config")
    }

    /// A command in the cluster's network, for the user of the test.
    fn inside(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/var/run/netns/{}", self.namespace)).arg("--").arg(program.as_ref());
        command.env_remove("KUBECONFIG").env("HOME", self.directory().join("home"));
        command.env("WINDLASS_DATA_DIR", self.data_dir()).env("WINDLASS_NODE_NAME", "node-1");
        command
    }

    fn network_devices(&self) -> Vec<String> {
        let all = run(self.inside("ip").args(["-o", "link"]));
        all.lines().filter_map(|line| Some(line.split(": ").nth(1)?.to_owned())).collect()
    }

    fn windlass(&self, args: &[&str]) -> String {
        run(self.inside(env!("CARGO_BIN_EXE_windlass")).args(args))
    }

    pub(crate) fn import(&self, archive: &Path) {
        self.windlass(&["image", "import", archive.to_str().unwrap()]);
    }

    pub(crate) fn kubectl<'a>(&'a self, client: &'a Client) -> Kubectl<'a> {
        Kubectl { cluster: self, client }
    }

    /// kill -9 leaves pods running, and the next `up` finds them again.
    pub(crate) fn survives_a_kill(&mut self, client: &Client) {
        let kubectl = self.kubectl(client);
        kubectl.ok(&["run", "survivor", "--image=nginx:1.19"]);
        kubectl.ok(&["wait", "--for=condition=Ready", "pod/survivor", "--timeout=60s"]);
        let id = "jsonpath={.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}";
        let before = kubectl.ok(&["get", "pod", "survivor", "-o", id]);
        let status = self.windlass(&["status"]);
        let pid = status.split("process ").nth(1).and_then(|rest| rest.split(',').next()).expect("a process");
        run(Command::new("kill").args(["-9", pid]));
        self.windlass(&["up"]);
        let kubectl = self.kubectl(client);
        kubectl.until(&["get", "pod", "survivor", "-o", id], |now| now == before);
        kubectl.ok(&["exec", "survivor", "--", "cat", "/www/index.html"]);
    }

    /// `down` ends the pods, `up` brings the cluster back with everything in it.
    pub(crate) fn goes_down_and_comes_back(&mut self, client: &Client) {
        self.kubectl(client).ok(&["create", "configmap", "kept", "--from-literal=a=b"]);
        self.windlass(&["down"]);
        let status = self.inside(env!("CARGO_BIN_EXE_windlass")).arg("status").output().unwrap();
        assert!(!status.status.success());
        self.windlass(&["up"]);
        let kubectl = self.kubectl(client);
        assert_eq!(kubectl.ok(&["get", "configmap", "kept", "-o", "jsonpath={.data.a}"]), "b");
        kubectl.ok(&["wait", "--for=condition=Ready", "pod/survivor", "--timeout=60s"]);
    }

    /// A full disk keeps the cluster neither from ending nor from starting.
    pub(crate) fn starts_on_a_full_disk(&mut self, client: &Client) {
        let filler = self.fill_disk();
        self.windlass(&["down"]);
        self.windlass(&["up"]);
        let kubectl = self.kubectl(client);
        assert_eq!(kubectl.ok(&["get", "configmap", "kept", "-o", "jsonpath={.data.a}"]), "b");
        std::fs::remove_file(filler).unwrap();
        kubectl.until(&["create", "configmap", "room", "--from-literal=a=b"], |_| true);
    }

    /// `down --wipe` removes everything but what was the user's before, also from a full disk.
    pub(crate) fn leaves_nothing_behind(&mut self) {
        let data = self.data_dir();
        let entries = std::fs::read_dir(data.join("kubelet/pods")).unwrap().flatten();
        let pods: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        assert!(!pods.is_empty(), "pods still run");
        assert_ne!(run(self.inside("nft").args(["list", "tables"])), "");
        self.fill_disk();
        self.windlass(&["down", "--wipe"]);
        assert!(!data.exists());
        assert_eq!(run(self.inside("nft").args(["list", "tables"])), "");
        assert_eq!(self.network_devices(), self.devices);
        for uid in &pods {
            let left = run(Command::new("find").args(["/sys/fs/cgroup", "-name", &format!("*{uid}*")]));
            assert_eq!(left, "", "the pod's cgroups");
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(data.to_str().unwrap()), "{mounts}");
        let merged = std::fs::read_to_string(self.kubeconfig()).unwrap();
        assert!(merged.contains("work") && !merged.contains("windlass"), "{merged}");
        self.windlass(&["down", "--wipe"]);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(log) = std::fs::read_to_string(self.data_dir().join("windlass.log"))
        {
            let lines: Vec<&str> = log.lines().rev().take(60).collect();
            let _ = writeln!(std::io::stderr(), "the end of the server's log:");
            lines.iter().rev().for_each(|line| drop(writeln!(std::io::stderr(), "{line}")));
        }
        // Whatever goes wrong here must not hide what went wrong before.
        let _ = self.inside(env!("CARGO_BIN_EXE_windlass")).args(["down", "--wipe"]).output();
        let _ = Command::new("ip").args(["netns", "del", &self.namespace]).output();
        let _ = Command::new("umount").arg(self.disk()).output();
    }
}

/// Runs a command that must succeed; returns what it printed.
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A kubectl of the machine.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    program: PathBuf,
    minor: u32,
}

impl Client {
    /// exec and its like speak WebSocket since 1.31; before that, SPDY.
    pub(crate) fn has_websockets(&self) -> bool {
        self.minor >= 31
    }
}

/// The kubectl clients of the machine, from old to new: those on the PATH, those beside the first of them, and the conformance kit's.
pub(crate) fn clients() -> Vec<Client> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let kit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/out/bin");
    let kit = std::env::var_os("CONFORMANCE_KIT").map_or(kit, |kit| PathBuf::from(kit).join("bin"));
    let sdk = ["/usr/lib/google-cloud-sdk/bin", "/usr/local/bin"].map(PathBuf::from);
    let mut found: Vec<Client> = Vec::new();
    for directory in std::env::split_paths(&path).chain(sdk).chain([kit]) {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_client = name == "kubectl" || name.starts_with("kubectl.1.");
            let minor = is_client.then(|| minor_of(&entry.path())).flatten();
            let Some(minor) = minor.filter(|minor| *minor >= 27) else { continue };
            if found.iter().all(|client| client.minor != minor) {
                found.push(Client { program: entry.path(), minor });
            }
        }
    }
    found.sort_by_key(|client| client.minor);
    let versions: Vec<String> = found.iter().map(|client| format!("1.{}", client.minor)).collect();
    let _ = writeln!(std::io::stderr(), "kubectl clients: {}", versions.join(", "));
    found
}

fn minor_of(program: &Path) -> Option<u32> {
    let output = Command::new(program).args(["version", "--client", "-o", "json"]).output().ok()?;
    let version: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    let minor = version["clientVersion"]["minor"].as_str()?;
    minor.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()
}

/// A client at a cluster.
pub(crate) struct Kubectl<'a> {
    cluster: &'a Cluster,
    client: &'a Client,
}

impl Kubectl<'_> {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.cluster.inside(&self.client.program);
        command.args(args);
        command
    }

    /// Must succeed; returns what it printed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        run(&mut self.command(args))
    }

    /// Must succeed with this on standard input; returns its standard output.
    pub(crate) fn with_input(&self, args: &[&str], input: &str) -> String {
        let output = self.output_with_input(args, input);
        assert!(output.status.success(), "kubectl {args:?}: {}", text(&output));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// The exit code, and everything that was printed.
    pub(crate) fn try_with_input(&self, args: &[&str], input: &str) -> (i32, String) {
        let output = self.output_with_input(args, input);
        (output.status.code().unwrap_or(-1), text(&output).trim_end().to_owned())
    }

    fn output_with_input(&self, args: &[&str], input: &str) -> Output {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Must fail; returns what it printed.
    pub(crate) fn fails(&self, args: &[&str]) -> String {
        let output = self.command(args).stdin(Stdio::null()).output().unwrap();
        assert!(!output.status.success(), "kubectl {args:?} succeeded: {}", text(&output));
        text(&output)
    }

    /// Asks until the answer is right.
    pub(crate) fn until(&self, args: &[&str], right: impl Fn(&str) -> bool) -> String {
        until_blocking(&format!("kubectl {args:?}"), PATIENCE, || {
            let output = self.command(args).stdin(Stdio::null()).output().unwrap();
            let answer = text(&output).trim_end().to_owned();
            if output.status.success() && right(&answer) { Ok(answer) } else { Err(answer) }
        })
    }

    /// Forwards a port for as long as `work` runs, which gets the local one.
    pub(crate) fn forwarding(&self, what: &str, port: u16, work: impl FnOnce(u16)) {
        use std::io::{BufRead, BufReader};
        let mut command = self.command(&["port-forward", what, &format!(":{port}")]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        // kubectl goes on telling, and ends when nobody can hear it.
        let mut told = BufReader::new(child.stdout.take().unwrap());
        told.read_line(&mut line).unwrap();
        let local = line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(local.expect("a local port"))));
        child.kill().unwrap();
        child.wait().unwrap();
        drop(told);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    }

    /// What an HTTP server in the cluster's network answers; `None` when it does not.
    pub(crate) fn http(&self, url: &str) -> Option<String> {
        let mut command = self.cluster.inside("curl");
        let output = command.args(["--silent", "--fail", "--max-time", "5", url]).output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.cluster.directory().join(name)
    }
}
