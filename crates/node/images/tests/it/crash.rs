//! kill -9 at any moment: what a later open lists is whole.
//!
//! A child process (this test binary again) imports and removes images without end; it is killed after a random number of
//! steps that it reports, somewhere in the middle of the next.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use windlass_api::time::Clock;
use windlass_cri::{ImageService, ImageSource, ImageSpec};
use windlass_images::{ImageStore, Options};

use crate::support::directory;
use crate::support::image::{Image, Layer};

const CHILD_DIRECTORY: &str = "WINDLASS_IMAGES_TEST_CRASH";
const ROUNDS: u64 = 25;
const FILES: usize = 40;

fn sample(number: u64) -> Image {
    let mut layers = vec![Layer::new().noise("base", 200_000, 7)];
    layers.push(
        (0..FILES).fold(Layer::new(), |layer, file| layer.file(&format!("f{file}"), &format!("{number}-{file}"))),
    );
    Image::new(layers)
}

fn name(number: u64) -> String {
    format!("crash.test/image:{number}")
}

#[test]
#[ignore = "the child of `killed_at_any_moment`"]
fn child() {
    #[expect(clippy::disallowed_methods, reason = "how the parent tells its child where to work")]
    let Ok(dir) = std::env::var(CHILD_DIRECTORY) else { return };
    let dir = PathBuf::from(dir);
    tokio::runtime::Runtime::new().unwrap().block_on(work(&dir));
}

async fn work(dir: &Path) {
    let store = ImageStore::open(Options::new(dir.join("images"), Clock::system())).await.unwrap();
    let mut step = 0_u64;
    loop {
        let number = step % 5;
        store.import(&dir.join(format!("{number}.tar")), None).await.unwrap();
        store.remove_image(&ImageSpec::new(name((step + 2) % 5))).await.unwrap();
        if step.is_multiple_of(3) {
            store.collect_garbage([]).await.unwrap();
        }
        step += 1;
        eprintln!("step {step}");
    }
}

#[tokio::test]
async fn killed_at_any_moment() {
    let dir = directory();
    for number in 0..5 {
        let archive = sample(number).oci_archive(Some(&name(number)));
        std::fs::write(dir.path().join(format!("{number}.tar")), archive).unwrap();
    }
    let mut seen = 0;
    for round in 0..ROUNDS {
        kill_after(dir.path(), 1 + round % 4, round);
        let store = ImageStore::open(Options::new(dir.path().join("images"), Clock::system())).await.unwrap();
        for image in store.list_images(None).await.unwrap() {
            let number: u64 = image.repo_tags[0].rsplit_once(':').unwrap().1.parse().unwrap();
            assert_eq!(image.id, sample(number).id().to_string());
            let rootfs = store.rootfs(&image.id).await.unwrap();
            assert_eq!(std::fs::metadata(rootfs.layers[0].join("base")).unwrap().len(), 200_000);
            for file in 0..FILES {
                let text = std::fs::read_to_string(rootfs.layers[1].join(format!("f{file}"))).unwrap();
                assert_eq!(text, format!("{number}-{file}"));
            }
            seen += 1;
        }
        store.close().await.unwrap();
        assert!(crate::support::leftovers(&dir).is_empty(), "what was half-done is gone");
    }
    assert!(seen > 0);
}

/// Starts the child and kills it a little after it has reported `steps` steps.
fn kill_after(dir: &Path, steps: u64, round: u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--ignored", "--nocapture"])
        .env(CHILD_DIRECTORY, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let reached = lines.map_while(Result::ok).filter(|line| line.starts_with("step")).take(steps as usize).count();
    assert_eq!(reached as u64, steps, "the child works until it is killed");
    // A different place of the next step each time.
    for _ in 0..round * 40_000 {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
