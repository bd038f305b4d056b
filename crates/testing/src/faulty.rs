//! A transport with faults: what [`Faults`] draw happens to calls and watches.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use windlass_api::Status;
use windlass_client::{Discovered, Event, Reply, Request, Transport, Verb};

use crate::cluster::Cluster;
use crate::component::Life;
use crate::control_plane::Way;
use crate::faults::{EventFate, Fate};
use crate::history::Acknowledged;
use crate::watched::Watched;

impl Life {
    /// The way to a cluster with this life's faults on it.
    pub fn way(&self, cluster: &Cluster) -> Way {
        let (life, cluster) = (self.clone(), cluster.clone());
        Arc::new(move |user, component| life.over(cluster.transport(user, component)))
    }

    /// The transport with this life's faults before it.
    pub fn over(&self, transport: Arc<dyn Transport>) -> Arc<dyn Transport> {
        Arc::new(Faulty { inner: transport, life: self.clone() })
    }
}

/// A transport with faults.
struct Faulty {
    inner: Arc<dyn Transport>,
    life: Life,
}

#[async_trait]
impl Transport for Faulty {
    async fn call(&self, request: Request) -> Result<Reply, Status> {
        let faults = &self.life.faults;
        if self.life.is_over() {
            return Err(Status::service_unavailable("this component has crashed"));
        }
        if request.verb == Verb::Watch {
            return self.watch(request).await;
        }
        match faults.fate(&request, self.life.is_mortal()) {
            Fate::Pass => self.pass(request).await,
            Fate::Delay(wait) => {
                tokio::time::sleep(wait).await;
                self.pass(request).await
            }
            Fate::Late(wait) => {
                let reply = self.pass(request).await;
                tokio::time::sleep(wait).await;
                reply
            }
            Fate::Refuse(status) => {
                faults.tell(&self.life.component, &request, &format!("refused with {}", status.code));
                Err(status)
            }
            Fate::Lose(wait) => {
                faults.tell(&self.life.component, &request, "the answer is lost");
                let acknowledged = Acknowledged::of(&request, self.inner.call(request.clone()).await.as_ref());
                self.life.faults.state().lost.extend(acknowledged);
                tokio::time::sleep(wait).await;
                Err(Status::timeout("request did not complete within the allotted timeout", 0))
            }
            Fate::CrashBefore => {
                faults.tell(&self.life.component, &request, "crash before it");
                self.life.crash().await
            }
            Fate::CrashAfter => {
                faults.tell(&self.life.component, &request, "crash after it");
                let acknowledged = Acknowledged::of(&request, self.inner.call(request.clone()).await.as_ref());
                self.life.faults.state().lost.extend(acknowledged);
                self.life.crash().await
            }
        }
    }

    async fn discover(&self) -> Result<Discovered, Status> {
        self.inner.discover().await
    }
}

impl Faulty {
    async fn pass(&self, request: Request) -> Result<Reply, Status> {
        let reply = self.inner.call(request.clone()).await;
        let acknowledged = Acknowledged::of(&request, reply.as_ref());
        self.life.faults.state().acknowledged.extend(acknowledged);
        reply
    }

    async fn watch(&self, request: Request) -> Result<Reply, Status> {
        let faults = &self.life.faults;
        if let Fate::Refuse(status) = faults.fate(&request, false) {
            faults.tell(&self.life.component, &request, &format!("refused with {}", status.code));
            return Err(status);
        }
        let watched = Watched::new(&self.life.component, &request);
        let Reply::Watch(inner) = self.inner.call(request.clone()).await? else {
            return Err(Status::internal("the server answered a watch with something else"));
        };
        faults.state().watched.push(watched.clone());
        let lag = faults.lag();
        if lag > 1000 {
            faults.tell(&self.life.component, &request, &format!("each event is up to {lag} ms late"));
        }
        let following = Following { inner, watched, lag, life: self.life.clone(), request, ended: false };
        Ok(Reply::Watch(
            stream::unfold(
                following,
                |mut following| async move { following.next().await.map(|event| (event, following)) },
            )
            .boxed(),
        ))
    }
}

/// A watch with faults.
struct Following {
    inner: BoxStream<'static, Result<Event, Status>>,
    watched: Watched,
    lag: u64,
    life: Life,
    request: Request,
    ended: bool,
}

impl Following {
    async fn next(&mut self) -> Option<Result<Event, Status>> {
        if self.ended {
            return None;
        }
        let event = self.inner.next().await?;
        if let Ok(event) = &event {
            self.watched.see(event);
        }
        let faults = &self.life.faults;
        match faults.event_fate(self.lag) {
            EventFate::Pass(wait) if wait.is_zero() => Some(event),
            EventFate::Pass(wait) => {
                tokio::time::sleep(wait).await;
                Some(event)
            }
            EventFate::Cut => {
                faults.tell(&self.life.component, &self.request, "the watch is cut");
                None
            }
            EventFate::Expire => {
                faults.tell(&self.life.component, &self.request, "the watch expires");
                self.ended = true;
                Some(Err(Status::expired("too old resource version")))
            }
        }
    }
}
