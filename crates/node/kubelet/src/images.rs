//! Images are on the node before their containers: pull policies, credentials from pull secrets, pauses after failures.

use std::collections::HashMap;
use std::sync::Arc;

use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, Engine};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Deserialize;
use windlass_api::image_name::split_registry;
use windlass_api::k8s::api::core::v1::{Container, Pod};
use windlass_api::time::{Clock, format_duration};
use windlass_client::{EventType, Recorder};
use windlass_cri::{AuthConfig, Image, ImageService, ImageSpec};
use windlass_volumes::Sources;

use crate::plan::BackOff;
use crate::pod::{PodView, PullPolicy};

/// Why a container waits for its image: reason and message of its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageFailure {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// When it makes sense to try again.
    pub(crate) retry_at: Option<Timestamp>,
}

/// Pulls images for containers, and remembers what failed.
pub(crate) struct Images {
    service: Arc<dyn ImageService>,
    recorder: Recorder,
    clock: Clock,
    failures: Mutex<Failures>,
}

#[derive(Default)]
struct Failures {
    backoff: BackOff<(String, String)>,
    last: HashMap<(String, String), String>,
}

impl Images {
    pub(crate) fn new(service: Arc<dyn ImageService>, recorder: Recorder, clock: Clock) -> Self {
        Self { service, recorder, clock, failures: Mutex::default() }
    }

    /// Forgets a pod that has ended.
    pub(crate) fn forget(&self, uid: &str) {
        let mut failures = self.failures.lock();
        let keys: Vec<_> = failures.last.keys().filter(|(pod, _)| pod == uid).cloned().collect();
        for key in keys {
            failures.last.remove(&key);
            failures.backoff.forget(&key);
        }
    }

    /// Makes sure that a container's image is there.
    pub(crate) async fn ensure(
        &self,
        pod: &Pod,
        container: &Container,
        sources: &dyn Sources,
    ) -> Result<Image, ImageFailure> {
        let about = pod.container_reference(&container.name);
        let event = |kind: EventType, reason: &str, message: String| self.recorder.event(&about, kind, reason, message);
        let wanted = container.image.as_deref().unwrap_or_default();
        let spec = ImageSpec { user_specified_image: wanted.to_owned(), ..ImageSpec::new(wanted) };
        let policy = PullPolicy::of(container);
        if policy != PullPolicy::Always {
            let found = self.service.image_status(&spec).await.map_err(|error| {
                let message = format!("Failed to inspect image {wanted:?}: {error}");
                event(EventType::Warning, "InspectFailed", message.clone());
                let invalid = error.code == windlass_cri::Code::InvalidArgument;
                let reason = if invalid { "InvalidImageName" } else { "ImageInspectError" };
                ImageFailure { reason, message, retry_at: None }
            })?;
            if let Some(image) = found {
                let text =
                    format!("Container image {wanted:?} already present on machine and can be accessed by the pod");
                event(EventType::Normal, "Pulled", text);
                return Ok(image);
            }
            if policy == PullPolicy::Never {
                let message = format!("Container image {wanted:?} is not present with pull policy of Never");
                event(EventType::Warning, "ErrImageNeverPull", message.clone());
                return Err(ImageFailure { reason: "ErrImageNeverPull", message, retry_at: None });
            }
        }
        self.pull(pod, wanted, &spec, sources, &event).await
    }

    async fn pull(
        &self,
        pod: &Pod,
        wanted: &str,
        spec: &ImageSpec,
        sources: &dyn Sources,
        event: &(dyn Fn(EventType, &str, String) + Sync),
    ) -> Result<Image, ImageFailure> {
        let key = (pod.uid().to_owned(), wanted.to_owned());
        if let Some(failure) = self.pause(&key, wanted) {
            event(EventType::Normal, "BackOff", format!("Back-off pulling image {wanted:?}"));
            return Err(failure);
        }
        event(EventType::Normal, "Pulling", format!("Pulling image {wanted:?}"));
        let started = self.clock.now();
        let credentials = credentials(pod, wanted, sources).await;
        match self.try_all(spec, credentials).await {
            Ok(image) => {
                let passed = self.clock.now().duration_since(started).as_millis();
                let passed = format_duration(i64::try_from(passed).unwrap_or(i64::MAX).saturating_mul(1_000_000));
                let text = format!(
                    "Successfully pulled image {wanted:?} in {passed} ({passed} including waiting). Image size: {} bytes.",
                    image.size_bytes
                );
                event(EventType::Normal, "Pulled", text);
                let mut failures = self.failures.lock();
                failures.last.remove(&key);
                failures.backoff.forget(&key);
                Ok(image)
            }
            Err(error) => {
                event(EventType::Warning, "Failed", format!("Failed to pull image {wanted:?}: {error}"));
                let invalid = error.code == windlass_cri::Code::InvalidArgument;
                let reason = if invalid { "InvalidImageName" } else { "ErrImagePull" };
                let message = error.to_string();
                let mut failures = self.failures.lock();
                failures.last.insert(key.clone(), format!("{reason}: {message}"));
                let now = self.clock.now();
                failures.backoff.attempt(key.clone(), now, now);
                let retry_at = failures.backoff.pending_since_attempt(&key, now);
                Err(ImageFailure { reason, message, retry_at })
            }
        }
    }

    /// Whether a pull has failed a short time ago.
    pub(crate) fn pause(&self, key: &(String, String), wanted: &str) -> Option<ImageFailure> {
        let failures = self.failures.lock();
        let until = failures.backoff.pending_since_attempt(key, self.clock.now())?;
        let mut message = format!("Back-off pulling image {wanted:?}");
        if let Some(last) = failures.last.get(key) {
            message = format!("{message}: {last}");
        }
        Some(ImageFailure { reason: "ImagePullBackOff", message, retry_at: Some(until) })
    }

    /// With each of the credentials, or with none when there are none.
    async fn try_all(&self, spec: &ImageSpec, credentials: Vec<AuthConfig>) -> windlass_cri::Result<Image> {
        let mut attempts: Vec<Option<AuthConfig>> = credentials.into_iter().map(Some).collect();
        if attempts.is_empty() {
            attempts.push(None);
        }
        let mut failure = None;
        for auth in attempts {
            match self.service.pull_image(spec, auth, None).await {
                Ok(id) => {
                    let pulled = self.service.image_status(&ImageSpec::new(&id)).await?;
                    let missing = || windlass_cri::Error::not_found(format!("image {id:?} that was pulled"));
                    return pulled.ok_or_else(missing);
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| windlass_cri::Error::internal("no credentials to pull with")))
    }
}

/// `.dockerconfigjson`, and the inner part of it, which `.dockercfg` is.
#[derive(Default, Deserialize)]
#[serde(default)]
struct DockerConfig {
    auths: HashMap<String, DockerAuth>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct DockerAuth {
    username: String,
    password: String,
    auth: String,
    identitytoken: String,
    registrytoken: String,
}

/// The credentials of a pod's pull secrets that fit an image, the most specific first.
async fn credentials(pod: &Pod, image: &str, sources: &dyn Sources) -> Vec<AuthConfig> {
    let mut all: Vec<(usize, AuthConfig)> = Vec::new();
    for reference in pod.pod_spec().image_pull_secrets.iter().flatten() {
        let secret = sources.secret(pod.namespace(), &reference.name).await;
        let Ok(Some(secret)) = secret else {
            tracing::warn!(
                pod = pod.name(),
                namespace = pod.namespace(),
                secret = reference.name,
                "unable to retrieve an image pull secret; the image pull may not succeed"
            );
            continue;
        };
        let auths = if let Some(text) = secret.data.get(".dockerconfigjson") {
            serde_json::from_slice::<DockerConfig>(text).map(|config| config.auths)
        } else if let Some(text) = secret.data.get(".dockercfg") {
            serde_json::from_slice(text)
        } else {
            continue;
        };
        let Ok(auths) = auths else { continue };
        for (registry, auth) in auths {
            if let Some(length) = fits(&registry, image) {
                all.push((length, auth_config(auth)));
            }
        }
    }
    all.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    all.into_iter().map(|(_, auth)| auth).collect()
}

/// `auth` is written with padding or without.
const AUTH_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn auth_config(auth: DockerAuth) -> AuthConfig {
    let (mut username, mut password) = (auth.username, auth.password);
    if username.is_empty()
        && let Ok(text) = AUTH_BASE64.decode(auth.auth.trim())
        && let Ok(text) = String::from_utf8(text)
        && let Some((name, secret)) = text.split_once(':')
    {
        (username, password) = (name.to_owned(), secret.to_owned());
    }
    AuthConfig {
        username,
        password,
        auth: auth.auth,
        identity_token: auth.identitytoken,
        registry_token: auth.registrytoken,
    }
}

/// Whether an entry of a Docker configuration is for an image; the length of what matched says how specific it is.
fn fits(entry: &str, image: &str) -> Option<usize> {
    let entry = entry.strip_prefix("https://").or_else(|| entry.strip_prefix("http://")).unwrap_or(entry);
    let entry = entry.trim_end_matches('/');
    let entry = entry.strip_suffix("/v1").or_else(|| entry.strip_suffix("/v2")).unwrap_or(entry);
    let (host, path) = entry.split_once('/').unwrap_or((entry, ""));
    let (registry, image_path) = split_registry(image);
    let image_host = registry.unwrap_or("index.docker.io");
    let is_hub = |host: &str| matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io");
    let same_host = host_fits(host, image_host) || (is_hub(host) && is_hub(image_host));
    (same_host && image_path.starts_with(path)).then_some(entry.len())
}

/// Labels may be `*` or end in one; the number of labels is the same.
fn host_fits(pattern: &str, host: &str) -> bool {
    let ((pattern, port), (host, host_port)) =
        (pattern.split_once(':').unwrap_or((pattern, "")), host.split_once(':').unwrap_or((host, "")));
    let (pattern, host): (Vec<&str>, Vec<&str>) = (pattern.split('.').collect(), host.split('.').collect());
    let label = |(pattern, label): (&&str, &&str)| match pattern.split_once('*') {
        Some((start, end)) => {
            label.len() >= start.len() + end.len() && label.starts_with(start) && label.ends_with(end)
        }
        None => pattern == label,
    };
    port == host_port && pattern.len() == host.len() && pattern.iter().zip(&host).all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_with_and_without_padding() {
        for auth in ["dXNlcjpwdw==", "dXNlcjpwdw", " dXNlcjpwdw==\n"] {
            let found = auth_config(DockerAuth { auth: auth.to_owned(), ..DockerAuth::default() });
            assert_eq!((&*found.username, &*found.password), ("user", "pw"), "{auth:?}");
        }
    }

    #[test]
    fn registries() {
        let cases = [
            ("https://index.docker.io/v1/", "busybox", true),
            ("docker.io", "docker.io/library/busybox", true),
            ("registry.example:5000", "registry.example:5000/a/b:1", true),
            ("registry.example", "registry.example:5000/a/b:1", false),
            ("registry.example/a", "registry.example/a/b", true),
            ("registry.example/c", "registry.example/a/b", false),
            ("*.example", "registry.example/a", true),
            ("*.example", "a.b.example/a", false),
            ("docker.io", "REGISTRY/app", false),
        ];
        for (entry, image, expected) in cases {
            assert_eq!(fits(entry, image).is_some(), expected, "{entry} {image}");
        }
    }
}
