//! Counters of the interfaces in sandboxes' network namespaces, read by one throw-away thread that visits them in turn.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use windlass_cri::InterfaceUsage;

use crate::sys::{process, thread};

/// The interfaces in each namespace, in the same order. A namespace that is gone has none.
pub(super) async fn read(namespaces: Vec<Option<PathBuf>>) -> Vec<Vec<InterfaceUsage>> {
    let count = namespaces.len();
    let visit = move || Ok(namespaces.into_iter().map(|path| path.map(visit).unwrap_or_default()).collect());
    thread::run("network-stats", visit).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "network counters cannot be read");
        vec![Vec::new(); count]
    })
}

fn visit(namespace: PathBuf) -> Vec<InterfaceUsage> {
    let read = || -> io::Result<String> {
        process::enter(File::open(&namespace)?.as_fd(), libc::CLONE_NEWNET)?;
        std::fs::read_to_string("/proc/thread-self/net/dev")
    };
    read().map(|text| parse(&text)).unwrap_or_default()
}

/// The table of /proc/net/dev without loopback; eth0, the pod's default interface, first.
fn parse(text: &str) -> Vec<InterfaceUsage> {
    let mut list: Vec<InterfaceUsage> = text
        .lines()
        .filter_map(|line| {
            let (name, numbers) = line.split_once(':')?;
            let numbers: Vec<u64> = numbers.split_whitespace().filter_map(|number| number.parse().ok()).collect();
            let number = |column: usize| numbers.get(column).copied();
            Some(InterfaceUsage {
                name: name.trim().to_owned(),
                rx_bytes: number(0)?,
                rx_errors: number(2)?,
                tx_bytes: number(8)?,
                tx_errors: number(10)?,
            })
        })
        .filter(|interface| interface.name != "lo")
        .collect();
    list.sort_by_key(|interface| interface.name != "eth0");
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
                    face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop\n    \
                    lo: 100 1 0 0 0 0 0 0 100 1 0 0 0 0 0 0\n\
                    net1: 5 1 2 0 0 0 0 0 7 1 3 0 0 0 0 0\n  \
                    eth0: 1000 10 1 0 0 0 0 0 2000 20 2 0 0 0 0 0\n";
        let list = parse(text);
        let eth0 =
            InterfaceUsage { name: "eth0".to_owned(), rx_bytes: 1000, rx_errors: 1, tx_bytes: 2000, tx_errors: 2 };
        assert_eq!(list[0], eth0);
        assert_eq!((list[1].name.as_str(), list[1].tx_errors), ("net1", 3));
        assert_eq!(list.len(), 2);
    }
}
