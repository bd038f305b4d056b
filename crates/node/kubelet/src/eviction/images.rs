//! Removing images that nobody uses, before they fill the disk. The choice is pure.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use windlass_cri::{Container, ContainerFilter, Image, ImageSpec};

use crate::shared::Shared;

/// When images were first seen and last used.
#[derive(Debug, Default)]
pub(super) struct Ages {
    known: HashMap<String, (Timestamp, Timestamp)>,
}

fn is_used(image: &Image, containers: &[Container]) -> bool {
    containers.iter().any(|container| {
        container.image.image == image.id
            || container.image_ref == image.id
            || image.repo_digests.contains(&container.image_ref)
            || image.repo_tags.contains(&container.image.image)
    })
}

impl Ages {
    /// Unused images that are old enough, the longest unused first.
    fn unused(&mut self, images: &[Image], containers: &[Container], now: Timestamp, age: Duration) -> Vec<Image> {
        let present: HashSet<&str> = images.iter().map(|image| image.id.as_str()).collect();
        self.known.retain(|id, _| present.contains(id.as_str()));
        let mut unused = Vec::new();
        for image in images {
            let (first_seen, last_used) = self.known.entry(image.id.clone()).or_insert((now, Timestamp::UNIX_EPOCH));
            if is_used(image, containers) {
                *last_used = now;
                continue;
            }
            let known_for = Duration::try_from(now.duration_since(*first_seen)).unwrap_or_default();
            if !image.pinned && known_for >= age {
                unused.push((*last_used, *first_seen, image.clone()));
            }
        }
        unused.sort_by_key(|(last_used, first_seen, _)| (*last_used, *first_seen));
        unused.into_iter().map(|(_, _, image)| image).collect()
    }
}

/// Removes unused images until `bytes` are won, or all of them; returns how much that was.
pub(super) async fn free(shared: &Shared, ages: &mut Ages, bytes: Option<u64>, age: Duration) -> u64 {
    let (images, containers) = tokio::join!(
        shared.image_service.list_images(None),
        shared.runtime.list_containers(ContainerFilter::default())
    );
    let (Ok(images), Ok(containers)) = (images, containers) else { return 0 };
    let mut won = 0;
    for image in ages.unused(&images, &containers, shared.clock.now(), age) {
        if bytes.is_some_and(|bytes| won >= bytes) {
            break;
        }
        match shared.image_service.remove_image(&ImageSpec::new(&image.id)).await {
            Ok(()) => {
                tracing::info!(image = image.id, bytes = image.size_bytes, "removed an unused image");
                won += image.size_bytes;
            }
            Err(error) => tracing::warn!(image = image.id, %error, "an unused image cannot be removed"),
        }
    }
    won
}

/// Looks whether images take too much of their disk, and removes what is needed. Returns a sentence when that was not enough.
pub(super) async fn keep_in_bounds(shared: &Shared, ages: &mut Ages) -> Option<String> {
    let options = &shared.options.image_gc;
    let directory = options.directory.clone();
    let disk = tokio::task::spawn_blocking(move || windlass_tree::file_system(&directory)).await.ok()?.ok()?;
    let (used, usable) = (disk.used_bytes, disk.used_bytes + disk.available_bytes);
    let percent = (used * 100).checked_div(usable)?;
    if percent < options.high_threshold_percent {
        // Ages are kept up to date all the same.
        free(shared, ages, Some(0), options.minimum_age).await;
        return None;
    }
    let wanted = used.saturating_sub(usable * options.low_threshold_percent / 100);
    tracing::info!(percent, bytes = wanted, "disk usage on the image filesystem is over the high threshold");
    let won = free(shared, ages, Some(wanted), options.minimum_age).await;
    (won < wanted).then(|| {
        format!("Failed to garbage collect required amount of images. Attempted to free {wanted} bytes, but only found {won} bytes eligible to free.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_goes_first() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let image = |id: &str, pinned| Image { id: id.to_owned(), pinned, ..Image::default() };
        let images = [image("a", false), image("b", false), image("pinned", true)];
        let container = Container {
            id: String::new(),
            sandbox_id: String::new(),
            metadata: windlass_cri::ContainerMetadata::default(),
            image: ImageSpec::new("a"),
            image_ref: String::new(),
            state: windlass_cri::ContainerState::Running,
            created_at: 0,
            labels: Default::default(),
            annotations: Default::default(),
        };
        let age = Duration::from_secs(120);
        let mut ages = Ages::default();
        let ids = |images: Vec<Image>| images.into_iter().map(|image| image.id).collect::<Vec<_>>();
        assert!(ages.unused(&images, std::slice::from_ref(&container), at(0), age).is_empty());
        assert_eq!(ids(ages.unused(&images, &[container], at(200), age)), ["b"]);
        assert_eq!(ids(ages.unused(&images, &[], at(400), age)), ["b", "a"]);
    }
}
