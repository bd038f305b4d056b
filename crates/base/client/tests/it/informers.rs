//! Whatever happens to its watch, an informer shows what there is and reports each change.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;
use windlass_api::ObjectKey;
use windlass_api::resource::CONFIG_MAPS;
use windlass_client::{Change, Client, DeleteOptions, Informer, Informers, OBJECT};
use windlass_testing::{Cluster, Dice, Faults, Life, Rates, Story};

/// Objects by key and revision, as the reported changes say.
type Reported = Arc<Mutex<BTreeMap<ObjectKey, u64>>>;

/// Notes a change, which must fit what was reported before.
fn note(reported: &Reported, change: &Change) {
    let mut reported = reported.lock();
    let key = change.object().key.clone();
    let known = reported.get(&key).copied();
    assert_eq!(
        known,
        change.old.as_ref().map(|old| old.revision),
        "{key}: the change before this one was not reported"
    );
    match &change.new {
        Some(new) => {
            assert!(known.is_none_or(|known| known < new.revision), "{key}: back from {known:?} to {}", new.revision);
            reported.insert(key, new.revision);
        }
        None => _ = reported.remove(&key),
    }
}

fn shown(informer: &Informer) -> BTreeMap<ObjectKey, u64> {
    informer.list("").into_iter().map(|object| (object.key, object.revision)).collect()
}

async fn there(cluster: &Cluster) -> BTreeMap<ObjectKey, u64> {
    let list = cluster.admin.list(&CONFIG_MAPS, "", windlass_client::Options::default()).await.unwrap();
    list.items.into_iter().map(|object| (object.key, object.revision)).collect()
}

/// Creates, changes or deletes one of a few objects.
async fn change_something(cluster: &Cluster, dice: &Dice) {
    let key = ObjectKey::new("default", format!("m{}", dice.below(8)));
    if cluster.lacks(&CONFIG_MAPS, &key).await {
        cluster.create(&CONFIG_MAPS, "default", json!({"metadata": {"name": key.name}})).await;
    } else if dice.happens(0.3) {
        cluster.admin.delete(&CONFIG_MAPS, &key, &DeleteOptions::default()).await.unwrap();
    } else {
        cluster.patch(&CONFIG_MAPS, &key, OBJECT, json!({"data": {"n": dice.below(1000).to_string()}})).await;
    }
}

async fn follow(seed: u64, cluster: &Cluster) {
    let dice = Dice::new(seed);
    let faults =
        Faults::new(dice.fork(), Rates { cut: 0.1, expire: 0.05, refuse: 0.2, ..Rates::BAD }, Story::default());
    let transport = Life::immortal(&faults, "test").over(cluster.way()(windlass_testing::admin(), "test"));
    let informers = Informers::new(Client::new(transport));
    let informer = informers.of(&CONFIG_MAPS);
    let reported = Reported::default();
    let log = reported.clone();
    informer.subscribe(move |change| note(&log, change));
    for _ in 0..60 {
        change_something(cluster, &dice).await;
        if dice.happens(0.5) {
            tokio::time::sleep(std::time::Duration::from_millis(dice.below(3000))).await;
        }
    }
    faults.stop();
    let there = there(cluster).await;
    let caught_up =
        tokio::time::timeout(std::time::Duration::from_secs(600), informer.until(|informer| shown(informer) == there));
    if caught_up.await.is_err() {
        panic!("seed {seed}: it shows {:?} instead of {there:?}\n{}", shown(&informer), faults.story());
    }
    assert_eq!(*reported.lock(), there, "seed {seed}: what it reported is not what it shows\n{}", faults.story());
}

#[tokio::test(start_paused = true)]
async fn an_informer_misses_nothing() {
    let cluster = Cluster::start().await;
    for seed in 0..40 {
        follow(seed, &cluster).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_informer_finds_its_way_back_when_the_past_is_forgotten() {
    let cluster = Cluster::start().await;
    let faults = Faults::new(Dice::new(1), Rates { refuse: 1.0, cut: 1.0, ..Rates::default() }, Story::default());
    faults.stop();
    let transport = Life::immortal(&faults, "test").over(cluster.way()(windlass_testing::admin(), "test"));
    let informers = Informers::new(Client::new(transport));
    let informer = informers.of(&CONFIG_MAPS);
    cluster.create(&CONFIG_MAPS, "default", json!({"metadata": {"name": "goes"}})).await;
    informer.until(|informer| informer.get(&ObjectKey::new("default", "goes")).is_some()).await;
    // Its watch is cut with the next event and cannot be opened again for a while.
    faults.set(Rates { refuse: 1.0, cut: 1.0, ..Rates::default() });
    cluster.create(&CONFIG_MAPS, "default", json!({"metadata": {"name": "comes"}})).await;
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    cluster.delete(&CONFIG_MAPS, &ObjectKey::new("default", "goes")).await;
    cluster.server.store().compact(cluster.server.store().revision()).await;
    faults.stop();
    let there = there(&cluster).await;
    informer.until(|informer| shown(informer) == there).await;
}
