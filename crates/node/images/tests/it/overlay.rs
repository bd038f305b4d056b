//! Layers as overlayfs shows them: what an image's archives say is what a container sees.

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use windlass_cri::ImageSource;
use windlass_images::ImageStore;

use crate::support::image::{Attributes, DIR, Image, Layer, PLAIN};
use crate::support::mount::Overlay;
use crate::support::{Directory, directory, store};

async fn imported(store: &ImageStore, dir: &Directory, image: &Image) -> Vec<std::path::PathBuf> {
    let path = dir.path().join("image.tar");
    std::fs::write(&path, image.oci_archive(Some("test.local/image:1"))).unwrap();
    let found = store.import(&path, None).await.expect("the archive is imported");
    store.rootfs(&found[0].id).await.expect("the image has a file system").layers
}

#[tokio::test]
async fn attributes_of_every_kind_of_file() {
    let dir = directory();
    let store = store(&dir).await;
    let odd = Attributes { mode: 0o4711, uid: 1234, gid: 70_000, mtime: 1_234_567_890 };
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let layer = Layer::new()
        .dir_with("d/", Attributes { mode: 0o1777, uid: 5, gid: 6, mtime: 1_111_111_111 })
        .entry(tar::EntryType::Regular, "d/suid", b"#!", odd)
        .symlink("d/link", "/etc/target")
        .hard_link("d/second", "d/suid")
        .device("null", 1, 3)
        .entry(tar::EntryType::Fifo, "fifo", b"", PLAIN)
        .pax(&[
            ("path", b"capable".as_slice()),
            ("SCHILY.xattr.security.capability", &capability),
            ("SCHILY.xattr.user.note", b"hello"),
            ("mtime", b"1500000000.25"),
        ])
        .file("short", "x")
        .file("empty", "");
    let layers = imported(&store, &dir, &Image::new(vec![layer])).await;
    let [layer] = layers.as_slice() else { panic!("one layer") };

    let stat = |path: &str| std::fs::symlink_metadata(layer.join(path)).unwrap();
    let suid = stat("d/suid");
    assert_eq!(
        (suid.mode() & 0o7777, suid.uid(), suid.gid(), suid.nlink()),
        (0o644, 0, 0, 2),
        "the link's entry decides"
    );
    assert_eq!(suid.ino(), stat("d/second").ino());
    let d = stat("d");
    assert_eq!((d.mode() & 0o7777, d.uid(), d.gid(), d.mtime()), (0o1777, 5, 6, 1_111_111_111));
    assert_eq!(std::fs::read_link(layer.join("d/link")).unwrap().to_str(), Some("/etc/target"));
    assert_eq!(stat("d/link").mtime(), PLAIN.mtime as i64);
    let null = stat("null");
    assert!(null.file_type().is_char_device());
    assert_eq!((rustix::fs::major(null.rdev()), rustix::fs::minor(null.rdev()), null.mode() & 0o7777), (1, 3, 0o666));
    assert!(stat("fifo").file_type().is_fifo());
    let capable = stat("capable");
    assert_eq!((capable.mtime(), capable.mtime_nsec()), (1_500_000_000, 250_000_000));
    let xattr = |name: &str| {
        let mut value = [0; 100];
        let length = rustix::fs::getxattr(layer.join("capable"), name, &mut value[..]).unwrap();
        value[..length].to_vec()
    };
    assert_eq!((xattr("security.capability"), xattr("user.note")), (capability.to_vec(), b"hello".to_vec()));
    assert_eq!(stat("empty").len(), 0);
    assert_eq!(std::fs::metadata(layer).unwrap().mode() & 0o7777, 0o755, "the root, whatever our umask");
}

#[tokio::test]
async fn setuid_survives_the_change_of_owner() {
    let dir = directory();
    let store = store(&dir).await;
    let odd = Attributes { mode: 0o6711, uid: 1234, gid: 70_000, ..PLAIN };
    let layers =
        imported(&store, &dir, &Image::new(vec![Layer::new().entry(tar::EntryType::Regular, "s", b"x", odd)])).await;
    let stat = std::fs::metadata(layers[0].join("s")).unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.uid(), stat.gid()), (0o6711, 1234, 70_000));
}

#[tokio::test]
async fn whiteouts_hide_what_is_below() {
    let dir = directory();
    let store = store(&dir).await;
    let base = Layer::new()
        .dir("a/")
        .file("a/keep", "1")
        .file("a/gone", "1")
        .dir("opaque/")
        .file("opaque/old", "1")
        .dir("opaque/sub/")
        .file("opaque/sub/old", "1")
        .dir("whole/")
        .file("whole/x", "1")
        .dir("again/")
        .file("again/old", "1")
        .dir("replaced/")
        .file("replaced/old", "1")
        .file("file", "below");
    let upper = Layer::new()
        .file("a/.wh.gone", "")
        .dir("opaque/")
        .file("opaque/new", "2")
        .file("opaque/.wh..wh..opq", "")
        .file(".wh.whole", "")
        // Deleted and made anew, in either order of the two entries.
        .file(".wh.again", "")
        .dir("again/")
        .file("again/new", "2")
        .dir("replaced/")
        .file("replaced/new", "2")
        .file(".wh.replaced", "")
        .file("file", "above")
        .file(".wh..wh.plnk", "AUFS left this");
    let layers = imported(&store, &dir, &Image::new(vec![base, upper])).await;
    let merged = Overlay::mount(&layers, &dir.path().join("merged"));
    assert_eq!(merged.names(""), ["a", "again", "file", "opaque", "replaced"]);
    assert_eq!(merged.names("a"), ["keep"]);
    assert_eq!(merged.names("opaque"), ["new"]);
    assert_eq!(merged.names("again"), ["new"]);
    assert_eq!(merged.names("replaced"), ["new"]);
    assert_eq!(merged.read("file").as_deref(), Some("above"));
}

#[tokio::test]
async fn kinds_change_between_layers() {
    let dir = directory();
    let store = store(&dir).await;
    let base = Layer::new().dir("d/").file("d/x", "1").file("f", "1").symlink("l", "d").dir("real/");
    let upper = Layer::new().file("d", "now a file").dir("f/").file("f/y", "2").dir("l/").file("l/z", "2");
    let layers = imported(&store, &dir, &Image::new(vec![base, upper])).await;
    let merged = Overlay::mount(&layers, &dir.path().join("merged"));
    assert_eq!(merged.read("d").as_deref(), Some("now a file"));
    assert_eq!(merged.names("f"), ["y"]);
    assert_eq!(merged.names("l"), ["z"]);
}

#[tokio::test]
async fn directories_without_an_entry_look_as_below() {
    let dir = directory();
    let store = store(&dir).await;
    let base = Layer::new()
        .dir_with("tmp/", Attributes { mode: 0o1777, ..DIR })
        .dir_with("data/", Attributes { mode: 0o700, uid: 5, gid: 6, ..DIR })
        .dir_with("data/sub/", Attributes { mode: 0o750, uid: 7, gid: 8, ..DIR })
        .dir("plain/")
        .dir_with("gone/", Attributes { mode: 0o700, ..DIR })
        .dir_with("closed/", Attributes { mode: 0o711, ..DIR })
        .dir_with("closed/in/", Attributes { mode: 0o700, ..DIR });
    let middle = Layer::new().file(".wh.gone", "").file("tmp/one", "1");
    let upper = Layer::new()
        .file("tmp/two", "2")
        .file("data/sub/file", "2")
        .file("plain/file", "2")
        .file("gone/file", "2")
        .file("fresh/deep/file", "2")
        .dir_with("closed/", Attributes { mode: 0o555, ..DIR })
        .file("closed/.wh..wh..opq", "")
        .file("closed/in/file", "2");
    let image = Image::new(vec![base, middle, upper]);
    let layers = imported(&store, &dir, &image).await;
    assert_eq!(layers.len(), 5, "two of the layers need a fixup above them");
    let merged = Overlay::mount(&layers, &dir.path().join("merged"));
    let look = |path: &str| {
        let stat = std::fs::metadata(merged.path(path)).unwrap();
        (stat.mode() & 0o7777, stat.uid(), stat.gid())
    };
    assert_eq!(look("tmp"), (0o1777, 0, 0));
    assert_eq!(look("data"), (0o700, 5, 6));
    assert_eq!(look("data/sub"), (0o750, 7, 8));
    assert_eq!(look("plain"), (0o755, 0, 0));
    assert_eq!(look("gone"), (0o755, 0, 0), "what was deleted is no example");
    assert_eq!(look("fresh/deep"), (0o755, 0, 0));
    assert_eq!(look("closed"), (0o555, 0, 0), "what the layer names itself stays");
    assert_eq!(look("closed/in"), (0o755, 0, 0), "nothing shows through an opaque directory");
    assert_eq!(merged.names("tmp"), ["one", "two"]);
    drop(merged);

    // The fixups belong to the chain: they are found again, and another image with the layer gets its own.
    assert_eq!(imported(&store, &dir, &image).await, layers);
}

#[tokio::test]
async fn sparse_files_keep_their_holes() {
    let dir = directory();
    let store = store(&dir).await;
    let map = b"2\n0\n4\n1048576\n4\n";
    let mut data = map.to_vec();
    data.resize(512, 0);
    data.extend_from_slice(b"headtail");
    let layer = Layer::new()
        .pax(&[
            ("GNU.sparse.major", b"1".as_slice()),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"sparse"),
            ("GNU.sparse.realsize", b"2097152"),
        ])
        .entry(tar::EntryType::Regular, "GNUSparseFile.0/sparse", &data, PLAIN);
    let layers = imported(&store, &dir, &Image::new(vec![layer])).await;
    let path = layers[0].join("sparse");
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!((bytes.len(), &bytes[..5], &bytes[1_048_576..1_048_581]), (2_097_152, &b"head\0"[..], &b"tail\0"[..]));
    assert!(std::fs::metadata(&path).unwrap().blocks() * 512 < 100_000);
}

#[tokio::test]
async fn archives_of_gnu_tar() {
    let dir = directory();
    let store = store(&dir).await;
    let tree = dir.path().join("tree");
    let deep = tree.join("d".repeat(90)).join("e".repeat(90));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("f".repeat(90)), "deep").unwrap();
    std::fs::hard_link(deep.join("f".repeat(90)), tree.join("second")).unwrap();
    let sparse = std::fs::File::create(tree.join("holes")).unwrap();
    for at in 0..40 {
        std::os::unix::fs::FileExt::write_all_at(&sparse, b"data", at * 100_000).unwrap();
    }
    rustix::fs::setxattr(tree.join("holes"), "user.k", b"v", rustix::fs::XattrFlags::empty()).unwrap();
    for format in [
        &["--format=gnu"][..],
        &["--format=posix", "--xattrs"],
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix", "--sparse-version=0.0"],
    ] {
        let out = dir.path().join("tree.tar");
        let done = std::process::Command::new("tar")
            .args(format)
            .args(["--sparse", "-cf"])
            .arg(&out)
            .arg("-C")
            .arg(&tree)
            .arg(".")
            .status()
            .expect("tar is installed");
        assert!(done.success());
        let image = Image { tars: vec![], ..raw(std::fs::read(&out).unwrap()) };
        let layers = imported(&store, &dir, &image).await;
        let same = std::process::Command::new("diff").arg("-r").arg(&tree).arg(&layers[0]).output().unwrap();
        assert!(same.status.success(), "{format:?}: {}", String::from_utf8_lossy(&same.stdout));
        let link = |path: &std::path::Path| std::fs::metadata(path).unwrap().nlink();
        assert_eq!(link(&layers[0].join("second")), 2, "{format:?}");
    }
}

/// An image of one layer that is given as a tar.
fn raw(tar: Vec<u8>) -> Image {
    let image = Image::with(vec![Layer::new()], serde_json::json!({}), <[u8]>::to_vec);
    let swap = |document: &[u8], pairs: &[(String, String)]| {
        let mut text = String::from_utf8(document.to_vec()).unwrap();
        for (from, to) in pairs {
            text = text.replace(from, to);
        }
        text.into_bytes()
    };
    let digest = |bytes: &[u8]| windlass_images::Digest::of(bytes).to_string();
    let size = |bytes: &[u8]| format!("\"size\":{}", bytes.len());
    let config = swap(&image.config, &[(digest(&image.layers[0]), digest(&tar))]);
    let manifest = swap(
        &image.manifest,
        &[
            (digest(&image.layers[0]), digest(&tar)),
            (size(&image.layers[0]), size(&tar)),
            (digest(&image.config), digest(&config)),
        ],
    );
    Image { manifest, config, layers: vec![tar], ..image }
}
