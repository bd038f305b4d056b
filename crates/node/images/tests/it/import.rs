//! Archives of OCI and Docker, and what is not one.

use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::{CWD, FileType, Mode};
use serde_json::json;
use windlass_cri::{ImageService, ImageSource, ImageSpec, PullProgress};
use windlass_images::{Digest, ImportError};

use crate::support::image::{INDEX, Image, Layer, archive, gzip, oci_archive};
use crate::support::{directory, leftovers, options, store};

fn sample(text: &str) -> Image {
    Image::new(vec![Layer::new().file("base", "shared"), Layer::new().file("file", text)])
}

const ARCH: &str = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };

#[tokio::test]
async fn an_oci_archive_plain_compressed_and_out_of_a_pipe() {
    let image = sample("one");
    let plain = image.oci_archive(Some("registry.k8s.io/sample:1.0"));
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    for (how, bytes) in [("plain", plain.clone()), ("gzip", gzip(&plain)), ("zstd", zstd)] {
        for is_pipe in [false, true] {
            let dir = directory();
            let store = store(&dir).await;
            let path = dir.path().join("image");
            if is_pipe {
                rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
            }
            let (writes, bytes) = (path.clone(), bytes.clone());
            let writer = std::thread::spawn(move || std::fs::write(writes, bytes).unwrap());
            if !is_pipe {
                writer.join().unwrap();
            }
            let imported = store.import(&path, None).await;
            let imported = imported.unwrap_or_else(|error| panic!("{how}: {error:?}"));
            assert_eq!(imported[0].references, ["registry.k8s.io/sample:1.0"]);
            let rootfs = store.rootfs("registry.k8s.io/sample:1.0").await.unwrap();
            assert_eq!(rootfs.id, image.id().to_string());
            assert_eq!(rootfs.image_ref, format!("registry.k8s.io/sample@{}", image.digest()));
            assert_eq!(std::fs::read_to_string(rootfs.layers[1].join("file")).unwrap(), "one");
            assert_eq!((rootfs.config.entrypoint, rootfs.config.user), (vec!["/run".to_owned()], "65534:1".into()));
            assert!(leftovers(&dir).is_empty());
        }
    }
}

#[tokio::test]
async fn docker_save_with_several_images_links_and_shared_layers() {
    let dir = directory();
    let store = store(&dir).await;
    let (one, two) = (sample("one"), sample("two"));
    let path = |image: &Image, layer: usize| format!("{}/layer.tar", Digest::of(&image.tars[layer]).hex());
    let item = |image: &Image, tags: serde_json::Value, layers: [String; 2]| json!({"Config": format!("{}.json", image.id().hex()), "RepoTags": tags, "Layers": layers});
    let manifest = json!([
        item(&one, json!(["one:1", "one:latest"]), [path(&one, 0), path(&one, 1)]),
        item(&two, json!(null), ["linked/layer.tar".into(), path(&two, 1)]),
    ]);
    let mut tar = tar::Builder::new(Vec::new());
    let files = [
        (format!("{}.json", one.id().hex()), one.config.clone()),
        (format!("{}.json", two.id().hex()), two.config.clone()),
        (path(&one, 0), one.tars[0].clone()),
        (path(&one, 1), one.tars[1].clone()),
        (path(&two, 1), two.tars[1].clone()),
        ("manifest.json".into(), serde_json::to_vec(&manifest).unwrap()),
    ];
    for (path, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, path, &bytes[..]).unwrap();
    }
    let mut link = tar::Header::new_ustar();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    tar.append_link(&mut link, "linked/layer.tar", format!("../{}", path(&one, 0))).unwrap();

    let file = dir.path().join("save.tar");
    std::fs::write(&file, tar.into_inner().unwrap()).unwrap();
    let imported = store.import(&file, None).await.unwrap();
    assert_eq!(imported[0].references, ["docker.io/library/one:1", "docker.io/library/one:latest"]);
    assert_eq!((imported[1].id.clone(), imported[1].references.len()), (two.id().to_string(), 0));
    let (first, second) = (store.rootfs("one").await.unwrap(), store.rootfs(two.id().as_str()).await.unwrap());
    assert_eq!(first.layers[0], second.layers[0], "the layer is shared");
    assert_ne!(first.layers[1], second.layers[1]);
    assert_eq!(first.image_ref, one.id().to_string(), "docker archives have no repository digest");
    assert_eq!(store.list_images(None).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_index_for_several_machines() {
    let dir = directory();
    let store = store(&dir).await;
    let (mine, other) = (sample("mine"), sample("other"));
    let nested = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        other.entry("s390x"),
        mine.entry(ARCH),
        {"mediaType": "x", "digest": other.digest(), "size": 1, "platform": {"os": "unknown", "architecture": "unknown"}},
    ]});
    let nested = serde_json::to_vec(&nested).unwrap();
    let top = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": INDEX, "digest": Digest::of(&nested), "size": nested.len(),
        "annotations": {"org.opencontainers.image.ref.name": "quay.io/multi:2"},
    }]});
    // Only this machine's part is in the archive.
    let mut files: Vec<(String, Vec<u8>)> = mine
        .blobs()
        .into_iter()
        .chain([(mine.digest(), mine.manifest.clone())])
        .map(|(digest, bytes)| (format!("blobs/sha256/{}", digest.hex()), bytes))
        .collect();
    files.push((format!("blobs/sha256/{}", Digest::of(&nested).hex()), nested.clone()));
    files.push(("index.json".into(), serde_json::to_vec(&top).unwrap()));
    let path = dir.path().join("multi.tar");
    std::fs::write(&path, archive(&files)).unwrap();
    let imported = store.import(&path, None).await.unwrap();
    assert_eq!(
        (imported[0].id.clone(), imported[0].references.clone()),
        (mine.id().to_string(), vec!["quay.io/multi:2".into()])
    );
    let image = store.image_status(&ImageSpec::new("quay.io/multi:2")).await.unwrap().unwrap();
    assert_eq!(image.repo_digests, [format!("quay.io/multi@{}", Digest::of(&nested))]);

    let foreign = json!({"schemaVersion": 2, "manifests": [other.entry("s390x")]});
    std::fs::write(&path, oci_archive(&foreign, &[&other])).unwrap();
    assert!(matches!(store.import(&path, None).await, Err(ImportError::NoPlatform(_))));
}

#[tokio::test]
async fn what_is_no_image_is_refused_and_leaves_nothing() {
    let dir = directory();
    let store = store(&dir).await;
    let image = sample("x");
    let good = image.oci_archive(None);
    let layer = &image.layers[1];
    let at = good.windows(layer.len()).position(|window| window == &layer[..]).unwrap();
    let mut damaged = good.clone();
    damaged[at + layer.len() / 2] ^= 1;
    let config_at = good.windows(image.config.len()).position(|window| window == &image.config[..]).unwrap();
    let mut other_config = good.clone();
    other_config[config_at + image.config.len() - 1] = b' ';
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("text", b"hello, this is not a tar archive at all".repeat(20)),
        ("a tar of something else", Layer::new().file("a", "b").tar()),
        ("cut off", good[..good.len() / 2].to_vec()),
        ("a damaged layer", damaged),
        ("a damaged configuration", other_config),
        ("a blob is missing", oci_archive(&json!({"manifests": [image.entry(ARCH)]}), &[])),
        ("an index that is none", archive(&[("index.json".into(), b"[]".to_vec())])),
    ];
    for (what, bytes) in cases {
        let path = dir.path().join("bad.tar");
        std::fs::write(&path, bytes).unwrap();
        let error = store.import(&path, None).await.expect_err(what);
        let shown = windlass_cri::Error::from(error);
        assert!(!shown.message.is_empty());
        assert!(leftovers(&dir).is_empty(), "{what}");
    }
    assert!(store.list_images(None).await.unwrap().is_empty());
    let missing = store.import(&dir.path().join("none.tar"), None).await.unwrap_err();
    assert!(missing.to_string().contains("failed to open"));
}

#[tokio::test]
async fn imports_survive_a_restart_and_progress_is_told() {
    let dir = directory();
    let image = sample("kept");
    let seen: Arc<Mutex<Vec<PullProgress>>> = Arc::default();
    {
        let store = store(&dir).await;
        let path = dir.path().join("image.tar");
        std::fs::write(&path, image.oci_archive(Some("kept:1"))).unwrap();
        let writer = seen.clone();
        let sink = Arc::new(move |state| writer.lock().push(state));
        store.import(&path, Some(sink)).await.unwrap();
        store.close().await.unwrap();
    }
    let last = *seen.lock().last().unwrap();
    assert_eq!((last.layers_done, last.layers_total), (2, 2));
    assert_eq!(
        (last.bytes_done, last.bytes_total),
        (last.bytes_total, image.layers.iter().map(|l| l.len() as u64).sum())
    );

    std::fs::remove_file(dir.path().join("images/index.boot.json")).ok();
    let store = windlass_images::ImageStore::open(options(&dir)).await.unwrap();
    let found = store.image_status(&ImageSpec::new("kept:1")).await.unwrap().unwrap();
    assert_eq!((found.id.as_str(), found.uid, found.username.as_str()), (image.id().as_str(), Some(65534), ""));
    assert_eq!(found.size_bytes, image.layers.iter().map(|layer| layer.len() as u64).sum::<u64>());
}
