//! What the runtime is asked for when a container is made. Pure but for what is passed in.

use std::collections::BTreeMap;

use windlass_api::k8s::api::core::v1::{Container, Pod};
use windlass_cri::{ContainerConfig, ContainerMetadata, ImageSpec, Mount, Resources, SecurityContext};
use windlass_volumes::{Room, TooLong, expand_known};

use crate::labels;
use crate::plan::container_hash;
use crate::pod::PodView;

pub(super) const TERMINATION_LOG: &str = "/dev/termination-log";

/// What of a container is not in the pod.
pub(super) struct Surroundings {
    pub(super) image_id: String,
    pub(super) attempt: u32,
    pub(super) envs: Vec<(String, String)>,
    pub(super) mounts: Vec<Mount>,
    pub(super) resources: Resources,
    pub(super) security: SecurityContext,
}

pub(super) fn termination_path(container: &Container) -> &str {
    container.termination_message_path.as_deref().filter(|path| !path.is_empty()).unwrap_or(TERMINATION_LOG)
}

pub(super) fn config(pod: &Pod, container: &Container, around: Surroundings) -> Result<ContainerConfig, TooLong> {
    let variables: BTreeMap<String, String> = around.envs.iter().cloned().collect();
    let mut room = Room::default();
    let mut expand = |list: &Option<Vec<String>>| -> Result<Vec<String>, TooLong> {
        let texts = list.iter().flatten().map(|text| {
            let expanded = expand_known(text, &variables)?;
            room.take(expanded.len())?;
            Ok(expanded)
        });
        texts.collect()
    };
    let labels = BTreeMap::from([
        (labels::POD_NAME.to_owned(), pod.name().to_owned()),
        (labels::POD_NAMESPACE.to_owned(), pod.namespace().to_owned()),
        (labels::POD_UID.to_owned(), pod.uid().to_owned()),
        (labels::CONTAINER_NAME.to_owned(), container.name.clone()),
    ]);
    Ok(ContainerConfig {
        metadata: ContainerMetadata { name: container.name.clone(), attempt: around.attempt },
        image: ImageSpec {
            image: around.image_id,
            user_specified_image: container.image.clone().unwrap_or_default(),
            ..ImageSpec::default()
        },
        command: expand(&container.command)?,
        args: expand(&container.args)?,
        working_dir: container.working_dir.clone().unwrap_or_default(),
        envs: around.envs,
        mounts: around.mounts,
        devices: Vec::new(),
        labels,
        annotations: annotations(pod, container, around.attempt),
        log_path: format!("{}/{}.log", container.name, around.attempt),
        stdin: container.stdin.unwrap_or(false),
        stdin_once: container.stdin_once.unwrap_or(false),
        tty: container.tty.unwrap_or(false),
        stop_signal: None,
        resources: around.resources,
        security: around.security,
    })
}

/// What the kubelet must know of a container whose pod it has forgotten.
fn annotations(pod: &Pod, container: &Container, attempt: u32) -> BTreeMap<String, String> {
    let mut all = BTreeMap::from([
        (labels::CONTAINER_HASH.to_owned(), container_hash(container)),
        (labels::RESTART_COUNT.to_owned(), attempt.to_string()),
        (labels::TERMINATION_MESSAGE_PATH.to_owned(), termination_path(container).to_owned()),
        (
            labels::TERMINATION_MESSAGE_POLICY.to_owned(),
            container.termination_message_policy.clone().unwrap_or_else(|| "File".to_owned()),
        ),
    ]);
    if let Some(seconds) = pod.pod_spec().termination_grace_period_seconds {
        all.insert(labels::TERMINATION_GRACE.to_owned(), seconds.to_string());
    }
    let json = |value: Option<serde_json::Result<String>>| value.and_then(Result::ok);
    let pre_stop = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    if let Some(text) = json(pre_stop.map(serde_json::to_string)) {
        all.insert(labels::PRE_STOP.to_owned(), text);
    }
    if let Some(text) = json(container.ports.as_ref().map(serde_json::to_string)) {
        all.insert(labels::PORTS.to_owned(), text);
    }
    all
}
