//! A cluster in a network namespace of its own, without a default route, for as long as the value lives.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{complain, root};

/// Where the registry listens, within the cluster's network namespace.
const REGISTRY: &str = "127.0.0.1:5000";
const START_MAX: Duration = Duration::from_secs(60);

pub(crate) struct Cluster {
    namespace: String,
    program: PathBuf,
    data_dir: PathBuf,
    log: PathBuf,
    /// The registry that the node pulls from, and the server.
    children: Vec<Child>,
}

impl Cluster {
    /// Starts `program` on an empty data directory below `out`, and waits until the API is ready. What it pulls from registry.k8s.io comes
    /// from the archives in `images`.
    pub(crate) fn start(program: &Path, out: &Path, images: &Path) -> Result<Self, String> {
        let namespace = format!("windlass-{}", std::process::id());
        let data_dir = out.join("data");
        run(Command::new("ip").args(["netns", "add", &namespace]))?;
        let mut cluster = Self {
            namespace,
            program: program.to_owned(),
            data_dir,
            log: out.join("windlass.log"),
            children: Vec::new(),
        };
        let mut registry = cluster.inside(Path::new("python3"));
        registry.arg(root().join("conformance/registry.py")).arg(images).args(["--listen", REGISTRY]);
        registry.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        cluster.children.push(registry.spawn().map_err(|error| format!("the registry cannot be started: {error}"))?);
        let config = out.join("windlass.yaml");
        let mirror =
            format!("images: {{registries: {{registry.k8s.io: {{mirrors: [{{address: 'http://{REGISTRY}'}}]}}}}}}\n");
        std::fs::write(&config, mirror).map_err(|error| format!("{} cannot be written: {error}", config.display()))?;
        let log = std::fs::File::create(&cluster.log).map_err(|error| error.to_string())?;
        let mut server = cluster.inside(&cluster.program);
        server.args(["server", "--data-dir"]).arg(&cluster.data_dir).arg("--config").arg(&config);
        server.stdin(Stdio::null()).stdout(log.try_clone().map_err(|error| error.to_string())?).stderr(log);
        cluster.children.push(server.spawn().map_err(|error| format!("the server cannot be started: {error}"))?);
        cluster.wait()?;
        Ok(cluster)
    }

    fn wait(&mut self) -> Result<(), String> {
        let since = Instant::now();
        while !self
            .windlass(&["status"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
        {
            let ended = self.children.last_mut().and_then(|server| server.try_wait().ok().flatten());
            if ended.is_some() || since.elapsed() > START_MAX {
                return Err(format!("the server did not start; its log is {}", self.log.display()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// A command in the cluster's network.
    pub(crate) fn inside(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/var/run/netns/{}", self.namespace)).arg("--").arg(program).current_dir(root());
        command
    }

    /// `windlass ARGS…` about this cluster.
    pub(crate) fn windlass(&self, args: &[&str]) -> Command {
        let mut command = self.inside(&self.program);
        command.args(args).env("WINDLASS_DATA_DIR", &self.data_dir);
        command
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.data_dir.join("kubeconfig.yaml")
    }

    pub(crate) fn import(&self, archive: &Path) -> Result<(), String> {
        run(self.windlass(&["image", "import"]).arg(archive).stdout(Stdio::null()))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = run(self.windlass(&["down", "--wipe"]).stdout(Stdio::null())) {
            complain(error);
        }
        for child in self.children.iter_mut().rev() {
            // The server has ended by now; the registry has to be told.
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Err(error) = run(Command::new("ip").args(["netns", "del", &self.namespace])) {
            complain(error);
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?} failed: {status}")),
        Err(error) => Err(format!("{command:?} cannot be run: {error}")),
    }
}
