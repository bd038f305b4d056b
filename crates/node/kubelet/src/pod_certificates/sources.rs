//! The `podCertificate` sources of a pod.

use windlass_api::k8s::api::core::v1::{Pod, PodCertificateProjection};
use windlass_volumes::plan::CertificateSource;

use crate::pod::PodView;

/// One source of one pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) pod_uid: String,
    pub(super) source: CertificateSource,
}

/// The sources of a pod, with their keys. What stands in the API for a static pod has none, and neither has the static pod: nobody would
/// give it a certificate.
pub(super) fn of_pod(pod: &Pod) -> impl Iterator<Item = (Key, &PodCertificateProjection)> {
    let volumes = pod.pod_spec().volumes.iter().flatten().filter(|_| !pod.is_static() && !pod.is_mirror());
    volumes.flat_map(move |volume| {
        let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten()).enumerate();
        sources.filter_map(move |(index, projection)| {
            let source = CertificateSource { volume: volume.name.clone(), index };
            Some((Key { pod_uid: pod.uid().to_owned(), source }, projection.pod_certificate.as_ref()?))
        })
    })
}

pub(super) fn find<'a>(pod: &'a Pod, key: &Key) -> Option<&'a PodCertificateProjection> {
    of_pod(pod).find(|(other, _)| other == key).map(|(_, projection)| projection)
}
