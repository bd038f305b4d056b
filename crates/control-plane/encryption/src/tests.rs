//! Encryption at rest from end to end: a store on a disk, configurations, a service that comes, changes its key and goes.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tempfile::{TempDir, tempdir};
use windlass_api::Chance;
use windlass_api::time::Clock;
use windlass_machinery::json::Template;
use windlass_store::{Encryption, Expect, OpenError, Options, Store, Txn};
use windlass_telemetry::Metrics;

use crate::plugin::Plugin;
use crate::{AtRest, EncryptionConfiguration, KeyFiles, Rotation};

/// A folder with a store and keys.
struct House {
    folder: TempDir,
    metrics: Metrics,
}

impl House {
    fn new() -> Self {
        Self { folder: tempdir().unwrap(), metrics: Metrics::of_process("test") }
    }

    fn files(&self) -> KeyFiles {
        KeyFiles::of(&self.folder.path().join("pki"))
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("kms.sock")
    }

    async fn at_rest(&self, rules: &str) -> Arc<AtRest> {
        let own = self.files().load_or_create().unwrap();
        let at_rest = AtRest::new(own, Clock::system(), Chance::seeded(1), &self.metrics, "server");
        if !rules.is_empty() {
            at_rest.configure(&configuration(rules)).await.unwrap();
        }
        Arc::new(at_rest)
    }

    async fn open(&self, encryption: &Arc<AtRest>) -> Result<Arc<Store>, OpenError> {
        let options = Options {
            directory: self.folder.path().join("store"),
            clock: Clock::system(),
            encryption: encryption.clone(),
        };
        tokio::task::spawn_blocking(|| Store::open(options)).await.unwrap()
    }

    fn rotation(&self, at_rest: &Arc<AtRest>, store: &Arc<Store>) -> Rotation {
        Rotation::new(at_rest.clone(), self.files(), store.clone())
    }

    /// Whether a text stands anywhere in the store's files.
    fn has(&self, text: &str) -> bool {
        let files = fs::read_dir(self.folder.path().join("store")).unwrap();
        files.map(|file| fs::read(file.unwrap().path()).unwrap()).any(|bytes| contains(&bytes, text))
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn configuration(rules: &str) -> EncryptionConfiguration {
    let header = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n";
    EncryptionConfiguration::parse(&format!("{header}resources: [{rules}]"), true).unwrap()
}

fn keys(provider: &str, names: &[&str]) -> String {
    let key = |name: &&str| format!("{{name: {name}, secret: {}}}", STANDARD.encode(name.repeat(32)));
    let keys: Vec<String> = names.iter().map(key).collect();
    format!("{{{provider}: {{keys: [{}]}}}}", keys.join(", "))
}

fn rule(resources: &str, providers: &[String]) -> String {
    format!("{{resources: [{resources}], providers: [{}]}}", providers.join(", "))
}

async fn put(store: &Store, table: &str, key: &str, text: &str) -> Result<(), String> {
    let template = Template::new(&json!({"metadata": {"name": key}, "data": text}));
    let current = store.table(table).state().get(key).map(|item| item.revision);
    let expect = current.map_or(Expect::Absent, Expect::Revision);
    store.commit(Txn::put(&table.into(), key, expect, template)).await.map(drop).map_err(|error| error.to_string())
}

fn is_there(store: &Store, table: &str, key: &str, text: &str) -> bool {
    store.table(table).state().get(key).is_some_and(|item| contains(&item.value, text))
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_encrypted_with_the_clusters_own_key() {
    let house = House::new();
    let at_rest = house.at_rest("").await;
    let store = house.open(&at_rest).await.unwrap();
    put(&store, "secrets", "a/s", "hidden").await.unwrap();
    put(&store, "configmaps", "a/c", "plain").await.unwrap();
    assert!(!house.has("hidden") && house.has("plain"));
    let key = |name: &str| fs::read(house.folder.path().join("pki").join(name));
    let first = key("encryption.key").unwrap();
    house.rotation(&at_rest, &store).rotate().await.unwrap();
    put(&store, "secrets", "a/t", "later").await.unwrap();
    assert!(key("encryption.key").unwrap() != first && key("encryption-previous.key").is_err());
    store.close().await;
    // The old key is needed for nothing.
    let store = house.open(&house.at_rest("").await).await.unwrap();
    assert!(is_there(&store, "secrets", "a/s", "hidden") && is_there(&store, "secrets", "a/t", "later"));
    store.close().await;
}

/// A crash after the new key was made, and before everything was written with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_was_cut_off_is_ended_by_the_next_one() {
    let house = House::new();
    let at_rest = house.at_rest("").await;
    let store = house.open(&at_rest).await.unwrap();
    put(&store, "secrets", "a/s", "hidden").await.unwrap();
    house.files().begin().unwrap();
    store.close().await;
    let at_rest = house.at_rest("").await;
    let store = house.open(&at_rest).await.unwrap();
    put(&store, "secrets", "a/t", "with the new key").await.unwrap();
    house.rotation(&at_rest, &store).rotate().await.unwrap();
    assert!(!house.files().has_previous().unwrap());
    store.close().await;
    let store = house.open(&house.at_rest("").await).await.unwrap();
    assert!(is_there(&store, "secrets", "a/s", "hidden") && is_there(&store, "secrets", "a/t", "with the new key"));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_decides_and_keys_move_on() {
    let house = House::new();
    let at_rest = house.at_rest("").await;
    let store = house.open(&at_rest).await.unwrap();
    put(&store, "secrets", "a/old", "from before").await.unwrap();
    let gcm =
        |names: &[&str]| rule("secrets, pandas.example.com", &[keys("aesgcm", names), "{identity: {}}".to_owned()]);
    at_rest.configure(&configuration(&gcm(&["a"]))).await.unwrap();
    put(&store, "secrets", "a/s", "hidden").await.unwrap();
    put(&store, "pandas.example.com", "a/p", "bear").await.unwrap();
    put(&store, "pods", "a/p", "plain").await.unwrap();
    assert!(house.has("k8s:enc:aesgcm:v1:a:") && !house.has("hidden") && !house.has("bear") && house.has("plain"));
    // Another key comes, first as one that reads, then as the one that writes; and the old one goes.
    at_rest.configure(&configuration(&gcm(&["a", "b"]))).await.unwrap();
    at_rest.configure(&configuration(&gcm(&["b", "a"]))).await.unwrap();
    house.rotation(&at_rest, &store).rotate().await.unwrap();
    assert!(house.has("k8s:enc:aesgcm:v1:b:") && !house.has("k8s:enc:aesgcm:v1:a:"));
    store.close().await;
    let at_rest = house.at_rest(&gcm(&["b"])).await;
    let store = house.open(&at_rest).await.unwrap();
    assert!(
        is_there(&store, "secrets", "a/old", "from before") && is_there(&store, "pandas.example.com", "a/p", "bear")
    );
    // Every provider, one after the other.
    for provider in ["aescbc", "secretbox"] {
        let next = rule("'*.*'", &[keys(provider, &["c"]), keys("aesgcm", &["b"])]);
        at_rest.configure(&configuration(&next)).await.unwrap();
        house.rotation(&at_rest, &store).rotate().await.unwrap();
        assert!(house.has(&format!("k8s:enc:{provider}:v1:c:")) && !house.has("plain"), "{provider}");
    }
    store.close().await;
    let error = house.open(&house.at_rest(&gcm(&["b"])).await).await.unwrap_err().to_string();
    assert!(error.contains("no matching prefix found: it was encrypted by k8s:enc:secretbox:v1:c"), "{error}");
    // And back to nothing.
    let plain = rule("'*.*'", &["{identity: {}}".to_owned(), keys("secretbox", &["c"])]);
    let at_rest = house.at_rest(&plain).await;
    let store = house.open(&at_rest).await.unwrap();
    house.rotation(&at_rest, &store).rotate().await.unwrap();
    assert!(house.has("hidden") && house.has("from before"));
    store.close().await;
    let text = String::from_utf8(house.metrics.text().1).unwrap();
    let operations = "apiserver_storage_transformation_operations_total{resource=\"secrets\",status=\"OK\",\
                      transformation_type=\"to_storage\",transformer_prefix=\"k8s:enc:aesgcm:v1:\"}";
    assert!(text.contains(operations), "{text}");
}

fn kms(house: &House) -> String {
    let endpoint = house.socket();
    format!("{{kms: {{apiVersion: v2, name: one, endpoint: 'unix://{}', timeout: 1s}}}}", endpoint.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_gives_keys_and_changes_them() {
    let house = House::new();
    let plugin = Plugin::start(&house.socket());
    let secrets = rule("secrets", &[kms(&house)]);
    let at_rest = house.at_rest(&secrets).await;
    assert_eq!(at_rest.health(), Ok(()));
    let store = house.open(&at_rest).await.unwrap();
    for number in 0..20 {
        put(&store, "secrets", &format!("a/{number}"), "hidden").await.unwrap();
    }
    assert!(house.has("k8s:enc:kms:v2:one:") && !house.has("hidden"));
    store.close().await;
    // One seed for all: the service opens it once.
    let at_rest = house.at_rest(&secrets).await;
    let store = house.open(&at_rest).await.unwrap();
    assert!(is_there(&store, "secrets", "a/19", "hidden"));
    assert_eq!(plugin.state.lock().decrypted, 1);
    // It has another key from now on; after a rotation the first one may be lost.
    plugin.state.lock().key_id = "2".to_owned();
    at_rest.configure(&configuration(&rule("secrets, pods", &[kms(&house)]))).await.unwrap();
    at_rest.probe().await;
    house.rotation(&at_rest, &store).rotate().await.unwrap();
    store.close().await;
    plugin.state.lock().lost = vec!["1".to_owned()];
    let at_rest = house.at_rest(&secrets).await;
    let store = house.open(&at_rest).await.unwrap();
    assert!(is_there(&store, "secrets", "a/0", "hidden"));
    store.close().await;
    plugin.state.lock().lost = vec!["2".to_owned()];
    let error = house.open(&house.at_rest(&secrets).await).await.unwrap_err().to_string();
    assert!(error.contains("secrets a/0 in "), "{error}");
    assert!(
        error.contains(
            "and 19 more objects: failed to decrypt DEK, error: rpc error: code = NotFound desc = key 2 is lost"
        ),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_service_is_said() {
    let house = House::new();
    let plugin = Plugin::start(&house.socket());
    let at_rest = house.at_rest(&rule("secrets", &[kms(&house)])).await;
    let unwell = async |change: &dyn Fn(&mut crate::plugin::State)| {
        let right = plugin.state.lock().clone();
        change(&mut plugin.state.lock());
        at_rest.probe().await;
        *plugin.state.lock() = right;
        at_rest.health().unwrap_err()
    };
    let error = unwell(&|state| state.healthz = "tired".to_owned()).await;
    assert_eq!(error, "kms-provider-0: kmsv2 Provider one is not healthy, error: got unexpected healthz status: tired");
    let error = unwell(&|state| state.version = "v3".to_owned()).await;
    assert!(error.ends_with("expected KMSv2 API version v2, got v3"), "{error}");
    let error = unwell(&|state| state.version = "v2beta1".to_owned()).await;
    assert!(error.ends_with("should not change after the initial status response version v2, got v2beta1"), "{error}");
    let error = unwell(&|state| state.said_key_id = Some(String::new())).await;
    assert!(error.ends_with(r#"got invalid KMSv2 KeyID hash "": keyID is empty"#), "{error}");
    let error = unwell(&|state| state.said_key_id = Some("x".repeat(1025))).await;
    assert!(error.ends_with("keyID is 1025 bytes, which exceeds the max size of 1024"), "{error}");
    // It says that it has another key, and encrypts with the old one.
    let error = unwell(&|state| state.said_key_id = Some("2".to_owned())).await;
    assert!(error.contains("failed to rotate DEK uid=") && error.contains("errGen=<nil>"), "{error}");
    assert_eq!(at_rest.check("secrets"), Ok(()), "the key that there is may be used for a while");
    at_rest.probe().await;
    assert_eq!(at_rest.health(), Ok(()));
}

/// A service that is gone: reading goes on, writing for three minutes; and it comes back.
#[tokio::test]
async fn a_service_may_be_away_for_a_while() {
    let house = House::new();
    let clock = Clock::paused("2026-11-30T10:00:00Z".parse().unwrap());
    let own = house.files().load_or_create().unwrap();
    let at_rest = AtRest::new(own, clock, Chance::seeded(1), &house.metrics, "server");
    at_rest.configure(&configuration(&rule("secrets", &[kms(&house)]))).await.unwrap();
    let error = at_rest.seal("secrets", "a/s", b"hidden").unwrap_err();
    assert!(error.starts_with("KMS Provider one has given no key yet: failed to perform status section"), "{error}");
    assert!(error.contains("rpc error: code = "), "{error}");
    assert!(at_rest.check("secrets").is_err() && at_rest.check("pods").is_ok());

    let plugin = Plugin::start(&house.socket());
    at_rest.probe().await;
    let sealed = at_rest.seal("secrets", "a/s", b"hidden").unwrap().unwrap();
    assert_eq!(at_rest.open("secrets", "a/s", &sealed).unwrap(), b"hidden");
    assert!(at_rest.open("secrets", "a/t", &sealed).is_err(), "values can be exchanged");
    let state = plugin.state.clone();
    drop(plugin);
    fs::remove_file(house.socket()).unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(179)).await;
    assert!(at_rest.seal("secrets", "a/s", b"hidden").is_ok());
    tokio::time::advance(Duration::from_secs(2)).await;
    let error = at_rest.seal("secrets", "a/s", b"hidden").unwrap_err();
    assert!(
        error.starts_with("encryptedDEKSource with keyID hash \"sha256:")
            && error.contains(" expired at 2026-11-30T10:03:0"),
        "{error}"
    );
    assert_eq!(at_rest.open("secrets", "a/s", &sealed).unwrap(), b"hidden");
    tokio::time::resume();
    let _plugin = Plugin::with(&house.socket(), state);
    at_rest.probe().await;
    assert!(at_rest.seal("secrets", "a/s", b"hidden").is_ok());
}

/// Nothing that stands on a disk makes a reader panic.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_refused() {
    let house = House::new();
    let _plugin = Plugin::start(&house.socket());
    let providers = [kms(&house), keys("aesgcm", &["a"]), keys("aescbc", &["a"]), keys("secretbox", &["a"])];
    let at_rest = house.at_rest(&rule("secrets", &providers)).await;
    let sealed = at_rest.seal("secrets", "a/s", b"hidden").unwrap().unwrap();
    let open = move |sealed: &[u8]| at_rest.open("secrets", "a/s", sealed);
    tokio::task::spawn_blocking(move || {
        for cut in 0..sealed.len() {
            assert!(open(&sealed[..cut]).is_err(), "{cut}");
            let mut flipped = sealed.clone();
            flipped[cut] ^= 1;
            assert!(open(&flipped).is_err(), "{cut}");
        }
        for prefix in [
            "k8s:enc:kms:v2:one:",
            "k8s:enc:aesgcm:v1:a:",
            "k8s:enc:aescbc:v1:a:",
            "k8s:enc:secretbox:v1:a:",
            "k8s:enc:",
        ] {
            for length in 0..80 {
                let garbage = [prefix.as_bytes(), &vec![0x41; length]].concat();
                assert!(open(&garbage).is_err(), "{prefix} {length}");
            }
        }
    })
    .await
    .unwrap();
}

#[test]
fn keys_of_a_wrong_length_are_refused() {
    let folder = tempdir().unwrap();
    fs::create_dir(folder.path().join("pki")).unwrap();
    let path: &Path = &folder.path().join("pki/encryption.key");
    fs::write(path, [1; 31]).unwrap();
    let error = KeyFiles::of(&folder.path().join("pki")).load_or_create().unwrap_err().to_string();
    assert!(
        error.ends_with("has 31 bytes instead of 32: restore it, for without it the cluster's Secrets cannot be read"),
        "{error}"
    );
}
