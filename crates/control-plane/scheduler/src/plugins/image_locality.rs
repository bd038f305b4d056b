//! ImageLocality: better a node that has the pod's images already, the more so the larger they are.
//!
//! An image that is on few nodes counts less, so that these few do not get every pod.

use crate::cache::{Cluster, NodeId, NodeInfo};
use crate::framework::{MAX_SCORE, Plugin, PreScore, Score};
use crate::object::Pod;

const MEBIBYTE: i64 = 1024 * 1024;
/// Below this an image is pulled quickly enough.
const MIN_BYTES: i64 = 23 * MEBIBYTE;
/// For each image, what is above this counts no more.
const MAX_BYTES: i64 = 1000 * MEBIBYTE;

pub(super) struct ImageLocality;

impl Plugin for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }
}

impl PreScore for ImageLocality {
    fn weight(&self) -> i64 {
        1
    }

    fn pre_score<'a>(
        &'a self,
        cluster: &'a Cluster,
        pod: &'a Pod,
        _feasible: &[NodeId],
    ) -> Option<Box<dyn Score + 'a>> {
        let images: Vec<(&str, f64)> = pod
            .wishes()
            .images
            .iter()
            .map(|image| (image.as_str(), f64::from(cluster.image_spread(image)) / cluster.node_count() as f64))
            .collect();
        // Where no node has any of them, every node scores nothing.
        images.iter().any(|(_, spread)| *spread > 0.0).then(|| Box::new(Locality(images)) as _)
    }
}

/// Images, and the share of the nodes that have them.
struct Locality<'a>(Vec<(&'a str, f64)>);

impl Score for Locality<'_> {
    fn score(&self, node: &NodeInfo) -> i64 {
        let scaled = |(image, spread): &(&str, f64)| {
            node.node.images.get(*image).map_or(0, |bytes| (*bytes as f64 * spread) as i64)
        };
        score(self.0.iter().map(scaled).sum(), self.0.len())
    }
}

fn score(bytes: i64, images: usize) -> i64 {
    let most = MAX_BYTES.saturating_mul(i64::try_from(images).unwrap_or(1).max(1));
    MAX_SCORE * (bytes.clamp(MIN_BYTES, most) - MIN_BYTES) / (most - MIN_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_images_count() {
        for (mebibytes, images, expected) in [(0, 1, 0), (23, 1, 0), (1000, 1, 100), (5000, 1, 100), (1000, 2, 49)] {
            assert_eq!(score(mebibytes * MEBIBYTE, images), expected);
        }
    }
}
