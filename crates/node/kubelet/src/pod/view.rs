//! Reading a pod: names, containers of all three kinds, defaults that a pod from a file may lack.

use std::borrow::Cow;
use std::sync::LazyLock;

use windlass_api::ObjectKey;
use windlass_api::k8s::api::core::v1::{Container, EphemeralContainer, Pod, PodSpec, PodStatus};
use windlass_api::well_known::annotation;
use windlass_client::ObjectReference;

static NO_SPEC: LazyLock<PodSpec> = LazyLock::new(PodSpec::default);
static NO_STATUS: LazyLock<PodStatus> = LazyLock::new(PodStatus::default);

/// Phases as the API writes them.
pub(crate) mod phase {
    pub(crate) use windlass_api::pod::has_ended as is_terminal;

    pub(crate) const PENDING: &str = "Pending";
    pub(crate) const RUNNING: &str = "Running";
    pub(crate) const SUCCEEDED: &str = "Succeeded";
    pub(crate) const FAILED: &str = "Failed";
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ContainerKind {
    Init,
    App,
    Ephemeral,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

impl PullPolicy {
    /// What a container asks for; a missing policy is what the API server would have defaulted.
    pub(crate) fn of(container: &Container) -> Self {
        match container.image_pull_policy.as_deref() {
            Some("Always") => Self::Always,
            Some("Never") => Self::Never,
            Some("IfNotPresent") => Self::IfNotPresent,
            _ => {
                let image = container.image.as_deref().unwrap_or_default();
                let name = image.rsplit('/').next().unwrap_or_default();
                let is_latest = !image.contains('@') && (!name.contains(':') || name.ends_with(":latest"));
                if is_latest { Self::Always } else { Self::IfNotPresent }
            }
        }
    }
}

/// The container that an ephemeral container is but for its target.
pub(crate) fn as_container(ephemeral: &EphemeralContainer) -> Container {
    let it = ephemeral.clone();
    Container {
        args: it.args,
        command: it.command,
        env: it.env,
        env_from: it.env_from,
        image: it.image,
        image_pull_policy: it.image_pull_policy,
        lifecycle: it.lifecycle,
        liveness_probe: it.liveness_probe,
        name: it.name,
        ports: it.ports,
        readiness_probe: it.readiness_probe,
        resize_policy: it.resize_policy,
        resources: it.resources,
        restart_policy: it.restart_policy,
        restart_policy_rules: it.restart_policy_rules,
        security_context: it.security_context,
        startup_probe: it.startup_probe,
        stdin: it.stdin,
        stdin_once: it.stdin_once,
        termination_message_path: it.termination_message_path,
        termination_message_policy: it.termination_message_policy,
        tty: it.tty,
        volume_devices: it.volume_devices,
        volume_mounts: it.volume_mounts,
        working_dir: it.working_dir,
    }
}

/// Short ways to what a pod says.
pub(crate) trait PodView {
    fn pod(&self) -> &Pod;

    fn uid(&self) -> &str {
        self.pod().metadata.uid.as_deref().unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.pod().metadata.name.as_deref().unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        self.pod().metadata.namespace.as_deref().unwrap_or("default")
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::new(self.namespace(), self.name())
    }

    fn generation(&self) -> i64 {
        self.pod().metadata.generation.unwrap_or(0)
    }

    fn pod_spec(&self) -> &PodSpec {
        self.pod().spec.as_ref().unwrap_or(&NO_SPEC)
    }

    fn pod_status(&self) -> &PodStatus {
        self.pod().status.as_ref().unwrap_or(&NO_STATUS)
    }

    fn phase(&self) -> &str {
        self.pod_status().phase.as_deref().unwrap_or(phase::PENDING)
    }

    fn is_terminal(&self) -> bool {
        phase::is_terminal(self.phase())
    }

    fn is_deleting(&self) -> bool {
        self.pod().metadata.deletion_timestamp.is_some()
    }

    fn init_containers(&self) -> &[Container] {
        self.pod_spec().init_containers.as_deref().unwrap_or_default()
    }

    fn app_containers(&self) -> &[Container] {
        &self.pod_spec().containers
    }

    fn ephemeral_containers(&self) -> &[EphemeralContainer] {
        self.pod_spec().ephemeral_containers.as_deref().unwrap_or_default()
    }

    /// The containers of a kind in the order of the specification.
    fn containers(&self, kind: ContainerKind) -> Cow<'_, [Container]> {
        match kind {
            ContainerKind::Init => Cow::Borrowed(self.init_containers()),
            ContainerKind::App => Cow::Borrowed(self.app_containers()),
            ContainerKind::Ephemeral => Cow::Owned(self.ephemeral_containers().iter().map(as_container).collect()),
        }
    }

    fn container(&self, name: &str) -> Option<(ContainerKind, Cow<'_, Container>)> {
        let named = |list: &'_ [Container]| list.iter().position(|container| container.name == name);
        if let Some(at) = named(self.init_containers()) {
            return Some((ContainerKind::Init, Cow::Borrowed(&self.init_containers()[at])));
        }
        if let Some(at) = named(self.app_containers()) {
            return Some((ContainerKind::App, Cow::Borrowed(&self.app_containers()[at])));
        }
        let ephemeral = self.ephemeral_containers().iter().find(|container| container.name == name)?;
        Some((ContainerKind::Ephemeral, Cow::Owned(as_container(ephemeral))))
    }

    /// `Always`, `OnFailure` or `Never`.
    fn restart_policy(&self) -> &str {
        self.pod_spec().restart_policy.as_deref().filter(|policy| !policy.is_empty()).unwrap_or("Always")
    }

    fn uses_host_network(&self) -> bool {
        self.pod_spec().host_network.unwrap_or(false)
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.pod().metadata.annotations.as_ref()?.get(name).map(String::as_str)
    }

    /// From a file of this node, not from the API.
    fn is_static(&self) -> bool {
        self.annotation(annotation::CONFIG_SOURCE).is_some_and(|source| source != "api")
    }

    /// What stands in the API for a static pod.
    fn is_mirror(&self) -> bool {
        self.annotation(annotation::CONFIG_MIRROR).is_some()
    }

    /// Static pods and those of the highest priorities: never evicted, let in before others.
    fn is_critical(&self) -> bool {
        const SYSTEM_CRITICAL: i32 = 2_000_000_000;
        self.is_static() || self.is_mirror() || self.pod_spec().priority.is_some_and(|it| it >= SYSTEM_CRITICAL)
    }

    /// What an event about the pod refers to.
    fn reference(&self) -> ObjectReference {
        let metadata = &self.pod().metadata;
        ObjectReference {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            namespace: self.namespace().to_owned(),
            name: self.name().to_owned(),
            uid: self.uid().to_owned(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            field_path: String::new(),
        }
    }

    /// What an event about one of its containers refers to.
    fn container_reference(&self, name: &str) -> ObjectReference {
        let list = match self.container(name) {
            Some((ContainerKind::Init, _)) => "spec.initContainers",
            Some((ContainerKind::Ephemeral, _)) => "spec.ephemeralContainers",
            _ => "spec.containers",
        };
        ObjectReference { field_path: format!("{list}{{{name}}}"), ..self.reference() }
    }
}

impl PodView for Pod {
    fn pod(&self) -> &Pod {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pull_policies() {
        let cases = [
            ("busybox", PullPolicy::Always),
            ("busybox:latest", PullPolicy::Always),
            ("registry:5000/busybox", PullPolicy::Always),
            ("registry:5000/busybox:1", PullPolicy::IfNotPresent),
            ("busybox@sha256:00", PullPolicy::IfNotPresent),
        ];
        for (image, expected) in cases {
            let container = Container { image: Some(image.to_owned()), ..Container::default() };
            assert_eq!(PullPolicy::of(&container), expected, "{image}");
        }
    }
}
