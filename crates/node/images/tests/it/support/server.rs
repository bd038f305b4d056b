//! A registry of a few lines that can be told to misbehave, and that remembers what it was asked.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use windlass_images::Digest;

use super::image::Image;

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) authorization: Option<String>,
    pub(crate) range: Option<String>,
    pub(crate) headers: http::HeaderMap,
}

/// What a rule makes of a request; `None` leaves it to the next one.
pub(crate) type Rule = Box<dyn FnMut(&Seen) -> Option<Reply> + Send>;

/// An answer other than the right one.
#[derive(Clone)]
pub(crate) enum Reply {
    Status(u16, Vec<(&'static str, String)>, String),
    /// That many bytes of the right answer, then the connection breaks.
    Cut(usize),
    /// The right answer, without regard to a range.
    Whole,
    /// Other bytes of the same length.
    Wrong,
    /// A body of this content.
    Body(Vec<u8>),
    /// Nothing until the test ends.
    Hang,
    /// The right answer, once the test gives its permit.
    After(Arc<tokio::sync::Semaphore>),
}

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

#[derive(Default)]
struct Contents {
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: BTreeMap<String, (&'static str, Vec<u8>)>,
    rules: Vec<Rule>,
    seen: Vec<Seen>,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    contents: Arc<Mutex<Contents>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let contents: Arc<Mutex<Contents>> = Arc::default();
        let shared = contents.clone();
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let contents = shared.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(contents.clone(), request));
                    let connection = hyper::server::conn::http1::Builder::new();
                    // Cut connections are what the tests ask for.
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, contents, task }
    }

    /// Adds an image by tag (and by digest).
    pub(crate) fn add(&self, repository: &str, tag: &str, image: &Image) {
        let mut contents = self.contents.lock();
        for (digest, bytes) in image.blobs() {
            contents.blobs.insert(digest.to_string(), bytes);
        }
        drop(contents);
        self.add_manifest(repository, tag, image.media_type, &image.manifest);
    }

    pub(crate) fn add_manifest(&self, repository: &str, tag: &str, media_type: &'static str, bytes: &[u8]) {
        let mut contents = self.contents.lock();
        for object in [tag, Digest::of(bytes).as_str()] {
            contents.manifests.insert(format!("{repository}/manifests/{object}"), (media_type, bytes.to_vec()));
        }
    }

    pub(crate) fn rule(&self, rule: impl FnMut(&Seen) -> Option<Reply> + Send + 'static) {
        self.contents.lock().rules.push(Box::new(rule));
    }

    /// Requests whose target contains the text.
    pub(crate) fn seen(&self, part: &str) -> Vec<Seen> {
        self.contents.lock().seen.iter().filter(|seen| seen.target.contains(part)).cloned().collect()
    }

    /// `127.0.0.1:PORT/repository:tag`
    pub(crate) fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Replies with each of the list once, to requests whose target contains the text, then leaves them alone.
pub(crate) fn once_each(part: &str, replies: Vec<Reply>) -> impl FnMut(&Seen) -> Option<Reply> + Send + use<> {
    let part = part.to_owned();
    let mut replies = replies.into_iter();
    move |seen| if seen.target.contains(&part) { replies.next() } else { None }
}

async fn answer(contents: Arc<Mutex<Contents>>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let text = |name: &str| request.headers().get(name).map(|value| windlass_http::header::text(value).into_owned());
    let mut target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let seen = Seen {
        method: request.method().clone(),
        authorization: text("authorization"),
        range: text("range"),
        headers: request.headers().clone(),
        target: target.clone(),
    };
    if request.method() == Method::POST {
        let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        target = format!("{target} {}", String::from_utf8_lossy(&body));
    }
    let seen = Seen { target, ..seen };
    let (reply, right) = {
        let mut contents = contents.lock();
        contents.seen.push(seen.clone());
        let reply = contents.rules.iter_mut().find_map(|rule| rule(&seen));
        (reply, contents.find(&seen))
    };
    Ok(match reply {
        Some(Reply::Hang) => std::future::pending().await,
        Some(Reply::Status(status, headers, body)) => {
            let mut response = Response::new(full(body.into_bytes()));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
        Some(Reply::Body(bytes)) => Response::new(full(bytes)),
        Some(Reply::After(permits)) => {
            permits.acquire().await.expect("the test does not close it").forget();
            respond(&seen, right, None)
        }
        other => respond(&seen, right, other),
    })
}

impl Contents {
    fn find(&self, seen: &Seen) -> Option<(String, Vec<u8>)> {
        let path = seen.target.split('?').next().unwrap_or_default().strip_prefix("/v2/")?;
        if let Some((media_type, bytes)) = self.manifests.get(path) {
            return Some(((*media_type).to_owned(), bytes.clone()));
        }
        let (_, digest) = path.split_once("/blobs/")?;
        self.blobs.get(digest).map(|bytes| ("application/octet-stream".to_owned(), bytes.clone()))
    }
}

fn respond(seen: &Seen, right: Option<(String, Vec<u8>)>, reply: Option<Reply>) -> Response<Body> {
    let Some((media_type, bytes)) = right else {
        let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
        let mut response = Response::new(full(body.into()));
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let from = match (&reply, &seen.range) {
        (Some(Reply::Whole), _) | (_, None) => 0,
        (_, Some(range)) => range.strip_prefix("bytes=").unwrap().trim_end_matches('-').parse().unwrap(),
    };
    let rest = bytes[from..].to_vec();
    let length = rest.len();
    let body = match reply {
        Some(Reply::Cut(at)) => {
            let sent = Bytes::from(rest[..at].to_vec());
            let parts = futures::stream::once(async { Ok(Frame::data(sent)) }).chain(futures::stream::once(async {
                // What came before must have left this process when the connection breaks.
                tokio::task::yield_now().await;
                Err(std::io::Error::other("cut"))
            }));
            StreamBody::new(parts).boxed_unsync()
        }
        Some(Reply::Wrong) => full(rest.iter().map(|byte| !byte).collect()),
        _ if seen.method == Method::HEAD => full(Vec::new()),
        _ => full(rest),
    };
    let mut response = Response::new(body);
    if from > 0 {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
        response.headers_mut().insert("content-range", range.parse().unwrap());
    }
    let headers = response.headers_mut();
    headers.insert("content-type", media_type.parse().unwrap());
    headers.insert("docker-content-digest", Digest::of(&bytes).as_str().parse().unwrap());
    // A body that breaks off has announced all of itself.
    headers.insert("content-length", length.to_string().parse().unwrap());
    response
}

fn full(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed_unsync()
}
