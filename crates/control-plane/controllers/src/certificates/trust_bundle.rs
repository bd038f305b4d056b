//! The ClusterTrustBundle of the API server's own certificates: pods that mount it know the API server. It is named after its contents, so
//! that pods see a new authority beside the old one while both are there; older ones are removed.

use serde::Deserialize;
use serde_json::json;
use windlass_api::fields::FieldSelector;
use windlass_api::resource::CLUSTER_TRUST_BUNDLES;
use windlass_api::{ObjectKey, Status};
use windlass_client::{DeleteOptions, OBJECT, Options, Outcome, WorkQueue};
use windlass_machinery::digest::hex;

use crate::context::Context;
use crate::write::{delete, modify};

const NAME: &str = "kube-apiserver-serving-clustertrustbundle-publisher";
const SIGNER: &str = "kubernetes.io/kube-apiserver-serving";
/// As many digits of the digest stand in the name.
const DIGEST_DIGITS: usize = 24;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Bundle {
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    trust_bundle: String,
}

pub(crate) async fn run(context: Context, ca_pem: String) {
    let client = context.client(NAME);
    let selection = Options { fields: FieldSelector::equal("spec.signerName", SIGNER), ..Options::default() };
    let bundles = context.informers.selected(&CLUSTER_TRUST_BUNDLES, "", selection);
    let queue = WorkQueue::new();
    let changed = queue.clone();
    bundles.subscribe(move |_| changed.add(()));
    bundles.synced().await;
    queue.add(());
    let name = bundle_name(&ca_pem);
    let key = ObjectKey::new("", name.as_str());
    let sync = async |()| -> Result<Outcome, Status> {
        match bundles.read::<Bundle>(&key) {
            Some(bundle) if bundle.spec.trust_bundle == ca_pem => {}
            Some(_) => {
                let patch = json!({"spec": {"trustBundle": ca_pem}});
                modify(&client, &bundles, &CLUSTER_TRUST_BUNDLES, &key, OBJECT, &patch).await?;
            }
            None => {
                let spec = json!({"signerName": SIGNER, "trustBundle": ca_pem});
                let bundle = json!({"metadata": {"name": name}, "spec": spec});
                client.create(&CLUSTER_TRUST_BUNDLES, "", &bundle).await?;
            }
        }
        for other in bundles.list("").into_iter().filter(|bundle| bundle.key != key) {
            delete(&client, &CLUSTER_TRUST_BUNDLES, &other.key, &DeleteOptions::default()).await?;
        }
        Ok(Outcome::Done)
    };
    queue.run(NAME, 1, sync).await;
}

/// The signer's prefix and a digest of the bundle.
fn bundle_name(bundle: &str) -> String {
    format!("{}:{}", SIGNER.replace('/', ":"), &hex(bundle.as_bytes())[..DIGEST_DIGITS])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_after_its_contents() {
        // printf 'x' | sha256sum
        assert_eq!(bundle_name("x"), "kubernetes.io:kube-apiserver-serving:2d711642b726b04401627ca9");
    }
}
