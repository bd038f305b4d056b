//! The API as a component uses it: verbs on objects, over whatever transport it was given.

use std::sync::Arc;

use futures::stream::BoxStream;
use serde::Serialize;
use serde_json::Value;
use windlass_api::{GroupVersionResource, ObjectKey, Status};

use crate::discovery::{self, ApiResource, Discovered};
use crate::object::{Event, List, Object};
use crate::options::{DeleteOptions, Options, Preconditions, Propagation};
use crate::request::{PatchType, Request, Verb};
use crate::transport::{Reply, Transport};

/// A component's client. Cloning shares the transport.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
}

/// A subresource's name; [`OBJECT`] is the object itself.
pub type Subresource = &'static str;
pub const OBJECT: Subresource = "";
pub const STATUS: Subresource = "status";

impl Client {
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport }
    }

    pub async fn call(&self, request: Request) -> Result<Reply, Status> {
        self.transport.call(request).await
    }

    /// The resources that the server has, each in its preferred version.
    pub async fn resources(&self) -> Result<Vec<ApiResource>, Status> {
        self.discover().await.map(|found| found.resources)
    }

    /// The same, and what the server could not tell of those that it aggregates.
    pub async fn discover(&self) -> Result<Discovered, Status> {
        let Discovered { resources, stale } = self.transport.discover().await?;
        Ok(Discovered { resources: discovery::preferred(resources), stale })
    }

    async fn object(&self, request: Request) -> Result<Object, Status> {
        match self.call(request).await? {
            Reply::Object(object) => Ok(object),
            Reply::List(_) | Reply::Watch(_) => {
                Err(Status::internal("the server answered with something that is no object"))
            }
        }
    }

    fn request(verb: Verb, resource: &GroupVersionResource, key: &ObjectKey) -> Request {
        Request::new(verb, resource).namespace(key.namespace.as_str()).name(key.name.as_str())
    }

    pub async fn get(&self, resource: &GroupVersionResource, key: &ObjectKey) -> Result<Object, Status> {
        self.object(Self::request(Verb::Get, resource, key)).await
    }

    /// The objects of a namespace, or with an empty one of the cluster; follows continue tokens when `options` sets a limit.
    pub async fn list(
        &self,
        resource: &GroupVersionResource,
        namespace: &str,
        options: Options,
    ) -> Result<List, Status> {
        let mut all = List::default();
        let mut options = options;
        loop {
            let request = Request::new(Verb::List, resource).namespace(namespace).options(options.clone());
            let Reply::List(page) = self.call(request).await? else {
                return Err(Status::internal("the server answered a list with something else"));
            };
            all.items.extend(page.items);
            all.revision = page.revision;
            if page.continue_token.is_empty() {
                return Ok(all);
            }
            options.continue_token = page.continue_token;
            options.resource_version = None;
        }
    }

    pub async fn watch(
        &self,
        resource: &GroupVersionResource,
        namespace: &str,
        options: Options,
    ) -> Result<BoxStream<'static, Result<Event, Status>>, Status> {
        let request = Request::new(Verb::Watch, resource).namespace(namespace).options(options);
        match self.call(request).await? {
            Reply::Watch(stream) => Ok(stream),
            Reply::Object(_) | Reply::List(_) => {
                Err(Status::internal("the server answered a watch with something else"))
            }
        }
    }

    pub async fn create<T: Serialize>(
        &self,
        resource: &GroupVersionResource,
        namespace: &str,
        object: &T,
    ) -> Result<Object, Status> {
        let request = Request::new(Verb::Create, resource).namespace(namespace).json(encode(object)?);
        self.object(request).await
    }

    /// Creates through a subresource: a binding, an eviction, a token request.
    pub async fn create_sub<T: Serialize>(
        &self,
        resource: &GroupVersionResource,
        key: &ObjectKey,
        subresource: Subresource,
        object: &T,
    ) -> Result<Object, Status> {
        let request = Self::request(Verb::Create, resource, key).subresource(subresource).json(encode(object)?);
        self.object(request).await
    }

    pub async fn update<T: Serialize>(
        &self,
        resource: &GroupVersionResource,
        key: &ObjectKey,
        subresource: Subresource,
        object: &T,
    ) -> Result<Object, Status> {
        let request = Self::request(Verb::Update, resource, key).subresource(subresource).json(encode(object)?);
        self.object(request).await
    }

    /// A merge patch (RFC 7386): what components write, instead of whole objects.
    pub async fn patch(
        &self,
        resource: &GroupVersionResource,
        key: &ObjectKey,
        subresource: Subresource,
        patch: &Value,
    ) -> Result<Object, Status> {
        self.patch_as(PatchType::Merge, resource, key, subresource, patch).await
    }

    pub async fn patch_as(
        &self,
        patch_type: PatchType,
        resource: &GroupVersionResource,
        key: &ObjectKey,
        subresource: Subresource,
        patch: &Value,
    ) -> Result<Object, Status> {
        let request =
            Self::request(Verb::Patch(patch_type), resource, key).subresource(subresource).json(encode(patch)?);
        self.object(request).await
    }

    /// Deletes an object. What comes back is the object, as it goes or while it waits for its finalizers and its grace
    /// period, or a Status when it is gone and of a kind that says no more.
    pub async fn delete(
        &self,
        resource: &GroupVersionResource,
        key: &ObjectKey,
        options: &DeleteOptions,
    ) -> Result<Object, Status> {
        self.object(Self::request(Verb::Delete, resource, key).json(encode(options)?)).await
    }

    /// Deletes what `selection` selects in a namespace.
    pub async fn delete_collection(
        &self,
        resource: &GroupVersionResource,
        namespace: &str,
        selection: Options,
        options: &DeleteOptions,
    ) -> Result<(), Status> {
        let request = Request::new(Verb::DeleteCollection, resource).namespace(namespace).options(selection);
        self.call(request.json(encode(options)?)).await.map(drop)
    }
}

fn encode<T: Serialize + ?Sized>(object: &T) -> Result<Vec<u8>, Status> {
    serde_json::to_vec(object).map_err(Status::internal)
}

impl DeleteOptions {
    /// Only if the object is still the one with this UID.
    pub fn of_uid(uid: impl Into<String>) -> Self {
        let preconditions = Preconditions { uid: Some(uid.into()), resource_version: None };
        Self { preconditions: Some(preconditions), ..Self::default() }
    }

    pub fn grace_seconds(mut self, seconds: i64) -> Self {
        self.grace_period_seconds = Some(seconds);
        self
    }

    pub fn propagation(mut self, policy: Propagation) -> Self {
        self.propagation_policy = Some(policy);
        self
    }
}
