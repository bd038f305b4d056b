//! What the supervisor does for daemons, one method for each request.

use std::fs::File;
use std::os::fd::OwnedFd;

use super::child::{Asker, State};
use super::protocol::{Answer, ContainerRecord, InitRecord, PROTOCOL, Request};
use super::server::Server;
use super::signals::{send_group_signal, send_signal};
use super::streams::ClientStreams;
use crate::launch::report::{Failure, FailureKind, Result, Step};

impl Server {
    pub(super) fn serve(&mut self, asker: Asker, request: Request, fds: Vec<OwnedFd>) {
        let result = match request {
            Request::Hello { protocol: _ } => return self.hello(asker),
            Request::StartContainer(launch) => self.start_container(asker, *launch, fds),
            Request::StartInit(launch) => self.start_init(asker, *launch),
            Request::PinUserNamespaces(launch) => self.pin_user_namespaces(asker, *launch),
            Request::Exec(launch) => self.start_exec(asker, *launch, fds),
            Request::EndInit { sandbox_id } => self.now(asker, |server| server.end_init(&sandbox_id)),
            Request::SignalContainer { container_id, signal } => {
                self.now(asker, |server| server.signal_container(&container_id, signal))
            }
            Request::KillContainer { container_id } => self.now(asker, |server| server.kill_container(&container_id)),
            Request::SignalExec { exec, signal } => self.now(asker, |server| server.signal_exec(exec, signal)),
            Request::Attach { container_id, stdin, stdout, stderr } => {
                self.now(asker, |server| server.attach(&container_id, [stdin, stdout, stderr], fds))
            }
            Request::Resize { container_id, width, height } => self.now(asker, |server| {
                let (container, _) = server.running(&container_id)?;
                container.streams.resize(width, height).step(|| "resize the terminal".to_owned())
            }),
            Request::ReopenLog { container_id } => self.now(asker, |server| server.reopen_log(&container_id)),
            Request::Forget { container_id } => self.now(asker, |server| server.forget(&container_id)),
            Request::Discard { container_id } => self.now(asker, |server| server.discard(&container_id)),
            Request::List => {
                let list = self.list();
                self.answer(asker, Ok(list), Vec::new());
                Ok(())
            }
            Request::Shutdown => self.now(asker, Self::shutdown),
        };
        if let Err(failure) = result {
            self.answer(asker, Err(failure), Vec::new());
        }
    }

    /// A request that is done when its method returns.
    fn now(&mut self, asker: Asker, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        work(self)?;
        self.answer(asker, Ok(Answer::Done), Vec::new());
        Ok(())
    }

    fn hello(&mut self, asker: Asker) {
        if let Some(connection) = self.connections.get_mut(&asker.connection) {
            connection.greeted = true;
        }
        match File::open("/proc/self/ns/mnt").step(|| "open the mount namespace".to_owned()) {
            Ok(namespace) => {
                let hello = Answer::Hello { protocol: PROTOCOL, pid: std::process::id() };
                self.answer(asker, Ok(hello), vec![namespace.into()]);
            }
            Err(failure) => self.answer(asker, Err(failure), Vec::new()),
        }
    }

    fn list(&self) -> Answer {
        let containers = self.containers.values().map(|container| {
            let (pid, started_at, exit) = match container.state {
                State::Launching => (0, 0, None),
                State::Running { pid, started_at } => (pid, started_at, None),
                State::Exited { pid, started_at, exit } => (pid, started_at, Some(exit)),
            };
            ContainerRecord {
                id: container.id.clone(),
                pid: pid as u32,
                started_at,
                exit,
                cgroup: container.cgroup.clone(),
            }
        });
        let inits = self.inits.iter();
        let inits = inits.map(|(id, pid)| InitRecord { sandbox_id: id.clone(), pid: *pid as u32 });
        Answer::List { containers: containers.collect(), inits: inits.collect() }
    }

    fn signal_container(&mut self, id: &str, signal: i32) -> Result<()> {
        match self.find(id)?.state {
            State::Running { pid, .. } => send_signal(pid, signal),
            // It has ended, or will see the kill that follows.
            State::Launching | State::Exited { .. } => Ok(()),
        }
    }

    fn kill_container(&mut self, id: &str) -> Result<()> {
        let container = self.find(id)?;
        match container.state {
            State::Running { pid, .. } => {
                send_signal(pid, libc::SIGKILL)?;
                container.end_leftovers();
                Ok(())
            }
            State::Launching => {
                let key = self.container_keys.get(id).copied();
                self.kill_launching(key);
                Ok(())
            }
            State::Exited { .. } => Ok(()),
        }
    }

    fn signal_exec(&mut self, exec: u64, signal: i32) -> Result<()> {
        match self.execs.get(&exec) {
            Some(exec) => send_group_signal(exec.pid, signal),
            None => Ok(()),
        }
    }

    fn end_init(&mut self, sandbox_id: &str) -> Result<()> {
        match self.inits.get(sandbox_id) {
            Some(pid) => send_signal(*pid, libc::SIGKILL),
            None => Ok(()),
        }
    }

    fn attach(&mut self, id: &str, wanted: [bool; 3], fds: Vec<OwnedFd>) -> Result<()> {
        let mut fds = fds.into_iter();
        let [stdin, stdout, stderr] = wanted.map(|wanted| if wanted { fds.next() } else { None });
        self.running(id)?;
        let key = self.container_keys.get(id).copied().unwrap_or_default();
        let client = ClientStreams { stdin, stdout, stderr };
        self.with_streams(key, |streams, context| streams.attach(client, context))
            .unwrap_or(Ok(()))
            .step(|| "attach".to_owned())
    }

    fn reopen_log(&mut self, id: &str) -> Result<()> {
        self.running(id)?.0.streams.reopen_log().step(|| format!("reopen the log of container {id}"))
    }

    fn forget(&mut self, id: &str) -> Result<()> {
        let Some(key) = self.container_keys.get(id).copied() else { return Ok(()) };
        if self.containers.get(&key).is_some_and(|container| !container.has_ended()) {
            return Err(Failure::new(FailureKind::Invalid, format!("container {id} is running: stop it first")));
        }
        self.remove_container(key);
        Ok(())
    }

    fn discard(&mut self, id: &str) -> Result<()> {
        if self.find(id)?.has_ended() {
            return self.forget(id);
        }
        self.find(id)?.discarded = true;
        self.kill_container(id)
    }

    fn shutdown(&mut self) -> Result<()> {
        if !self.is_idle() {
            let running = self.containers.values().filter(|container| !container.has_ended()).count();
            let message = format!("{running} containers and {} sandboxes are running", self.inits.len());
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        self.leaving = true;
        Ok(())
    }
}
