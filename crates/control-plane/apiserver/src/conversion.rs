//! Custom resources in the form that is asked for: objects are stored in one, and where forms differ in more than their names, a webhook
//! converts between them.
//!
//! An object is converted whenever it is read in another form than its own, and when it is written. Kinds with one form pay a look at an
//! option for this.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use windlass_api::status::Reason;
use windlass_api::text::with_causes;
use windlass_api::{GroupVersionKind, Status};
use windlass_machinery::json::{Template, stored_version};
use windlass_machinery::names::new_uid;
use windlass_machinery::tree::{child, put, remove, text};
use windlass_resources::definition::conversion::{ConversionReview, Deviation, accept};
use windlass_resources::definition::{Forms, Webhook};
use windlass_store::Item;
use windlass_webhook::{CallError, ClientConfig};

use crate::body::without_type_meta;
use crate::registry::Served;
use crate::storage::{Storage, parse};

/// How long a webhook may take, as upstream.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Objects that go to the webhook together have about so many bytes.
const REVIEW_BYTES: usize = 8 << 20;

/// The largest object that is stored: etcd's limit of a request for custom resources, which are JSON there, too, and twice as much for
/// built-in ones, which upstream stores in a shorter form.
const CUSTOM_BYTES_MAX: usize = 3 << 19;
const BUILTIN_BYTES_MAX: usize = 3 << 20;

impl Storage {
    /// Stored objects in the form that `served` has.
    pub(crate) async fn present(&self, served: &Served, mut items: Vec<Arc<Item>>) -> Result<Vec<Arc<Item>>, Status> {
        let Some(Conversion { forms, webhook }) = conversion(served) else { return Ok(items) };
        let mut from = 0;
        while from < items.len() {
            // As many of the objects that have another form as go together.
            let (mut positions, mut objects, mut bytes) = (Vec::new(), Vec::new(), 0);
            while from < items.len() && bytes < REVIEW_BYTES {
                let item = &items[from];
                let version = stored_version(&item.value).unwrap_or(&forms.stored_version);
                if version != served.api_version {
                    objects.push(typed(served, parse(&item.value)?, version));
                    positions.push(from);
                    bytes += item.value.len();
                }
                from += 1;
            }
            let converted = self.ask(forms, webhook, objects, &served.api_version).await?;
            for (position, object) in positions.into_iter().zip(converted) {
                let template = Template::typed(&served.prefix, &object);
                items[position] = Arc::new(items[position].in_form(&template));
            }
        }
        Ok(items)
    }

    /// One stored object, likewise.
    pub(crate) async fn present_one(&self, served: &Served, item: Arc<Item>) -> Result<Arc<Item>, Status> {
        match conversion(served) {
            None => Ok(item),
            Some(_) => Ok(self.present(served, vec![item]).await?.swap_remove(0)),
        }
    }

    /// What is written to the store for an object in the form that `served` has.
    pub(crate) async fn to_stored(&self, served: &Served, mut object: Value) -> Result<Template, Status> {
        if let Some(Conversion { forms, webhook }) = conversion(served)
            && forms.stored_version != served.api_version
        {
            let converted = self
                .ask(forms, webhook, vec![typed(served, object, &served.api_version)], &forms.stored_version)
                .await?;
            object = converted.into_iter().next().unwrap_or_default();
        }
        served.resource.strategy.to_stored(&mut object);
        let (stored, max) = match &served.resource.forms {
            Some(forms) => (Template::typed(&forms.stored_prefix, &object), CUSTOM_BYTES_MAX),
            None => (Template::new(&object), BUILTIN_BYTES_MAX),
        };
        if stored.len() > max {
            // What clients know from a server that stores in etcd.
            return Err(Status::new(500, Reason::Unknown, "etcdserver: request is too large"));
        }
        Ok(stored)
    }

    /// An object of one kind as one of another kind that serves the same objects.
    pub(crate) async fn convert(
        &self,
        mut object: Value,
        from: &GroupVersionKind,
        to: &GroupVersionKind,
    ) -> Result<Value, Status> {
        let find = |kind: &GroupVersionKind| {
            let unknown = || Status::internal(format_args!("unable to convert to {kind}: unknown kind"));
            self.registry().find_kind(kind).cloned().ok_or_else(unknown)
        };
        let (from, to) = (find(from)?, find(to)?);
        match conversion(&to) {
            Some(Conversion { forms, webhook }) if from.api_version != to.api_version => {
                let version = object["metadata"].get("resourceVersion").cloned();
                let converted =
                    self.ask(forms, webhook, vec![typed(&from, object, &from.api_version)], &to.api_version).await?;
                object = without_type_meta(converted.into_iter().next().unwrap_or_default());
                if let Some(version) = version {
                    put(child(&mut object, "metadata"), "resourceVersion", version);
                }
            }
            _ => from.resource.strategy.to_stored(&mut object),
        }
        to.resource.strategy.to_served(&mut object);
        Ok(object)
    }

    /// Has objects converted, each of which says what it is.
    async fn ask(
        &self,
        forms: &Forms,
        webhook: &Webhook,
        objects: Vec<Value>,
        wanted: &str,
    ) -> Result<Vec<Value>, Status> {
        let Some(first) = objects.first() else { return Ok(objects) };
        let what = format!("{}, Kind={}", text(first, "apiVersion"), text(first, "kind"));
        let fail = |why: String| failure(format!("conversion webhook for {what} {why}"));
        let review = ConversionReview::new(webhook, new_uid(&self.chance))
            .ok_or_else(|| failure("no supported conversion review versions".to_owned()))?;
        let body = review.request(&objects, wanted).map_err(Status::internal)?;
        let answer = async {
            let config = ClientConfig::read(&webhook.client_config).map_err(CallError::Config)?;
            self.webhooks.post(&config, self, body.into(), TIMEOUT).await
        };
        let answer = answer.await.map_err(|error| fail(format!("failed: {}", with_causes(&error))))?;
        let answer: Value = serde_json::from_slice(&answer.body).map_err(|error| fail(format!("failed: {error}")))?;
        let converted = review.objects(answer).map_err(|why| fail(format!("failed: {why}")))?;
        if converted.len() != objects.len() {
            return Err(fail(format!("returned {} objects, expected {}", converted.len(), objects.len())));
        }
        let accepted = objects.iter().zip(converted).enumerate().map(|(index, (object, converted))| {
            accept(object, converted, wanted).map_err(|deviation| match deviation {
                Deviation::Object(why) => fail(format!("returned invalid converted object at index {index}: {why}")),
                Deviation::Metadata(why) => {
                    fail(format!("returned invalid metadata in object at index {index}: {why}"))
                }
            })
        });
        tracing::debug!(definition = forms.definition, wanted, count = objects.len(), "a webhook converted objects");
        accepted.collect()
    }
}

struct Conversion<'a> {
    forms: &'a Forms,
    webhook: &'a Webhook,
}

/// Who converts between the forms of a resource, if somebody has to.
fn conversion(served: &Served) -> Option<Conversion<'_>> {
    let forms = served.resource.forms.as_deref()?;
    forms.webhook.as_ref().map(|webhook| Conversion { forms, webhook })
}

/// Upstream's status for what goes wrong below an object's codec.
fn failure(message: String) -> Status {
    Status::new(500, Reason::Unknown, message)
}

/// An object as a webhook gets it: it says what it is, and has no resourceVersion, which is the store's.
fn typed(served: &Served, mut object: Value, version: &str) -> Value {
    put(&mut object, "kind", &*served.resource.kind.kind);
    put(&mut object, "apiVersion", version);
    remove(child(&mut object, "metadata"), "resourceVersion");
    object
}
