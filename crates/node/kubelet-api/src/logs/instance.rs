//! Which instance of a container a log is of. Source of the wording: `pkg/kubelet/kubelet_pods.go`, `validateContainerLogStatus`.

use crate::node::{ContainerState, PodView};

/// There is no log to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InstanceError {
    #[error("container {container:?} in pod {pod:?} is not available")]
    Unavailable { container: String, pod: String },
    #[error("previous terminated container {container:?} in pod {pod:?} not found")]
    NoPrevious { container: String, pod: String },
    #[error("container {container:?} in pod {pod:?} is terminated")]
    Terminated { container: String, pod: String },
    #[error("container {container:?} in pod {pod:?} is waiting to start: {reason}")]
    Waiting { container: String, pod: String, reason: String },
}

/// The runtime's ID of the instance whose log is wanted.
pub(crate) fn instance(pod: &PodView, name: &str, container: &str, previous: bool) -> Result<String, InstanceError> {
    let names = || (container.to_owned(), name.to_owned());
    let Some(view) = pod.container(container) else {
        let (container, pod) = names();
        return Err(InstanceError::Unavailable { container, pod });
    };
    let last = view.last_terminated.as_deref().filter(|id| !id.is_empty());
    if previous {
        let (container, pod) = names();
        return last.map(str::to_owned).ok_or(InstanceError::NoPrevious { container, pod });
    }
    let known = match &view.state {
        ContainerState::Running { id } => Some(id.as_str()),
        ContainerState::Terminated { id } if !id.is_empty() => Some(id.as_str()),
        _ => last,
    };
    let (container, pod) = names();
    match (known, &view.state) {
        (Some(id), _) => Ok(id.to_owned()),
        (None, ContainerState::Waiting { reason }) => {
            let reason = match reason.as_str() {
                "ErrImagePull" => "image can't be pulled".to_owned(),
                "ImagePullBackOff" => "trying and failing to pull image".to_owned(),
                other => other.to_owned(),
            };
            Err(InstanceError::Waiting { container, pod, reason })
        }
        (None, _) => Err(InstanceError::Terminated { container, pod }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::ContainerView;

    #[test]
    fn which_instance() {
        let waiting = |reason: &str| ContainerState::Waiting { reason: reason.to_owned() };
        let running = || ContainerState::Running { id: "now".to_owned() };
        let terminated = |id: &str| ContainerState::Terminated { id: id.to_owned() };
        let cases = [
            (running(), None, false, Ok("now")),
            (running(), Some("before"), true, Ok("before")),
            (running(), None, true, Err("previous terminated container \"c\" in pod \"p\" not found")),
            (terminated("now"), None, false, Ok("now")),
            (terminated(""), Some("before"), false, Ok("before")),
            (terminated(""), None, false, Err("container \"c\" in pod \"p\" is terminated")),
            (waiting("CrashLoopBackOff"), Some("before"), false, Ok("before")),
            (
                waiting("ContainerCreating"),
                None,
                false,
                Err("container \"c\" in pod \"p\" is waiting to start: ContainerCreating"),
            ),
            (
                waiting("ErrImagePull"),
                None,
                false,
                Err("container \"c\" in pod \"p\" is waiting to start: image can't be pulled"),
            ),
            (
                waiting("ImagePullBackOff"),
                None,
                false,
                Err("container \"c\" in pod \"p\" is waiting to start: trying and failing to pull image"),
            ),
        ];
        for (state, last, previous, expected) in cases {
            let view = ContainerView { name: "c".to_owned(), state, last_terminated: last.map(str::to_owned) };
            let pod = PodView { containers: vec![view.clone()], ..PodView::default() };
            let found = instance(&pod, "p", "c", previous).map_err(|error| error.to_string());
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{view:?} {previous}");
        }
        let text = instance(&PodView::default(), "p", "c", false).unwrap_err().to_string();
        assert_eq!(text, "container \"c\" in pod \"p\" is not available");
    }
}
