//! A controller as people write them with kube-rs: the definition comes of a Rust type by its derive macros, and a test beside it.

use std::collections::BTreeMap;
use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::discovery::{Discovery, Scope};
use kube::runtime::controller::Action;
use kube::runtime::events::{Event as Notice, EventType, Recorder};
use kube::runtime::finalizer::{Event, finalizer};
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{Controller, WatchStreamExt, reflector, watcher};
use kube::{Client, CustomResource, CustomResourceExt, KubeSchema, Resource, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(CustomResource, KubeSchema, Deserialize, Serialize, Clone, Debug)]
#[kube(group = "kube-rs.test", version = "v1", kind = "Book", namespaced, status = "BookStatus", shortname = "bk")]
#[kube(printcolumn = r#"{"name":"Pages","type":"integer","jsonPath":".spec.pages"}"#, selectable = ".spec.title")]
#[kube(validation = Rule::new("self.metadata.name != 'index'").message("no book is named so"))]
#[x_kube(validation = Rule::new("self.pages >= oldSelf.pages").message("pages are never torn out"))]
struct BookSpec {
    title: String,
    #[x_kube(validation = Rule::new("self < 1000").message("too long"))]
    pages: u32,
    #[serde(default)]
    language: Language,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    notes: BTreeMap<String, String>,
}

#[derive(Deserialize, Serialize, Clone, Debug, Default, schemars::JsonSchema, PartialEq)]
enum Language {
    #[default]
    English,
    Latin,
}

#[derive(Deserialize, Serialize, Clone, Debug, Default, schemars::JsonSchema)]
struct BookStatus {
    printed: u32,
}

type Failure = Box<dyn Error + Send + Sync>;

struct Press {
    client: Client,
    recorder: Recorder,
}

/// Has a ConfigMap for each book, and says in the status what was printed.
async fn reconcile(book: Arc<Book>, press: Arc<Press>) -> Result<Action, kube::runtime::finalizer::Error<kube::Error>> {
    let books: Api<Book> = Api::namespaced(press.client.clone(), &book.namespace().unwrap_or_default());
    finalizer(&books, "kube-rs.test/press", book, async |event| match event {
        Event::Apply(book) => print(&press, &books, &book).await,
        Event::Cleanup(book) => {
            let farewell = ConfigMap {
                metadata: ObjectMeta { name: Some(format!("pulped-{}", book.name_any())), ..ObjectMeta::default() },
                ..ConfigMap::default()
            };
            let maps: Api<ConfigMap> = Api::namespaced(press.client.clone(), &book.namespace().unwrap_or_default());
            maps.patch(&farewell.name_any(), &PatchParams::apply("press"), &Patch::Apply(&farewell)).await?;
            Ok(Action::await_change())
        }
    })
    .await
}

async fn print(press: &Press, books: &Api<Book>, book: &Book) -> Result<Action, kube::Error> {
    let maps: Api<ConfigMap> = Api::namespaced(press.client.clone(), &book.namespace().unwrap_or_default());
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(book.name_any()),
            owner_references: Some(book.controller_owner_ref(&()).into_iter().collect()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([("pages".to_owned(), book.spec.pages.to_string())])),
        ..ConfigMap::default()
    };
    maps.patch(&book.name_any(), &PatchParams::apply("press").force(), &Patch::Apply(&map)).await?;
    let status = json!({"apiVersion": "kube-rs.test/v1", "kind": "Book", "status": {"printed": book.spec.pages}});
    books.patch_status(&book.name_any(), &PatchParams::apply("press").force(), &Patch::Apply(&status)).await?;
    let notice = Notice {
        type_: EventType::Normal,
        reason: "Printed".to_owned(),
        note: Some(format!("{} pages", book.spec.pages)),
        action: "Print".to_owned(),
        secondary: None,
    };
    press.recorder.publish(&notice, &book.object_ref(&())).await?;
    Ok(Action::await_change())
}

fn book(name: &str, pages: u32) -> Book {
    Book::new(
        name,
        BookSpec { title: format!("On {name}"), pages, language: Language::default(), notes: BTreeMap::new() },
    )
}

fn refused<T>(answer: Result<T, kube::Error>, code: u16, words: &str) -> Result<(), Failure> {
    match answer {
        Err(kube::Error::Api(status)) if status.code == code && status.message.contains(words) => Ok(()),
        Err(other) => Err(format!("refused otherwise than with {words}: {other:?}").into()),
        Ok(_) => Err(format!("accepted what is to be refused: {words}").into()),
    }
}

async fn define(client: &Client) -> Result<(), Failure> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = Book::crd_name();
    definitions.patch(name, &PatchParams::apply("install"), &Patch::Apply(Book::crd())).await?;
    await_condition(definitions, name, conditions::is_crd_established()).await?;
    Ok(())
}

/// What the schema and the rules of the derived definition refuse and fill in.
async fn write(client: &Client) -> Result<(), Failure> {
    let books: Api<Book> = Api::default_namespaced(client.clone());
    let post = PostParams::default();
    refused(books.create(&post, &book("index", 1)).await, 422, "no book is named so")?;
    refused(books.create(&post, &book("long", 1000)).await, 422, "too long")?;
    let unread = json!({"apiVersion": "kube-rs.test/v1", "kind": "Book", "metadata": {"name": "raw"}, "spec": {"title": "x", "pages": 1, "language": "Klingon"}});
    let raw: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &Book::api_resource());
    refused(raw.create(&post, &serde_json::from_value(unread)?).await, 422, "Unsupported value: \"Klingon\"")?;
    let made = books.create(&post, &book("first", 10)).await?;
    refused(books.create(&post, &made).await, 500, "resourceVersion should not be set")?;
    let torn = Patch::Merge(json!({"spec": {"pages": 9}}));
    refused(books.patch("first", &PatchParams::default(), &torn).await, 422, "pages are never torn out")?;
    let by_title = books.list(&ListParams::default().fields("spec.title=On first")).await?;
    if by_title.items.len() != 1
        || !books.list(&ListParams::default().fields("spec.title=other")).await?.items.is_empty()
    {
        return Err("selected by another title".into());
    }
    let entry = books.entry("first").await?.and_modify(|book| book.spec.pages = 11);
    entry.or_insert(|| book("first", 0)).commit(&post).await?;
    Ok(())
}

/// Discovery knows the kind as the derive macro does.
async fn discover(client: &Client) -> Result<(), Failure> {
    let all = Discovery::new(client.clone()).run_aggregated().await?;
    let (found, capabilities) =
        all.resolve_gvk(&GroupVersionKind::gvk("kube-rs.test", "v1", "Book")).ok_or("discovery lacks the kind")?;
    if found.plural != Book::plural(&())
        || capabilities.scope != Scope::Namespaced
        || !capabilities.supports_operation("patch")
    {
        return Err(format!("discovered {found:?} {capabilities:?}").into());
    }
    Ok(())
}

/// Books are printed, followed by a reflector that starts with a streaming list, and pulped.
async fn follow(client: &Client) -> Result<(), Failure> {
    let books: Api<Book> = Api::default_namespaced(client.clone());
    let (reader, writer) = reflector::store::<Book>();
    let stream = watcher(books.clone(), watcher::Config::default().streaming_lists());
    let mut seen = pin!(reflector(writer, stream).default_backoff().touched_objects());
    for number in 0..20 {
        books.create(&PostParams::default(), &book(&format!("series-{number}"), number)).await?;
    }
    while !(reader.state().len() == 21
        && reader.state().iter().all(|book| book.status.as_ref().is_some_and(|s| s.printed == book.spec.pages)))
    {
        seen.try_next().await?.ok_or("the watch has ended")?;
    }
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let map = maps.get("first").await?;
    if map.data.as_ref().and_then(|data| data.get("pages")).map(String::as_str) != Some("11") {
        return Err(format!("printed {map:?}").into());
    }
    // The controller owns the map: what is deleted is printed again.
    let uid = map.uid().ok_or("no uid")?;
    maps.delete("first", &DeleteParams::default()).await?;
    await_condition(maps.clone(), "first", |map: Option<&ConfigMap>| {
        map.is_some_and(|map| map.uid().as_ref() != Some(&uid))
    })
    .await?;
    books.delete("first", &DeleteParams::default()).await?;
    await_condition(books.clone(), "first", |book: Option<&Book>| book.is_none()).await?;
    maps.get("pulped-first").await?;
    await_condition(maps, "first", |map: Option<&ConfigMap>| map.is_none()).await?;
    books.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
    while !reader.state().is_empty() {
        seen.try_next().await?.ok_or("the watch has ended")?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let client = Client::try_default().await?;
    define(&client).await?;
    discover(&client).await?;
    write(&client).await?;
    let press = Arc::new(Press { client: client.clone(), recorder: Recorder::new(client.clone(), "press".into()) });
    let controller = Controller::new(Api::<Book>::default_namespaced(client.clone()), watcher::Config::default())
        .owns(Api::<ConfigMap>::default_namespaced(client.clone()), watcher::Config::default())
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_millis(100)), press)
        .for_each(|_| async {});
    let running = tokio::spawn(controller);
    tokio::time::timeout(Duration::from_secs(60), follow(&client)).await.map_err(|_| "nothing more happens")??;
    running.abort();
    println!("21 books were written, printed, followed and pulped");
    Ok(())
}
