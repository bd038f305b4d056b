//! Removing images, and freeing what nobody needs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use windlass_api::time::Clock;
use windlass_cri::{ImageService, ImageSource, ImageSpec};
use windlass_images::{ImageStore, LayersInUse, OpenError, Options, Reclaimed};

use crate::support::image::{Image, Layer};
use crate::support::{Directory, directory, leftovers, list, options, store};

fn sample(text: &str) -> Image {
    Image::new(vec![Layer::new().file("base", "shared"), Layer::new().file("file", text)])
}

async fn import(store: &ImageStore, dir: &Directory, image: &Image, name: &str) {
    let path = dir.path().join("image.tar");
    std::fs::write(&path, image.oci_archive(Some(name))).unwrap();
    store.import(&path, None).await.unwrap();
}

fn layers(dir: &Directory) -> Vec<PathBuf> {
    list(&dir.path().join("images/layers"))
}

#[tokio::test]
async fn layers_go_with_their_last_image() {
    let dir = directory();
    let store = store(&dir).await;
    import(&store, &dir, &sample("one"), "one:1").await;
    import(&store, &dir, &sample("one"), "one:also").await;
    import(&store, &dir, &sample("two"), "two:1").await;
    assert_eq!(store.collect_garbage([]).await.unwrap(), Reclaimed::default());
    let usage = store.image_fs_info().await.unwrap();
    assert_eq!((usage[0].used_bytes, usage[0].inodes_used), (3 * 4096, 3));

    let remove = async |name: &str| store.remove_image(&ImageSpec::new(name)).await.unwrap();
    remove("one:1").await;
    assert_eq!(store.collect_garbage([]).await.unwrap(), Reclaimed::default(), "another tag is left");
    remove("one:also").await;
    remove("one:also").await;
    remove("docker.io/library/never:there").await;
    assert!(store.image_status(&ImageSpec::new("one:also")).await.unwrap().is_none());
    assert_eq!(store.collect_garbage([]).await.unwrap(), Reclaimed { layers: 1, bytes: 4096 });
    remove(sample("two").id().as_str()).await;
    assert_eq!(store.collect_garbage([]).await.unwrap().layers, 2);
    assert!(layers(&dir).is_empty() && leftovers(&dir).is_empty());
    assert!(list(&dir.path().join("images/blobs/sha256")).is_empty());
    assert!(store.rootfs("two:1").await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn what_is_leased_used_or_just_given_out_stays() {
    let dir = directory();
    let store = store(&dir).await;
    import(&store, &dir, &sample("one"), "one:1").await;
    let (rootfs, lease) = store.lease("one:1").unwrap();
    store.remove_image(&ImageSpec::new("one:1")).await.unwrap();
    assert_eq!(store.collect_garbage([]).await.unwrap().layers, 0, "leased");
    drop(lease);
    let used = rootfs.layers[1].clone();
    assert_eq!(store.collect_garbage([used.clone()]).await.unwrap().layers, 1, "the other one is used");
    assert_eq!(layers(&dir), [used]);

    // The unused layer comes back with the next import.
    import(&store, &dir, &sample("one"), "one:1").await;
    assert_eq!(layers(&dir).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_file_system_given_out_is_kept_for_a_while() {
    let dir = directory();
    let clock = Clock::paused("2026-11-21T00:00:00Z".parse().unwrap());
    let store = ImageStore::open(Options { clock, ..options(&dir) }).await.unwrap();
    import(&store, &dir, &sample("one"), "one:1").await;
    store.rootfs("one:1").await.unwrap();
    store.remove_image(&ImageSpec::new("one:1")).await.unwrap();
    assert_eq!(store.collect_garbage([]).await.unwrap().layers, 0);
    tokio::time::advance(Duration::from_secs(601)).await;
    assert_eq!(store.collect_garbage([]).await.unwrap().layers, 2);
}

#[tokio::test]
async fn removing_frees_the_disk_when_the_runtime_says_what_it_uses() {
    struct Runtime(Mutex<Vec<PathBuf>>, tokio::sync::Semaphore);
    #[async_trait]
    impl LayersInUse for Runtime {
        async fn layers_in_use(&self) -> windlass_cri::Result<Vec<PathBuf>> {
            self.1.add_permits(1);
            Ok(self.0.lock().clone())
        }
    }
    let dir = directory();
    let store = store(&dir).await;
    import(&store, &dir, &sample("one"), "one:1").await;
    let (rootfs, lease) = store.lease("one:1").unwrap();
    drop(lease);
    let runtime = Arc::new(Runtime(Mutex::new(vec![rootfs.layers[0].clone()]), tokio::sync::Semaphore::new(0)));
    let in_use: Arc<dyn LayersInUse> = runtime.clone();
    store.set_layers_in_use(&in_use);
    store.remove_image(&ImageSpec::new("one:1")).await.unwrap();
    runtime.1.acquire().await.unwrap().forget();
    // Closing waits for what runs in the background.
    store.clone().close().await.unwrap();
    assert_eq!(layers(&dir), [rootfs.layers[0].clone()]);
}

#[tokio::test]
async fn pinned_images_are_marked() {
    let dir = directory();
    let pinned_images = vec!["one:1".to_owned(), "not a reference".to_owned()];
    let store = ImageStore::open(Options { pinned_images, ..options(&dir) }).await.unwrap();
    import(&store, &dir, &sample("one"), "one:1").await;
    import(&store, &dir, &sample("two"), "two:1").await;
    let pinned = async |name: &str| store.image_status(&ImageSpec::new(name)).await.unwrap().unwrap().pinned;
    assert!(pinned("one:1").await && !pinned("two:1").await);
}

#[tokio::test]
async fn one_store_for_a_directory() {
    let dir = directory();
    let first = store(&dir).await;
    assert!(matches!(ImageStore::open(options(&dir)).await, Err(OpenError::Locked(_))));
    first.close().await.unwrap();
    assert!(ImageStore::open(options(&dir)).await.is_ok());
}

#[tokio::test]
async fn leftovers_and_strangers_are_cleared_away() {
    let dir = directory();
    let one = sample("one");
    let first = store(&dir).await;
    import(&first, &dir, &one, "one:1").await;
    import(&first, &dir, &sample("two"), "two:1").await;
    let lost = first.rootfs("two:1").await.unwrap().layers[1].clone();
    first.close().await.unwrap();
    let root = dir.path().join("images");
    std::fs::create_dir_all(root.join("tmp/layer-1-1/deep/down")).unwrap();
    std::fs::create_dir_all(root.join("layers/00000000000000000000/x")).unwrap();
    std::fs::write(root.join("blobs/sha256/junk"), "").unwrap();
    windlass_tree::remove_path(&lost).unwrap();

    let again = store(&dir).await;
    assert!(again.image_status(&ImageSpec::new("one:1")).await.unwrap().is_some());
    assert!(again.image_status(&ImageSpec::new("two:1")).await.unwrap().is_none(), "a layer of it is gone");
    again.close().await.unwrap();
    assert!(leftovers(&dir).is_empty());
    assert_eq!(layers(&dir).len(), 2);
    assert!(!root.join("blobs/sha256/junk").exists());

    // A damaged index costs the images, never the store.
    std::fs::write(root.join("index.json"), "{").unwrap();
    std::fs::remove_file(root.join("index.boot.json")).unwrap();
    let empty = store(&dir).await;
    assert!(empty.list_images(None).await.unwrap().is_empty());
    import(&empty, &dir, &one, "one:1").await;
}
