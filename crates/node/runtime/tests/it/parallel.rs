//! Many at once.

use std::time::Instant;

use futures::future::join_all;
use windlass_cri::{ContainerState, RuntimeService};

use crate::support::{container, on_node};

const COUNT: usize = 30;

#[test]
fn thirty_pods() {
    on_node(|node| {
        Box::pin(async move {
            let node = &*node;
            let one = Instant::now();
            let sandbox = node.sandbox_of(node.sandbox_config("alone")).await;
            let made = one.elapsed();
            let id = node.runtime().create_container(&sandbox, container("alone", &["sleep", "1000"])).await.unwrap();
            let created = one.elapsed();
            node.runtime().start_container(&id).await.unwrap();
            println!("one pod: sandbox {made:?}, create {:?}, start {:?}", created - made, one.elapsed() - created);

            let (begun, cpu) = (Instant::now(), node.cpu_time());
            let pods = (0..COUNT).map(|number| async move {
                let sandbox = node.sandbox_of(node.sandbox_config(&format!("pod-{number}"))).await;
                node.start(&sandbox, container(&format!("c-{number}"), &["sleep", "1000"])).await
            });
            let ids = join_all(pods).await;
            println!("{COUNT} pods: {:?}", begun.elapsed());
            println!("CPU of daemon and supervisor for each: {:?}", (node.cpu_time() - cpu) / COUNT as u32);
            println!("the supervisor has {} kB resident", node.supervisor_kilobytes());
            for id in &ids {
                assert_eq!(node.status(id).await.container.state, ContainerState::Running);
            }
            let begun = Instant::now();
            for result in join_all(ids.iter().map(|id| node.runtime().remove_container(id))).await {
                result.unwrap();
            }
            println!("{COUNT} containers removed: {:?}", begun.elapsed());
        })
    });
}
