//! Every namespace has the service account `default`.

use windlass_api::resource::{NAMESPACES, SERVICE_ACCOUNTS};
use windlass_api::{ObjectKey, Status};
use windlass_client::{Outcome, WorkQueue};

use crate::context::Context;
use crate::namespaces;

const NAME: &str = "service-account-controller";
const DEFAULT: &str = "default";

pub(crate) async fn run(context: Context) {
    let client = context.client(NAME);
    let queue = WorkQueue::new();
    let (namespaces, accounts) = (context.informer(&NAMESPACES), context.informer(&SERVICE_ACCOUNTS));
    namespaces::each(&namespaces, &queue);
    let deleted = queue.clone();
    accounts.subscribe(move |change| {
        if change.new.is_none() && change.object().key.name == DEFAULT {
            deleted.add(change.object().key.namespace.clone());
        }
    });
    accounts.synced().await;
    let sync = async |namespace: String| -> Result<Outcome, Status> {
        let key = ObjectKey::new(namespace.clone(), DEFAULT);
        if !namespaces::is_active(&namespaces, &namespace) || accounts.get(&key).is_some() {
            return Ok(Outcome::Done);
        }
        let account = serde_json::json!({"metadata": {"name": DEFAULT, "namespace": namespace}});
        namespaces::created(client.create(&SERVICE_ACCOUNTS, &namespace, &account).await)
    };
    queue.run(NAME, 2, sync).await;
}
