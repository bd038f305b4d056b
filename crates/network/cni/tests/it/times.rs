//! How long ADD and DEL take. Prints, asserts nothing about time: `cargo test --release … -- --ignored --nocapture times`.

use std::time::{Duration, Instant};

use super::lab::Host;
use super::node::Node;
use serde_json::json;
use windlass_cni::Attachment;

const ROUNDS: usize = 40;

#[test]
#[ignore = "a measurement, for a release build on a quiet machine"]
#[expect(clippy::print_stdout, reason = "a measurement prints")]
fn add_and_del() {
    for builtin in [true, false] {
        for ports in [json!([]), json!([{"hostPort": 8080, "containerPort": 80}])] {
            let node = Node::new(builtin);
            let network = node.network();
            let (mut adds, mut dels) = (Vec::new(), Vec::new());
            for round in 0..ROUNDS {
                let host = Host::new();
                let attachment = Attachment {
                    netns: Some(host.netns.path().to_owned()),
                    capabilities: json!({ "portMappings": ports }).as_object().unwrap().clone(),
                    ..Attachment::new(format!("pod-{round}"), "eth0")
                };
                let (add, del) = node.block_on(async {
                    let start = Instant::now();
                    node.cni.add(&network, &attachment).await.unwrap();
                    let add = start.elapsed();
                    let start = Instant::now();
                    node.cni.del(None, &attachment).await.unwrap();
                    (add, start.elapsed())
                });
                adds.push(add);
                dels.push(del);
            }
            let how = if builtin { "in process" } else { "executed" };
            println!("{how}, host ports {ports}: ADD {}, DEL {}", summary(adds), summary(dels));
        }
    }
}

fn summary(mut times: Vec<Duration>) -> String {
    times.sort();
    format!("median {:?}, worst {:?}", times[times.len() / 2], times[times.len() - 1])
}
