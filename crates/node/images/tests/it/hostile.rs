//! Archives that try to reach out of their layer.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use proptest::prelude::*;
use windlass_api::text::with_causes;
use windlass_images::Digest;
use windlass_images::unpack::{Limits, Reserve, UnpackError, Unpacked, unpack};

use crate::support::directory;
use crate::support::image::{Layer, PLAIN};

fn limits() -> Limits {
    Limits { entries_max: 10_000, bytes_max: 10 << 20, ..Limits::default() }
}

/// Unpacks into `DIR/layer`, beside which lies `DIR/outside`.
fn unpack_into(dir: &Path, layer: Layer) -> Result<Unpacked, UnpackError> {
    let tar = layer.tar();
    let root = dir.join("layer");
    std::fs::create_dir_all(&root).unwrap();
    std::fs::write(dir.join("outside"), "untouched").unwrap();
    let fd = OwnedFd::from(File::open(&root).unwrap());
    unpack(&tar[..], fd, None, &Digest::of(&tar), limits())
}

fn untouched(dir: &Path) {
    assert_eq!(std::fs::read_to_string(dir.join("outside")).unwrap(), "untouched");
    let names: Vec<_> = crate::support::list(dir).iter().map(|p| p.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["layer", "outside"]);
}

#[test]
fn refused() {
    let cases: Vec<(&str, Layer)> = vec![
        ("a path above the root", Layer::new().file("../outside", "x")),
        ("a path above the root, later", Layer::new().file("a/../../outside", "x")),
        ("a hard link above the root", Layer::new().hard_link("h", "../outside")),
        ("a hard link to nothing", Layer::new().hard_link("h", "/etc/passwd")),
        ("a hard link to a directory", Layer::new().dir("d/").hard_link("h", "d")),
        ("a whiteout of the directory itself", Layer::new().file("d/.wh..", "")),
        ("a whiteout of the parent", Layer::new().file("d/.wh...", "")),
        ("a whiteout without a name", Layer::new().file("d/.wh.", "")),
        ("a file as directory", Layer::new().file("f", "").file("f/x", "")),
        ("a loop of links", Layer::new().symlink("a", "b").symlink("b", "a").file("a/x", "")),
        ("a dangling link as directory", Layer::new().symlink("a", "nowhere").file("a/x", "")),
        ("too many bytes", Layer::new().noise("n", 11 << 20, 1)),
    ];
    for (what, layer) in cases {
        let dir = directory();
        assert!(unpack_into(dir.path(), layer).is_err(), "{what}");
        untouched(dir.path());
    }
    let dir = directory();
    let many = (0..10_001).fold(Layer::new(), |layer, _| layer.file("same", ""));
    assert!(unpack_into(dir.path(), many).unwrap_err().to_string().contains("failed to extract"));
}

/// Directories that no entry names take inodes and memory like others.
#[test]
fn directories_without_entries_count() {
    let dir = directory();
    let deep = |number: usize| format!("{number}/{}f", "a/".repeat(900));
    let file = |layer: Layer, path: String| layer.pax(&[("path", path.as_bytes())]).file("f", "");
    let unpack_with = |tar: &[u8], limits| {
        let root = OwnedFd::from(File::open(dir.path()).unwrap());
        with_causes(&unpack(tar, root, None, &Digest::of(tar), limits).unwrap_err())
    };
    let tar = (0..12).fold(Layer::new(), |layer, number| file(layer, deep(number))).tar();
    let error = unpack_with(&tar, Limits { entries_max: 10_000, ..Limits::default() });
    assert!(error.contains("more than 10000 entries"), "{error}");
    let long = |number: usize| format!("{number}/{}f", format!("{}/", "a".repeat(250)).repeat(15));
    let tar = (0..2500).fold(Layer::new(), |layer, number| file(layer, long(number))).tar();
    let error = unpack_with(&tar, Limits::default());
    assert!(error.contains("have the image made less deep"), "{error}");
}

/// As the kernel's: what was not written yet counts.
fn used(path: &Path) -> u64 {
    let stat = rustix::fs::statvfs(path).unwrap();
    (stat.f_blocks - stat.f_bfree) * stat.f_frsize
}

#[test]
fn decompression_bombs() {
    let dir = directory();
    let root = OwnedFd::from(File::open(dir.path()).unwrap());
    let tar = Layer::new().file("zeros", &"\0".repeat(4 << 20)).tar();
    let blob = zstd::encode_all(&tar[..], 3).unwrap();
    let digest = Digest::of(&blob);
    let unpack_with = |limits| {
        let root = root.try_clone().unwrap();
        unpack(&blob[..], root, Some((&digest, blob.len() as u64)), &Digest::of(&tar), limits)
    };
    let error = unpack_with(Limits { ratio_from_bytes: 1 << 20, ..Limits::default() }).unwrap_err();
    assert!(matches!(error, UnpackError::Ratio { max: 1_048_576, ratio: 200 }), "{error}");
    unpack_with(Limits { ratio_from_bytes: 1 << 20, ratio_max: 100_000, ..Limits::default() }).unwrap();
}

#[test]
fn the_disk_is_not_filled() {
    let dir = directory();
    let at = dir.path().join("small");
    std::fs::create_dir(&at).unwrap();
    let size = c"size=64m,nr_inodes=20000";
    rustix::mount::mount("tmpfs", &at, "tmpfs", rustix::mount::MountFlags::empty(), size).unwrap();
    let reserve = Reserve { percent: 50, bytes_max: u64::MAX };
    let layer = (0..4).fold(Layer::new(), |layer, seed| layer.noise(&format!("f{seed}"), 20 << 20, seed));
    let tar = layer.tar();
    let fd = OwnedFd::from(File::open(&at).unwrap());
    let limits = Limits { reserve, ..Limits::default() };
    let result = unpack(&tar[..], fd, None, &Digest::of(&tar), limits);
    let (left, message) = (used(&at), result.map(|_| ()).map_err(|error| with_causes(&error)));
    rustix::mount::unmount(&at, rustix::mount::UnmountFlags::DETACH).unwrap();
    let message = message.unwrap_err();
    assert!(message.contains("bytes left, of which 33554") && message.contains("remove images"), "{message}");
    assert!(left < 48 << 20, "{left}");
}

#[test]
fn links_resolve_inside() {
    let dir = directory();
    let up = "../".repeat(12);
    let layer = Layer::new()
        .dir("etc/")
        .symlink("abs", "/")
        .symlink("up", &up)
        .file("abs/etc/one", "1")
        .file("up/etc/two", "2")
        .symlink("etc/three", "/outside")
        .file("etc/three", "a file replaces the link")
        .hard_link("four", "/abs/etc/one")
        .symlink("proc", "/proc/self/root")
        .file("/absolute", "5");
    unpack_into(dir.path(), layer).unwrap();
    let root = dir.path().join("layer");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    assert_eq!(
        (read("etc/one"), read("etc/two"), read("four"), read("absolute")),
        ("1".into(), "2".into(), "1".into(), "5".into())
    );
    assert_eq!(read("etc/three"), "a file replaces the link");
    untouched(dir.path());
}

#[test]
fn attributes_of_overlayfs_are_left_out() {
    let dir = directory();
    let layer = Layer::new()
        .pax(&[
            ("SCHILY.xattr.trusted.overlay.redirect", b"/../../etc".as_slice()),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.trusted.mine", b"kept"),
        ])
        .dir("d/");
    unpack_into(dir.path(), layer).unwrap();
    let path = dir.path().join("layer/d");
    let has = |name: &str| rustix::fs::getxattr(&path, name, &mut [0; 100][..]).is_ok();
    assert!(has("trusted.mine") && !has("trusted.overlay.redirect") && !has("trusted.overlay.opaque"));
}

#[test]
fn counted() {
    let dir = directory();
    let layer =
        Layer::new().dir("d/").file("d/five", "12345").file("empty", "").hard_link("same", "d/five").file("i/x", "");
    let unpacked = unpack_into(dir.path(), layer).unwrap();
    assert_eq!((unpacked.bytes, unpacked.inodes), (3 * 4096, 5));
    assert_eq!(unpacked.implied.into_iter().collect::<Vec<_>>(), [Path::new("i")]);
}

#[derive(Clone, Debug)]
enum Step {
    File(String),
    Dir(String),
    Symlink(String, String),
    HardLink(String, String),
    Fifo(String),
}

fn path() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        3 => Just("a".to_owned()),
        3 => Just("b".to_owned()),
        1 => Just("..".to_owned()),
        1 => Just(".".to_owned()),
        1 => Just("layer".to_owned()),
        1 => Just("outside".to_owned()),
        1 => Just(".wh.a".to_owned()),
        1 => Just(".wh..wh..opq".to_owned()),
        1 => Just(String::new()),
    ];
    (any::<bool>(), prop::collection::vec(part, 1..5)).prop_map(|(absolute, parts)| {
        let joined = parts.join("/");
        if absolute { format!("/{joined}") } else { joined }
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        path().prop_map(Step::File),
        path().prop_map(Step::Dir),
        (path(), path()).prop_map(|(at, to)| Step::Symlink(at, to)),
        (path(), path()).prop_map(|(at, to)| Step::HardLink(at, to)),
        path().prop_map(Step::Fifo),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_an_archive_says_it_stays_inside(steps in prop::collection::vec(step(), 1..14)) {
        let dir = directory();
        let layer = steps.iter().fold(Layer::new(), |layer, step| match step {
            Step::File(path) => layer.entry(tar::EntryType::Regular, path, b"data", PLAIN),
            Step::Dir(path) => layer.entry(tar::EntryType::Directory, path, b"", PLAIN),
            Step::Symlink(path, target) => layer.symlink(path, target),
            Step::HardLink(path, target) => layer.hard_link(path, target),
            Step::Fifo(path) => layer.entry(tar::EntryType::Fifo, path, b"", PLAIN),
        });
        let _ = unpack_into(dir.path(), layer);
        untouched(dir.path());
        let outside = rustix::fs::stat(dir.path().join("outside")).unwrap();
        prop_assert_eq!(outside.st_nlink, 1, "nothing links to what is outside");
        prop_assert_eq!(outside.st_mode & 0o7777, 0o644);
    }
}
