//! The node's allocator on a real file system: restarts, processes at the same time, and kills.

#![expect(clippy::unwrap_used, reason = "helpers of tests unwrap as tests do")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use windlass_ipam::node::{Error, NodeAllocator, Owner};

fn owner(id: impl ToString) -> Owner {
    Owner { container_id: id.to_string(), if_name: "eth0".into() }
}

fn allocator(dir: &Path) -> NodeAllocator {
    NodeAllocator::new(dir, "net").unwrap()
}

#[test]
fn a_new_process_knows_what_the_last_one_gave() {
    let dir = tempfile::tempdir().unwrap();
    let subnets = ["10.244.3.0/24".parse().unwrap()];
    let dir = dir.path().join("not/there/yet");
    assert_eq!(allocator(&dir).release(&owner("nobody")).unwrap(), Vec::<std::net::IpAddr>::new());
    assert!(!dir.exists());
    let first = allocator(&dir).allocate(&subnets, &owner("a")).unwrap();
    assert_eq!(first[0].to_string(), "10.244.3.2");
    assert_eq!(allocator(&dir).allocate(&subnets, &owner("a")).unwrap(), first);
    assert_ne!(allocator(&dir).allocate(&subnets, &owner("b")).unwrap(), first);
    assert_eq!(allocator(&dir).release(&owner("a")).unwrap(), first);
    assert_eq!(allocator(&dir).read().unwrap().allocations().len(), 1);
    assert_eq!(allocator(&dir).release_if(|_| true).unwrap().len(), 1);
}

#[test]
fn a_damaged_state_is_not_guessed_at() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("net.json"), b"").unwrap();
    let error = allocator(dir.path()).allocate(&["10.0.0.0/24".parse().unwrap()], &owner("a")).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(NodeAllocator::new(dir.path(), "../net").is_err());
}

#[test]
fn many_at_the_same_time_get_different_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let subnets = ["10.0.0.0/24".parse().unwrap()];
    let taken: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let allocator = allocator(dir.path());
                scope.spawn(move || {
                    let take = |n: i32| allocator.allocate(&subnets, &owner(format!("{thread}-{n}"))).unwrap()[0];
                    (0..20).map(take).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), 160);
}

/// Where the killed processes work: found by both sides from the process id of the test.
fn crash_dir(parent: u32) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ipam-crash-{parent}"))
}

struct RemoveDir(PathBuf);

impl Drop for RemoveDir {
    fn drop(&mut self) {
        #[expect(clippy::disallowed_methods, reason = "a tree that nobody else shapes")]
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A process that is killed and reaped whatever happens.
struct Child(std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_kill_at_any_moment_leaves_a_whole_state() {
    let dir = RemoveDir(crash_dir(std::process::id()));
    for round in 0..40 {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "allocate_until_killed", "--ignored", "--nocapture"]);
        let mut child = Child(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
        // Killed after some number of allocations, somewhere in the next one.
        let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let seen = lines.map_while(Result::ok).filter(|line| line.starts_with("held")).take(1 + round % 5).count();
        assert!(seen > 0, "the child process did not allocate anything");
        drop(child);
        let state = allocator(&dir.0).read().unwrap();
        assert!(state.allocations().len() <= 100);
        assert_eq!(state.free("10.0.0.0/25".parse().unwrap()), 125 - state.allocations().len() as u64);
    }
}

#[test]
#[ignore = "the other half of a_kill_at_any_moment_leaves_a_whole_state, which runs it as a process of its own"]
fn allocate_until_killed() {
    let allocator = allocator(&crash_dir(std::os::unix::process::parent_id()));
    let subnets = ["10.0.0.0/25".parse().unwrap()];
    let mut stdout = std::io::stdout();
    for turn in 0.. {
        let address = allocator.allocate(&subnets, &owner(turn % 100)).unwrap()[0];
        writeln!(stdout, "held {address}").unwrap();
        allocator.release(&owner((turn + 50) % 100)).unwrap();
    }
}

/// Pods that have filled the disk must be able to leave their network.
#[test]
fn addresses_are_given_back_on_a_full_disk() {
    assert!(nix::unistd::geteuid().is_root(), "this test mounts a file system: run it as root");
    let directory = tempfile::tempdir().unwrap();
    nix::mount::mount(Some("tmpfs"), directory.path(), Some("tmpfs"), nix::mount::MsFlags::empty(), Some("size=256k"))
        .unwrap();
    let work = || {
        let allocator = NodeAllocator::new(directory.path().join("ipam"), "net").unwrap();
        let owner = |number: usize| Owner { container_id: format!("container-{number}"), if_name: "eth0".to_owned() };
        let subnets = ["10.0.0.0/24".parse().unwrap()];
        for count in [1, 40] {
            for number in 0..count {
                allocator.allocate(&subnets, &owner(number)).unwrap();
            }
            let full = directory.path().join("full");
            let mut file = std::fs::File::create(&full).unwrap();
            while std::io::Write::write(&mut file, &[1; 4096]).is_ok_and(|wrote| wrote > 0) {}
            for number in 0..count {
                assert_eq!(allocator.release(&owner(number)).unwrap().len(), 1, "{number} of {count}");
            }
            assert_eq!(allocator.release(&owner(0)).unwrap(), Vec::<std::net::IpAddr>::new());
            std::fs::remove_file(full).unwrap();
        }
    };
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    nix::mount::umount2(directory.path(), nix::mount::MntFlags::MNT_DETACH).unwrap();
    outcome.unwrap();
}
