//! A Secret of type `kubernetes.io/service-account-token` holds a token of the service account that it names, for as long as both are
//! there.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use windlass_api::fields::FieldSelector;
use windlass_api::meta::PartialObject;
use windlass_api::resource::{SECRETS, SERVICE_ACCOUNTS};
use windlass_api::well_known::annotation::{SERVICE_ACCOUNT_NAME, SERVICE_ACCOUNT_UID};
use windlass_api::{Meta, ObjectKey, Status};
use windlass_client::{DeleteOptions, OBJECT, Options as Selection, Outcome, WorkQueue};

use crate::context::Context;
use crate::write::{delete, modify};

const NAME: &str = "tokens-controller";
const TYPE: &str = "kubernetes.io/service-account-token";
const BY_ACCOUNT: &str = "service account";

/// What a token in a Secret is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretToken {
    pub namespace: String,
    pub account: String,
    pub account_uid: String,
    pub secret: String,
}

/// Signs such a token; it has no end.
pub type SignToken = Arc<dyn Fn(&SecretToken) -> Result<String, Status> + Send + Sync>;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Secret {
    metadata: Meta,
    /// In base 64.
    data: BTreeMap<String, String>,
}

impl Secret {
    fn annotation(&self, name: &str) -> &str {
        self.metadata.annotations.get(name).map_or("", String::as_str)
    }

    fn account(&self) -> ObjectKey {
        ObjectKey::new(self.metadata.namespace.clone(), self.annotation(SERVICE_ACCOUNT_NAME))
    }
}

pub(crate) async fn run(context: Context, ca_pem: String, sign: SignToken) {
    // As the controller manager itself: no account has a role for this.
    let client = context.manager.clone();
    let fields = FieldSelector::equal("type", TYPE);
    let secrets = context.informers.selected(&SECRETS, "", Selection { fields, ..Selection::default() });
    let accounts = context.informer(&SERVICE_ACCOUNTS);
    secrets.add_index(BY_ACCOUNT, |object| {
        object.decode::<Secret>().ok().map(|secret| secret.account().to_string()).into_iter().collect()
    });
    let queue = WorkQueue::new();
    let changed = queue.clone();
    secrets.subscribe(move |change| changed.add(change.object().key.clone()));
    let (changed, of_account) = (queue.clone(), secrets.clone());
    accounts.subscribe(move |change| {
        if change.old.is_none() || change.new.is_none() {
            let account = change.object().key.to_string();
            of_account.by_index(BY_ACCOUNT, &account).into_iter().for_each(|secret| changed.add(secret.key));
        }
    });
    secrets.synced().await;
    let facts = |namespace: &str| {
        BTreeMap::from([("ca.crt", STANDARD.encode(&ca_pem)), ("namespace", STANDARD.encode(namespace))])
    };
    let sync = async |key: ObjectKey| -> Result<Outcome, Status> {
        let Some(secret) = secrets.read::<Secret>(&key) else { return Ok(Outcome::Done) };
        let account = match client.get(&SERVICE_ACCOUNTS, &secret.account()).await {
            Ok(account) => Some(account.decode::<PartialObject>()?.metadata),
            Err(status) if status.is_not_found() => None,
            Err(status) => return Err(status),
        };
        let claimed = secret.annotation(SERVICE_ACCOUNT_UID);
        let Some(account) = account.filter(|account| claimed.is_empty() || claimed == account.uid) else {
            delete(&client, &SECRETS, &key, &DeleteOptions::of_uid(&secret.metadata.uid)).await?;
            return Ok(Outcome::Done);
        };
        let mut data = facts(&key.namespace);
        if secret.data.get("token").is_none_or(String::is_empty) {
            let token = sign(&SecretToken {
                namespace: key.namespace.clone(),
                account: account.name,
                account_uid: account.uid.clone(),
                secret: key.name.clone(),
            })?;
            data.insert("token", STANDARD.encode(token));
        }
        let is_complete = data.iter().all(|(name, value)| secret.data.get(*name) == Some(value));
        if is_complete && claimed == account.uid {
            return Ok(Outcome::Done);
        }
        let patch = json!({
            "metadata": {"uid": secret.metadata.uid, "annotations": {SERVICE_ACCOUNT_UID: account.uid}},
            "data": data,
        });
        modify(&client, &secrets, &SECRETS, &key, OBJECT, &patch).await.map(|_| Outcome::Done)
    };
    queue.run(NAME, 2, sync).await;
}
