//! What the server does for those who ask at its control socket.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use windlass_api::time::Clock;
use windlass_client::Informer;
use windlass_cri::{ImageService, ImageSpec};
use windlass_encryption::Rotation;
use windlass_images::ImageStore;

use super::VERSION;
use super::control_plane::ControlPlane;
use super::encryption::Keeper as Encryption;
use super::node::{self, Node};
use crate::control::{Handler, ImageReport, StatusReport, Stop};
use crate::error::Failure;
use crate::settings::{Component, Settings};

pub(crate) struct Operator {
    node_name: String,
    api_server: String,
    kubeconfig: PathBuf,
    started: String,
    components: Vec<String>,
    images: Option<ImageStore>,
    own: Option<Arc<Informer>>,
    encryption: Arc<Encryption>,
    rotation: Rotation,
    stop: watch::Sender<Option<Stop>>,
}

impl Operator {
    pub(crate) fn new(
        settings: &Settings,
        control_plane: &ControlPlane,
        node: Option<&Node>,
        api_server: String,
        clock: Clock,
        stop: watch::Sender<Option<Stop>>,
    ) -> Self {
        let running = Component::ALL.into_iter().filter(|component| settings.runs(*component));
        let components = std::iter::once("api-server".to_owned()).chain(running.map(|c| c.name().to_owned())).collect();
        Self {
            node_name: settings.node_name.clone(),
            api_server,
            kubeconfig: control_plane.kubeconfig.clone(),
            started: clock.now_rfc3339(),
            components,
            images: node.map(|node| node.images.clone()),
            own: node.map(|node| node.own.clone()),
            rotation: control_plane.encryption.rotation(control_plane.server.store().clone()),
            encryption: control_plane.encryption.clone(),
            stop,
        }
    }

    fn images(&self) -> Result<&ImageStore, Failure> {
        let hint = "start one that runs a node";
        self.images.as_ref().ok_or_else(|| Failure::new("this server runs no node and keeps no images").hint(hint))
    }
}

#[async_trait]
impl Handler for Operator {
    async fn status(&self) -> StatusReport {
        let state = self.own.as_ref().map_or("", |own| node::state(own, &self.node_name));
        StatusReport {
            version: VERSION.to_owned(),
            pid: std::process::id(),
            started: self.started.clone(),
            api_server: self.api_server.clone(),
            kubeconfig: self.kubeconfig.clone(),
            node: self.node_name.clone(),
            node_state: state.to_owned(),
            components: self.components.clone(),
        }
    }

    fn stop(&self, stop: Stop) {
        self.stop.send_replace(Some(stop));
    }

    async fn images(&self) -> Result<Vec<ImageReport>, Failure> {
        let listed = self.images()?.list_images(None).await;
        let images = listed.map_err(|error| Failure::during("the images cannot be listed", error))?;
        let report = images.into_iter().map(|image| ImageReport {
            names: if image.repo_tags.is_empty() { image.repo_digests } else { image.repo_tags },
            id: image.id,
            bytes: image.size_bytes,
        });
        Ok(report.collect())
    }

    async fn import(&self, path: &Path) -> Result<Vec<String>, Failure> {
        let imported = self.images()?.import(path, None).await;
        let imported =
            imported.map_err(|error| Failure::during(format!("{} cannot be imported", path.display()), error))?;
        let names = imported
            .into_iter()
            .flat_map(|image| if image.references.is_empty() { vec![image.id] } else { image.references });
        Ok(names.collect())
    }

    async fn pull(&self, reference: &str) -> Result<String, Failure> {
        let pulled = self.images()?.pull_image(&ImageSpec::new(reference), None, None).await;
        pulled.map_err(|error| Failure::during(format!("{reference} cannot be pulled"), error))
    }

    async fn remove_image(&self, reference: &str) -> Result<(), Failure> {
        let failed = |error| Failure::during(format!("{reference} cannot be removed"), error);
        let (images, spec) = (self.images()?, ImageSpec::new(reference));
        if images.image_status(&spec).await.map_err(failed)?.is_none() {
            return Err(Failure::new(format!("there is no image {reference} on this node"))
                .hint("`windlass image list` shows what there is"));
        }
        images.remove_image(&spec).await.map_err(failed)
    }

    async fn rotate_secrets(&self) -> Result<(), Failure> {
        self.encryption.rotate(&self.rotation).await
    }
}
