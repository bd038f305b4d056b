//! Children of the supervisor: how they are made, what their reports and their ends mean.
//!
//! A launch that fails leaves nothing but its failure.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::child::{Asker, Container, Exec, Launch, Role, State};
use super::log_file::{LogFile, Stream};
use super::poller::Interest;
use super::protocol::{Answer, Event, ExitRecord};
use super::server::Server;
use super::signals::send_signal;
use super::source::Source;
use super::streams::{Context, Streams};
use crate::launch::container::{Child, Streams as ChildStreams};
use crate::launch::report::{Failure, FailureKind, Report, Reporter, Result, Step};
use crate::launch::spec::{ContainerLaunch, ExecLaunch, InitLaunch, PidNamespace, UserNamespaceLaunch};
use crate::launch::{self, cgroup};
use crate::sys::message;
use crate::sys::process::{self, Clone as CloneRequest, Forked};

impl Server {
    pub(super) fn start_container(&mut self, asker: Asker, plan: ContainerLaunch, passed: Vec<OwnedFd>) -> Result<()> {
        if self.container_keys.contains_key(&plan.id) {
            let message = format!("container {} is supervised already", plan.id);
            return Err(Failure::new(FailureKind::AlreadyExists, message));
        }
        let key = self.new_key();
        let log = plan.io.log_path.as_deref().map(open_log).transpose()?;
        let streams = Streams::new(key, log, plan.io.stdin_once);
        let shares_pids = plan.namespaces.pid != PidNamespace::Own;
        let (id, state, cgroup) = (plan.id.clone(), State::Launching, plan.cgroup.clone());
        self.containers.insert(key, Container { id, state, streams, cgroup, discarded: false, shares_pids });
        self.container_keys.insert(plan.id.clone(), key);
        let started = self.connect(key, &plan).and_then(|child_streams| {
            let target = self.target_of(&plan.namespaces.pid)?;
            let own_pids = plan.namespaces.pid == PidNamespace::Own && plan.namespaces.user.is_none();
            let birth = Birth { own_pids, cgroup: cgroup::open_v2(&plan.cgroup)? };
            self.launch(asker, Role::Container(key), &birth, |child| {
                launch::container::run(&plan, passed, child_streams, target, child)
            })
        });
        if started.is_err() {
            self.remove_container(key);
        }
        started
    }

    /// Makes the container's streams; returns the child's ends.
    fn connect(&mut self, key: u64, plan: &ContainerLaunch) -> Result<ChildStreams> {
        if plan.io.terminal {
            return Ok(ChildStreams::Terminal);
        }
        let connect = |streams: &mut Streams, context: &mut Context<'_>| -> io::Result<ChildStreams> {
            let (out_reader, stdout) = message::pipe()?;
            let (err_reader, stderr) = message::pipe()?;
            streams.set_output(Stream::Stdout, out_reader, context)?;
            streams.set_output(Stream::Stderr, err_reader, context)?;
            let mut stdin = None;
            if plan.io.stdin {
                let (reader, writer) = message::pipe()?;
                streams.set_input(writer)?;
                stdin = Some(reader);
            }
            Ok(ChildStreams::Pipes { stdin, stdout, stderr })
        };
        self.with_streams(key, connect)
            .unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))
            .step(|| "make the container's streams".to_owned())
    }

    pub(super) fn start_init(&mut self, asker: Asker, plan: InitLaunch) -> Result<()> {
        if self.inits.contains_key(&plan.sandbox_id) {
            let message = format!("sandbox {} has an init already", plan.sandbox_id);
            return Err(Failure::new(FailureKind::AlreadyExists, message));
        }
        let birth = Birth { own_pids: plan.namespaces.user.is_none(), cgroup: cgroup::open_v2(&plan.cgroup)? };
        let role = Role::Init(plan.sandbox_id.clone());
        self.launch(asker, role, &birth, |child| launch::init::run(&plan, child))
    }

    pub(super) fn pin_user_namespaces(&mut self, asker: Asker, plan: UserNamespaceLaunch) -> Result<()> {
        let birth = Birth { own_pids: false, cgroup: None };
        self.launch(asker, Role::Helper, &birth, |child| launch::user_namespace::run(&plan, child))
    }

    pub(super) fn start_exec(&mut self, asker: Asker, plan: ExecLaunch, fds: Vec<OwnedFd>) -> Result<()> {
        let target = open_process(self.running(&plan.container_id)?.1)?;
        let streams = if plan.terminal {
            ChildStreams::Terminal
        } else {
            let [stdin, stdout, stderr] = <[OwnedFd; 3]>::try_from(fds)
                .map_err(|_| Failure::new(FailureKind::Invalid, "exec needs three descriptors"))?;
            ChildStreams::Pipes { stdin: Some(stdin), stdout, stderr }
        };
        let birth = Birth { own_pids: false, cgroup: cgroup::open_v2(&plan.cgroup)? };
        let exec = self.new_key();
        self.launch(asker, Role::Exec(exec), &birth, |child| launch::exec::run(&plan, target, streams, child))
    }

    /// The process whose pid namespace a new process is to join.
    fn target_of(&mut self, namespace: &PidNamespace) -> Result<Option<OwnedFd>> {
        let pid = match namespace {
            PidNamespace::Own | PidNamespace::Node => return Ok(None),
            PidNamespace::Sandbox(id) => self.inits.get(id).copied().ok_or_else(|| {
                Failure::new(FailureKind::NotRunning, format!("the shared pid namespace of sandbox {id} has ended"))
            })?,
            PidNamespace::Container(id) => self.running(id)?.1,
        };
        open_process(pid).map(Some)
    }

    /// Forks a child that runs `work`, which does not return, and listens to its report.
    fn launch(&mut self, asker: Asker, role: Role, birth: &Birth, work: impl FnOnce(Child)) -> Result<()> {
        let (socket, child_socket) = message::message_pair().step(|| "make a socket pair".to_owned())?;
        message::set_nonblocking(socket.as_fd()).step(|| "prepare a socket".to_owned())?;
        let id = self.new_key();
        let listening = self.poller.add(socket.as_fd(), Interest::Read, Source::Launch(id));
        let token = listening.step(|| "listen to the child".to_owned())?;
        let request = CloneRequest {
            new_pid_namespace: birth.own_pids,
            cgroup: birth.cgroup.as_ref().map(AsFd::as_fd),
            sibling: false,
        };
        // SAFETY: the supervisor has one thread.
        match unsafe { process::fork(&request) } {
            Ok(Forked::Child) => {
                work(Child { reporter: Reporter::new(child_socket), open_files: self.open_files });
                process::exit_now(1)
            }
            Ok(Forked::Parent { child: pid }) => {
                self.children.insert(pid, role.clone());
                self.launches.insert(id, Launch { role, pid, socket, token, report: Report::default(), asker });
                Ok(())
            }
            Err(error) => {
                self.poller.remove(token, &socket);
                Err(error).step(|| "fork".to_owned())
            }
        }
    }

    /// Something has come from a child that is being launched.
    pub(super) fn launch_reported(&mut self, id: u64) {
        if self.read_report(id) {
            self.finish_launch(id, true);
        }
    }

    /// Reads what has come of a report. True when it is complete.
    fn read_report(&mut self, id: u64) -> bool {
        let Some(launch) = self.launches.get_mut(&id) else { return false };
        let complete = launch.report.read(launch.socket.as_fd()).unwrap_or(true);
        if let Some(successor) = launch.report.successor.take() {
            let predecessor = std::mem::replace(&mut launch.pid, successor);
            let role = launch.role.clone();
            // The predecessor may have been reaped already.
            if let Some(old) = self.children.get_mut(&predecessor) {
                *old = Role::Helper;
            }
            self.children.insert(successor, role);
        }
        complete
    }

    /// `unreaped`: the child's number is still its own.
    fn finish_launch(&mut self, id: u64, unreaped: bool) {
        let Some(launch) = self.launches.remove(&id) else { return };
        self.poller.remove(launch.token, &launch.socket);
        let Launch { role, pid, report, asker, .. } = launch;
        let result = match report.failure {
            Some(failure) => Err(failure),
            None => self.launch_succeeded(&role, pid, asker, report.terminal).inspect_err(|_| {
                if unreaped {
                    let _ = send_signal(pid, libc::SIGKILL);
                }
            }),
        };
        match result {
            Ok((answer, fds)) => self.answer(asker, Ok(answer), fds),
            Err(failure) => {
                if let Some(child) = self.children.get_mut(&pid) {
                    *child = Role::Helper;
                }
                if let Role::Container(key) = role {
                    self.remove_container(key);
                }
                self.answer(asker, Err(failure), Vec::new());
            }
        }
    }

    fn launch_succeeded(
        &mut self,
        role: &Role,
        pid: i32,
        asker: Asker,
        terminal: Option<OwnedFd>,
    ) -> Result<(Answer, Vec<OwnedFd>)> {
        match role {
            Role::Container(key) => {
                if let Some(master) = terminal {
                    self.with_streams(*key, |streams, context| streams.set_terminal(master, context))
                        .unwrap_or(Ok(()))
                        .step(|| "take the terminal".to_owned())?;
                }
                let started_at = self.clock.now_nanos();
                if let Some(container) = self.containers.get_mut(key) {
                    container.state = State::Running { pid, started_at };
                }
                Ok((Answer::ContainerStarted { pid: pid as u32, started_at }, Vec::new()))
            }
            Role::Exec(exec) => {
                self.execs.insert(*exec, Exec { pid, connection: asker.connection });
                if !self.connections.contains_key(&asker.connection) {
                    self.end_execs_of(asker.connection);
                }
                Ok((Answer::ExecStarted { exec: *exec, pid: pid as u32 }, terminal.into_iter().collect()))
            }
            Role::Init(sandbox_id) => {
                self.inits.insert(sandbox_id.clone(), pid);
                Ok((Answer::InitStarted { pid: pid as u32 }, Vec::new()))
            }
            Role::Helper => Ok((Answer::Done, Vec::new())),
        }
    }

    pub(super) fn kill_launching(&mut self, key: Option<u64>) {
        let pids = self.launches.values().filter(|launch| match launch.role {
            Role::Container(launching) => Some(launching) == key,
            _ => false,
        });
        for pid in pids.map(|launch| launch.pid).collect::<Vec<_>>() {
            let _ = send_signal(pid, libc::SIGKILL);
        }
    }

    /// Collects every child that has ended.
    pub(super) fn reap(&mut self) {
        loop {
            let mut status = 0;
            // nix's waitpid is not used: it reaps a process that a real-time signal has ended without telling which.
            // SAFETY: the status outlives the call.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
            match pid {
                1.. if libc::WIFEXITED(status) => self.child_ended(pid, libc::WEXITSTATUS(status)),
                1.. if libc::WIFSIGNALED(status) => self.child_ended(pid, 128 + libc::WTERMSIG(status)),
                1.. => {}
                -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                // Nothing more has ended, or there are no children.
                _ => return,
            }
        }
    }

    fn child_ended(&mut self, pid: i32, exit_code: i32) {
        // Its report comes first: that says what its end means.
        let launching = self.launches.iter().find(|(_, launch)| launch.pid == pid).map(|(id, _)| *id);
        if let Some(id) = launching {
            self.read_report(id);
            // Unless another process has taken its place, it will say nothing more.
            if self.launches.get(&id).is_some_and(|launch| launch.pid == pid) {
                self.finish_launch(id, false);
            }
        }
        match self.children.remove(&pid) {
            Some(Role::Container(key)) => self.container_ended(key, exit_code),
            Some(Role::Exec(exec)) => {
                if self.execs.remove(&exec).is_some() {
                    self.broadcast(Event::ExecExited { exec, exit_code });
                }
            }
            Some(Role::Init(sandbox_id)) => {
                self.inits.remove(&sandbox_id);
                self.broadcast(Event::InitExited { sandbox_id });
            }
            // Orphans of containers in the node's pid namespace come here too.
            Some(Role::Helper) | None => {}
        }
    }

    fn container_ended(&mut self, key: u64, exit_code: i32) {
        let Some(container) = self.containers.get(&key) else { return };
        let State::Running { pid, started_at } = container.state else { return };
        container.end_leftovers();
        self.with_streams(key, |streams, context| streams.process_ended(context));
        let finished_at = self.clock.now_nanos();
        let Some(container) = self.containers.get_mut(&key) else { return };
        let oom_killed = container.cgroup.oom_counter.as_deref().is_some_and(has_oom_kills);
        let exit = ExitRecord { exit_code, oom_killed, finished_at };
        container.state = State::Exited { pid, started_at, exit };
        if container.discarded {
            return self.remove_container(key);
        }
        let container_id = container.id.clone();
        self.broadcast(Event::ContainerExited { container_id, exit });
    }

    pub(super) fn remove_container(&mut self, key: u64) {
        self.with_streams(key, |streams, context| streams.close(context));
        if let Some(container) = self.containers.remove(&key) {
            self.container_keys.remove(&container.id);
        }
    }
}

/// Where a child is born.
struct Birth {
    /// As the first process of a new pid namespace.
    own_pids: bool,
    /// In this cgroup of version 2.
    cgroup: Option<OwnedFd>,
}

fn open_process(pid: i32) -> Result<OwnedFd> {
    process::pidfd(pid)
        .map_err(|error| Failure::new(FailureKind::NotRunning, format!("the process to join has ended: {error}")))
}

fn open_log(path: &Path) -> Result<LogFile> {
    LogFile::open(path).step(|| format!("open log {}", path.display()))
}

/// Whether the OOM killer has been at work in a cgroup: `oom_kill` in `memory.oom_control` (v1) or `memory.events` (v2).
fn has_oom_kills(counter: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(counter) else { return false };
    let value = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    value.and_then(|value| value.trim().parse::<u64>().ok()).is_some_and(|count| count > 0)
}
