//! The everyday session: real kubectl clients against the real binary, with real containers.
//!
//! The cluster runs in a network namespace of its own, without a default route. Images are built here from Debian's static busybox. All
//! kubectl clients of the machine take part: the newest goes through everything, the others through what does not depend on their age.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "this is a test: it may fail loudly, and reads the environment"
)]

mod cluster;
mod images;
mod steps;

use cluster::{Cluster, clients};

#[test]
fn the_everyday_session() {
    assert!(nix::unistd::geteuid().is_root(), "this test starts containers: run it as root");
    let mut cluster = Cluster::up();
    for version in ["1.19", "1.27.3", "latest"] {
        cluster.import(&images::web(version, cluster.directory()));
    }
    let clients = clients();
    let (newest, others) = clients.split_last().expect("a kubectl is on this machine");
    for client in others {
        let kubectl = cluster.kubectl(client);
        steps::pods(&kubectl, client.has_websockets());
        steps::objects(&kubectl);
    }
    let kubectl = cluster.kubectl(newest);
    steps::pods(&kubectl, newest.has_websockets());
    steps::objects(&kubectl);
    steps::certificates(&kubectl);
    steps::deployments(&kubectl);
    steps::services(&kubectl);
    steps::configuration(&kubectl);
    steps::life_of_containers(&kubectl);
    steps::bad_input(&kubectl);
    cluster.survives_a_kill(newest);
    cluster.goes_down_and_comes_back(newest);
    cluster.starts_on_a_full_disk(newest);
    cluster.leaves_nothing_behind();
}
