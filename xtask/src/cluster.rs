//! A cluster in a network namespace of its own, without a default route, for as long as the value lives.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{complain, root};

const START_MAX: Duration = Duration::from_secs(60);

pub(crate) struct Cluster {
    namespace: String,
    program: PathBuf,
    data_dir: PathBuf,
    server: Option<Child>,
}

impl Cluster {
    /// Starts `program` on an empty data directory below `out`, and waits until the API is ready.
    pub(crate) fn start(program: &Path, out: &Path) -> Result<Self, String> {
        let namespace = format!("windlass-{}", std::process::id());
        let data_dir = out.join("data");
        run(Command::new("ip").args(["netns", "add", &namespace]))?;
        let mut cluster = Self { namespace, program: program.to_owned(), data_dir, server: None };
        let log = std::fs::File::create(out.join("windlass.log")).map_err(|error| error.to_string())?;
        let mut server = cluster.inside(&cluster.program);
        server.args(["server", "--data-dir"]).arg(&cluster.data_dir);
        server.stdin(Stdio::null()).stdout(log.try_clone().map_err(|error| error.to_string())?).stderr(log);
        cluster.server = Some(server.spawn().map_err(|error| format!("the server cannot be started: {error}"))?);
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
            let ended = self.server.as_mut().and_then(|server| server.try_wait().ok().flatten());
            if ended.is_some() || since.elapsed() > START_MAX {
                return Err("the server did not start; its log is conformance/out/windlass.log".to_owned());
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
        if let Some(mut server) = self.server.take() {
            let _ = server.wait();
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
