//! What all parts of the kubelet work with.

use std::path::PathBuf;
use std::sync::Arc;

use windlass_api::k8s::api::core::v1::Pod;
use windlass_api::time::Clock;
use windlass_client::{Client, Informer, Recorder};
use windlass_cri::{ImageService, RuntimeService};
use windlass_volumes::Volumes;

use crate::cgroups::Cgroups;
use crate::facts::NodeFacts;
use crate::images::Images;
use crate::loops::Loops;
use crate::metrics::Metrics;
use crate::objects::Objects;
use crate::options::Options;
use crate::pod::PodView;
use crate::pod_certificates::PodCertificates;
use crate::status::StatusWriter;

pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) client: Client,
    pub(crate) recorder: Recorder,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) runtime: Arc<dyn RuntimeService>,
    pub(crate) image_service: Arc<dyn ImageService>,
    pub(crate) images: Images,
    pub(crate) volumes: Volumes,
    pub(crate) objects: Objects,
    pub(crate) certificates: Arc<PodCertificates>,
    pub(crate) services: Arc<Informer>,
    pub(crate) status: StatusWriter,
    pub(crate) cgroups: Cgroups,
    pub(crate) node: NodeFacts,
    pub(crate) loops: Arc<Loops>,
    /// What container IDs in statuses begin with.
    pub(crate) runtime_name: String,
}

impl Shared {
    /// `POD_LOGS/NAMESPACE_NAME_UID`
    pub(crate) fn log_directory(&self, pod: &Pod) -> PathBuf {
        self.options.pod_logs.join(format!("{}_{}_{}", pod.namespace(), pod.name(), pod.uid()))
    }

    pub(crate) fn pod_directory(&self, uid: &str) -> PathBuf {
        self.volumes.layout().pod(uid)
    }

    /// `name_namespace(uid)`, as messages name pods.
    pub(crate) fn shown(pod: &Pod) -> String {
        format!("{}_{}({})", pod.name(), pod.namespace(), pod.uid())
    }
}
