//! ClusterTrustBundles as pods mount them: certificates of one bundle, or of all of a signer's that a selector matches, each once.
//!
//! All bundles are watched once the first pod mounts one, for which of them a selector matches may change with each; a change wakes the
//! pods that mount its bundle, or a bundle of its signer.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use windlass_api::labels::Selector;
use windlass_api::resource::CLUSTER_TRUST_BUNDLES;
use windlass_api::{Chance, Meta, ObjectKey};
use windlass_client::{Change, Informer, Informers};
use windlass_pki::{pem_blocks, pem_encode};
use windlass_volumes::SourceError;
use windlass_volumes::plan::TrustBundle;

use crate::registry::Registry;

/// How long the first look at the bundles may take.
const SYNC_TIMEOUT: Duration = Duration::from_secs(10);
const SELECTOR_BYTES_MAX: usize = 100 * 1024;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Bundle {
    metadata: Meta,
    spec: Spec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    signer_name: String,
    trust_bundle: String,
}

/// What a pod mounts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Use {
    Bundle(String),
    Signer(String),
}

pub(crate) struct TrustBundles {
    /// Not held: informers end with the kubelet, and those who subscribe to them hold what holds this.
    informers: Weak<Informers>,
    registry: Arc<Registry>,
    /// Gives the certificates an order that nobody can rely on, another one with each start of the kubelet.
    seed: u64,
    bundles: OnceLock<Arc<Informer>>,
    /// By the pod's UID.
    uses: Arc<Mutex<HashMap<String, HashSet<Use>>>>,
}

impl TrustBundles {
    pub(crate) fn new(informers: Weak<Informers>, registry: Arc<Registry>, chance: &Chance) -> Self {
        Self { informers, registry, seed: chance.number(), bundles: OnceLock::new(), uses: Arc::default() }
    }

    /// The certificates that a pod is to trust; `None` when there is no such bundle.
    pub(crate) async fn get(&self, pod_uid: &str, wanted: &TrustBundle) -> Result<Option<Vec<u8>>, SourceError> {
        let late = || SourceError("ClusterTrustBundle informer has not yet synced".to_owned());
        let bundles = self.bundles().ok_or_else(late)?;
        tokio::time::timeout(SYNC_TIMEOUT, bundles.synced()).await.map_err(|_| late())?;
        // Before they are read, so that no change is missed.
        let used = match wanted {
            TrustBundle::Name(name) => Use::Bundle(name.clone()),
            TrustBundle::Signer { name, .. } => Use::Signer(name.clone()),
        };
        self.uses.lock().entry(pod_uid.to_owned()).or_default().insert(used);
        let found: Vec<Bundle> = match wanted {
            TrustBundle::Name(name) => bundles.read(&ObjectKey::new("", name)).into_iter().collect(),
            TrustBundle::Signer { name, selector } => {
                let selector = Selector::from_structure(selector.as_ref())
                    .map_err(|error| SourceError(format!("while parsing label selector: {error}")))?;
                let length = selector.to_string().len();
                if length > SELECTOR_BYTES_MAX {
                    let why = format!("label selector length ({length}) is larger than {SELECTOR_BYTES_MAX}");
                    return Err(SourceError(why));
                }
                let all = bundles.list("").into_iter().filter_map(|object| object.decode::<Bundle>().ok());
                let is_meant =
                    |bundle: &Bundle| bundle.spec.signer_name == *name && selector.matches(&bundle.metadata.labels);
                all.filter(is_meant).collect()
            }
        };
        Ok((!found.is_empty()).then(|| anchors(found.iter().map(|bundle| &*bundle.spec.trust_bundle), self.seed)))
    }

    /// The pod mounts nothing any more.
    pub(crate) fn release(&self, pod_uid: &str) {
        self.uses.lock().remove(pod_uid);
    }

    /// All bundles, which are watched from the first call on; `None` when the kubelet is ending.
    fn bundles(&self) -> Option<&Arc<Informer>> {
        let informers = self.informers.upgrade()?;
        let bundles = self.bundles.get_or_init(|| {
            let bundles = informers.of(&CLUSTER_TRUST_BUNDLES);
            let (uses, registry) = (self.uses.clone(), self.registry.clone());
            bundles.subscribe(move |change| {
                let users = users(&uses.lock(), change);
                users.iter().for_each(|uid| registry.inputs_changed(uid));
            });
            bundles
        });
        Some(bundles)
    }
}

/// The pods that a change is about.
fn users(uses: &HashMap<String, HashSet<Use>>, change: &Change) -> Vec<String> {
    let versions = [&change.old, &change.new].into_iter().flatten();
    let concerned: Vec<Use> = versions
        .flat_map(|object| {
            let signer = object.decode::<Bundle>().map(|bundle| bundle.spec.signer_name).unwrap_or_default();
            [Use::Bundle(object.key.name.clone()), Use::Signer(signer)]
        })
        .collect();
    let is_concerned = |used: &HashSet<Use>| concerned.iter().any(|change| used.contains(change));
    uses.iter().filter(|(_, used)| is_concerned(used)).map(|(uid, _)| uid.clone()).collect()
}

/// The certificates of all bundles in PEM, each once, in an order that follows from the seed.
fn anchors<'a>(bundles: impl Iterator<Item = &'a str>, seed: u64) -> Vec<u8> {
    let all: BTreeSet<Vec<u8>> = bundles.flat_map(pem_blocks).map(|block| block.contents).collect();
    let mut ordered: Vec<Vec<u8>> = all.into_iter().collect();
    ordered.sort_by_cached_key(|contents| {
        Sha256::new().chain_update(seed.to_le_bytes()).chain_update(contents).finalize()
    });
    ordered.iter().map(|contents| pem_encode("CERTIFICATE", contents)).collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_certificate_once_in_an_order_of_this_kubelet() {
        let block = |byte: u8| pem_encode("CERTIFICATE", &[byte]);
        let one = format!("# the first\n{}{}{}{}", block(1), block(2), block(3), block(4));
        let two = format!("{}\n\n{}", block(4), block(5));
        let merged = |seed| anchors([one.as_str(), &two].into_iter(), seed);
        let contents = |pem: &[u8]| -> Vec<u8> {
            pem_blocks(std::str::from_utf8(pem).unwrap()).into_iter().flat_map(|block| block.contents).collect()
        };
        let mut sorted = contents(&merged(7));
        sorted.sort_unstable();
        assert_eq!(sorted, [1, 2, 3, 4, 5]);
        assert_eq!(merged(7), anchors([two.as_str(), &one].into_iter(), 7), "whatever order they come in");
        assert!((0..20).any(|seed| merged(seed) != merged(7)), "the seed decides");
        assert!(!merged(7).windows(3).any(|window| window == b"# t"), "nothing but certificates");
    }
}
