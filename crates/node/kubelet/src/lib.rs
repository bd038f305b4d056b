//! The kubelet: makes the pods of this node run, and says how they are.
//!
//! From the API to a process and back:
//!
//! 1. `pods` follows the API (and files, `static_pods`), lets new pods in (`admission`) and gives each a worker.
//! 2. A worker (`sync::worker`, reached by the `registry`) observes what the runtime shows (`observe`), decides (`plan`, pure) and acts through the CRI.
//! 3. `probe` asks containers how they are; `status` makes the pod's status of all that (pure) and brings it to the API.
//! 4. `pod_certificates` asks for the certificates that pods mount, and renews them.
//! 5. `node` keeps the Node object and its lease; `logs` keeps logs small; `eviction` ends pods when the node runs out of something.
//!
//! Everything is level-based: a worker that is woken looks at what is there. So a restart, a crash or a missed event costs a look.
//! It knows the API only through `windlass_client`, and containers and images only through `windlass_cri`.

mod admission;
mod api;
mod cgroups;
mod eviction;
mod facts;
mod files;
mod handle;
mod images;
mod kubelet;
mod labels;
mod logs;
mod loops;
mod metrics;
mod node;
mod objects;
mod observe;
mod options;
mod plan;
mod pod;
mod pod_certificates;
mod pods;
mod probe;
mod registry;
mod resize;
mod restart;
mod shared;
mod static_pods;
mod status;
mod sync;
mod termination_message;
mod trust_bundles;

pub use api::ApiView;
pub use cgroups::remove_cgroups;
pub use handle::{ContainerInstance, Handle};
pub use kubelet::{Context, Kubelet, StartError, run};
pub use options::{EvictionOptions, ImageGcOptions, Options, Signal, SoftThreshold, Threshold, ThresholdValue};
