//! What the store knows: images by ID, their names, and the layers that are unpacked.
//!
//! Pure bookkeeping. The file that holds it is the only proof that a layer is complete: a directory that the index does not
//! list is a leftover. A layer whose contents have not been forced to disk yet counts only for as long as the machine has
//! not been restarted (`synced` and the boot's ID), for a crash of our process loses nothing that the kernel has.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsString;

use serde::{Deserialize, Serialize};
use windlass_cri::ImageRunConfig;

use crate::digest::Digest;
use crate::reference::{Object, Reference, ReferenceError};

const VERSION: u32 = 1;
/// Shorter prefixes of IDs are taken for names alone.
const ID_PREFIX_CHARS_MIN: usize = 4;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Index {
    version: u32,
    /// Grows with every change.
    pub(crate) generation: u64,
    /// Of the kernel that ran when this was written.
    pub(crate) boot_id: String,
    images: BTreeMap<Digest, ImageRecord>,
    layers: BTreeMap<Digest, LayerRecord>,
    /// Every name of every image; follows from `images`.
    #[serde(skip)]
    names: HashMap<String, Digest>,
}

/// An image, by its ID (the digest of its configuration).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ImageRecord {
    /// `domain/path:tag`
    pub(crate) tags: BTreeSet<String>,
    /// `domain/path@sha256:…`
    pub(crate) digests: BTreeSet<String>,
    /// Manifests and indexes that lead to this image.
    pub(crate) targets: BTreeSet<Digest>,
    /// Keys of layers, the lowest first, fixups included.
    pub(crate) layers: Vec<Digest>,
    /// Documents in the blob store.
    pub(crate) blobs: BTreeSet<Digest>,
    pub(crate) size_bytes: u64,
    pub(crate) run: RunRecord,
}

/// [`ImageRunConfig`] as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RunRecord {
    user: String,
    env: Vec<String>,
    entrypoint: Vec<String>,
    cmd: Vec<String>,
    working_dir: String,
    stop_signal: String,
    volumes: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LayerRecord {
    pub(crate) bytes: u64,
    pub(crate) inodes: u64,
    /// Directories whose attributes the layers below decide.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) implied: BTreeSet<OsString>,
    /// The contents are on disk.
    pub(crate) synced: bool,
}

impl From<ImageRunConfig> for RunRecord {
    fn from(config: ImageRunConfig) -> Self {
        let ImageRunConfig { user, env, entrypoint, cmd, working_dir, stop_signal, volumes } = config;
        Self { user, env, entrypoint, cmd, working_dir, stop_signal, volumes }
    }
}

impl From<RunRecord> for ImageRunConfig {
    fn from(record: RunRecord) -> Self {
        let RunRecord { user, env, entrypoint, cmd, working_dir, stop_signal, volumes } = record;
        Self { user, env, entrypoint, cmd, working_dir, stop_signal, volumes }
    }
}

impl ImageRecord {
    /// The user as number or as name.
    pub(crate) fn user(&self) -> (Option<i64>, String) {
        let user = self.run.user.split(':').next().unwrap_or_default();
        match user.parse() {
            Ok(uid) => (Some(uid), String::new()),
            Err(_) => (None, user.to_owned()),
        }
    }

    /// What a container's status shows as its image: a digest, of the repository that was asked for if possible.
    pub(crate) fn image_ref(&self, id: &Digest, asked: Option<&Reference>) -> String {
        let of_repository = asked.and_then(|reference| {
            let prefix = format!("{}@", reference.repository());
            self.digests.iter().find(|digest| digest.starts_with(&prefix))
        });
        of_repository.or_else(|| self.digests.first()).cloned().unwrap_or_else(|| id.to_string())
    }
}

impl Index {
    pub(crate) fn new(boot_id: String) -> Self {
        Self {
            version: VERSION,
            generation: 0,
            boot_id,
            images: BTreeMap::new(),
            layers: BTreeMap::new(),
            names: HashMap::new(),
        }
    }

    /// `None` for what is damaged or from another version.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut index: Self = serde_json::from_slice(bytes).ok()?;
        if index.version != VERSION {
            return None;
        }
        for (id, record) in &index.images {
            for name in record.tags.iter().chain(&record.digests) {
                index.names.insert(name.clone(), id.clone());
            }
        }
        Some(index)
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("records have string keys and no failing serializers")
    }

    /// Forgets what cannot be trusted: layers that are gone, or that a restart of the machine may have damaged, and the
    /// images made of them. Returns the layers that must not be used and the IDs of the images lost.
    pub(crate) fn adopt(&mut self, boot_id: &str, exists: impl Fn(&Digest) -> bool) -> (Vec<Digest>, Vec<Digest>) {
        let same_boot = self.boot_id == boot_id;
        let mut distrusted = Vec::new();
        self.layers.retain(|key, layer| {
            let trusted = (layer.synced || same_boot) && exists(key);
            if !trusted {
                distrusted.push(key.clone());
            }
            trusted
        });
        let layers = &self.layers;
        let incomplete = |record: &ImageRecord| record.layers.iter().any(|key| !layers.contains_key(key));
        let lost: Vec<Digest> =
            self.images.iter().filter(|(_, record)| incomplete(record)).map(|(id, _)| id.clone()).collect();
        for id in &lost {
            self.remove_image(id);
        }
        boot_id.clone_into(&mut self.boot_id);
        (distrusted, lost)
    }

    pub(crate) fn images(&self) -> impl Iterator<Item = (&Digest, &ImageRecord)> {
        self.images.iter()
    }

    pub(crate) fn image(&self, id: &Digest) -> Option<&ImageRecord> {
        self.images.get(id)
    }

    /// The image that a manifest or index of this digest leads to.
    pub(crate) fn by_target(&self, target: &Digest) -> Option<&Digest> {
        self.images.iter().find(|(_, record)| record.targets.contains(target)).map(|(id, _)| id)
    }

    /// Finds an image by ID, reference, or an unambiguous beginning of its ID.
    pub(crate) fn find(&self, text: &str) -> Result<Option<Digest>, ReferenceError> {
        if let Ok(id) = text.parse::<Digest>() {
            return Ok(self.images.contains_key(&id).then_some(id));
        }
        match text.parse::<Reference>() {
            Ok(reference) => Ok(self.names.get(&reference.to_string()).cloned().or_else(|| self.find_by_prefix(text))),
            Err(ReferenceError::Identifier(_)) => Ok(self.find_by_prefix(text)),
            Err(error) => self.find_by_prefix(text).map(Some).ok_or(error),
        }
    }

    fn find_by_prefix(&self, text: &str) -> Option<Digest> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if hex.len() < ID_PREFIX_CHARS_MIN || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let mut matching = self.images.keys().filter(|id| id.hex().starts_with(hex));
        match (matching.next(), matching.next()) {
            (Some(id), None) => Some(id.clone()),
            _ => None,
        }
    }

    /// Adds an image, or what is new about one that is there.
    pub(crate) fn add_image(&mut self, id: &Digest, record: ImageRecord) {
        for name in record.tags.iter().chain(&record.digests) {
            self.take_name(name);
            self.names.insert(name.clone(), id.clone());
        }
        match self.images.get_mut(id) {
            None => {
                self.images.insert(id.clone(), record);
            }
            Some(known) => {
                known.tags.extend(record.tags);
                known.digests.extend(record.digests);
                known.targets.extend(record.targets);
                known.blobs.extend(record.blobs);
            }
        }
        self.generation += 1;
    }

    /// Gives an image that is there one more name: the reference, and its digest in the same repository.
    pub(crate) fn add_name(&mut self, id: &Digest, reference: &Reference, target: &Digest) {
        let mut record = ImageRecord { targets: [target.clone()].into(), ..ImageRecord::default() };
        record.name(reference, target);
        self.add_image(id, record);
    }

    /// Takes a name away from whichever image has it.
    fn take_name(&mut self, name: &str) {
        if let Some(owner) = self.names.remove(name)
            && let Some(record) = self.images.get_mut(&owner)
        {
            record.tags.remove(name);
            record.digests.remove(name);
        }
    }

    /// Removes what `text` names: an ID the whole image, a tag that tag, a digest all names of its repository; an image
    /// without tags and digests goes with its last name. `false` when there was nothing.
    pub(crate) fn remove(&mut self, text: &str) -> Result<bool, ReferenceError> {
        let Some(id) = self.find(text)? else { return Ok(false) };
        let reference = text.parse::<Reference>().ok().filter(|r| self.names.contains_key(&r.to_string()));
        match reference {
            // An ID, or the beginning of one.
            None => self.remove_image(&id),
            Some(reference) => {
                self.take_name(&reference.to_string());
                self.take_rest_of_repository(&id, &reference);
                if self.images.get(&id).is_some_and(|record| record.tags.is_empty() && record.digests.is_empty()) {
                    self.remove_image(&id);
                }
            }
        }
        self.generation += 1;
        Ok(true)
    }

    /// A repository's digest stays as long as one of its tags does, and the other way round.
    fn take_rest_of_repository(&mut self, id: &Digest, reference: &Reference) {
        let Some(record) = self.images.get(id) else { return };
        let by_digest = matches!(reference.object(), Object::Digest(_));
        let (tag_prefix, digest_prefix) =
            (format!("{}:", reference.repository()), format!("{}@", reference.repository()));
        let tags: Vec<String> = record.tags.iter().filter(|tag| tag.starts_with(&tag_prefix)).cloned().collect();
        if by_digest {
            tags.iter().for_each(|tag| self.take_name(tag));
        } else if tags.is_empty() {
            let digests: Vec<String> =
                record.digests.iter().filter(|digest| digest.starts_with(&digest_prefix)).cloned().collect();
            digests.iter().for_each(|digest| self.take_name(digest));
        }
    }

    fn remove_image(&mut self, id: &Digest) {
        if let Some(record) = self.images.remove(id) {
            for name in record.tags.iter().chain(&record.digests) {
                self.names.remove(name);
            }
            self.generation += 1;
        }
    }

    pub(crate) fn layer(&self, key: &Digest) -> Option<&LayerRecord> {
        self.layers.get(key)
    }

    pub(crate) fn layers(&self) -> impl Iterator<Item = (&Digest, &LayerRecord)> {
        self.layers.iter()
    }

    pub(crate) fn add_layer(&mut self, key: Digest, record: LayerRecord) {
        self.layers.insert(key, record);
        self.generation += 1;
    }

    pub(crate) fn remove_layer(&mut self, key: &Digest) {
        self.layers.remove(key);
        self.generation += 1;
    }

    /// Layers whose contents are not known to be on disk.
    pub(crate) fn unsynced(&self) -> Vec<Digest> {
        self.layers.iter().filter(|(_, layer)| !layer.synced).map(|(key, _)| key.clone()).collect()
    }

    pub(crate) fn mark_synced(&mut self, keys: &[Digest]) {
        for key in keys {
            if let Some(layer) = self.layers.get_mut(key) {
                layer.synced = true;
            }
        }
        self.generation += 1;
    }

    /// Layers that no image has.
    pub(crate) fn unreferenced_layers(&self) -> Vec<Digest> {
        let used: HashSet<&Digest> = self.images.values().flat_map(|record| &record.layers).collect();
        self.layers.keys().filter(|key| !used.contains(key)).cloned().collect()
    }

    /// Every document that an image has.
    pub(crate) fn blobs(&self) -> HashSet<Digest> {
        self.images.values().flat_map(|record| record.blobs.iter().cloned()).collect()
    }
}

impl ImageRecord {
    /// Names for an image that `reference` led to through the manifest or index `target`.
    pub(crate) fn name(&mut self, reference: &Reference, target: &Digest) {
        if reference.tag().is_some() {
            self.tags.insert(reference.to_string());
        }
        self.digests.insert(reference.with_digest(target.clone()).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: u8) -> Digest {
        Digest::of(&[n])
    }

    fn index(names: &[(u8, &[&str])]) -> Index {
        let mut index = Index::new("boot".into());
        for (image, references) in names {
            let mut record = ImageRecord { layers: vec![digest(200), digest(100 + image)], ..ImageRecord::default() };
            for reference in *references {
                record.name(&reference.parse().unwrap(), &digest(*image));
            }
            for layer in &record.layers {
                index.add_layer(layer.clone(), LayerRecord { synced: true, ..LayerRecord::default() });
            }
            index.add_image(&digest(*image), record);
        }
        index
    }

    fn names(index: &Index, image: u8) -> Option<Vec<String>> {
        let record = index.image(&digest(image))?;
        let short = |name: &String| name.replace("docker.io/library/", "").replace(digest(image).as_str(), "D");
        Some(record.tags.iter().chain(&record.digests).map(short).collect())
    }

    #[test]
    fn found_by_name_id_and_prefix() {
        let index = index(&[(1, &["nginx:1.27"]), (2, &["quay.io/x/y"])]);
        let one = digest(1);
        let found = |text: &str| index.find(text).ok().flatten();
        for text in ["nginx:1.27", "docker.io/library/nginx:1.27", one.as_str(), one.hex(), &one.hex()[..12]] {
            assert_eq!(found(text), Some(one.clone()), "{text}");
        }
        assert_eq!(found(&format!("nginx@{one}")), Some(one.clone()));
        assert_eq!(found(&format!("nginx:other@{one}")), Some(one.clone()), "the digest decides");
        assert_eq!(found(&format!("quay.io/x/y@{one}")), None, "another repository");
        assert_eq!(found("nginx"), None);
        assert_eq!(found(&one.hex()[..3]), None);
        assert_eq!(index.find("UPPER case"), Err(ReferenceError::Uppercase("UPPER case".into())));
    }

    #[test]
    fn a_tag_moves_to_the_newer_image() {
        let mut index = index(&[(1, &["nginx:latest", "nginx:1.26"])]);
        let newer = ImageRecord { layers: vec![digest(200)], ..ImageRecord::default() };
        index.add_image(&digest(2), newer);
        index.add_name(&digest(2), &"nginx".parse().unwrap(), &digest(2));
        assert_eq!(names(&index, 1).unwrap(), ["nginx:1.26", "nginx@D"]);
        assert_eq!(names(&index, 2).unwrap(), ["nginx:latest", "nginx@D"]);
        assert_eq!(index.by_target(&digest(2)), Some(&digest(2)));
    }

    #[test]
    fn removing() {
        let all: &[(u8, &[&str])] = &[(1, &["a:1", "a:2", "b:1"])];
        let after = |text: &str| {
            let mut index = index(all);
            assert_eq!(index.remove(text), Ok(true), "{text}");
            names(&index, 1)
        };
        assert_eq!(after("a:1").unwrap(), ["a:2", "b:1", "a@D", "b@D"]);
        assert_eq!(after("b:1").unwrap(), ["a:1", "a:2", "a@D"]);
        assert_eq!(after(&format!("a@{}", digest(1))).unwrap(), ["b:1", "b@D"]);
        assert_eq!(after(digest(1).as_str()), None);
        assert_eq!(after(&digest(1).hex()[..10]), None);

        let mut index = index(all);
        for tag in ["a:1", "a:2", "b:1"] {
            assert_eq!(index.remove(tag), Ok(true));
        }
        assert_eq!(names(&index, 1), None, "the last name takes the image along");
        assert_eq!(index.remove("a:1"), Ok(false));
        assert_eq!(index.unreferenced_layers().len(), 2);
    }

    #[test]
    fn survives_being_written() {
        let mut before = index(&[(1, &["a:1"])]);
        let implied = LayerRecord { implied: [OsString::from("tmp")].into(), ..LayerRecord::default() };
        before.add_layer(digest(9), implied.clone());
        let after = Index::parse(&before.to_json()).unwrap();
        assert_eq!(after.find("a:1"), before.find("a:1"));
        assert_eq!(after.layer(&digest(9)), Some(&implied));
        assert_eq!(after.generation, before.generation);
        assert!(Index::parse(b"").is_none());
        let other = String::from_utf8(before.to_json()).unwrap().replace("\"version\":1", "\"version\":2");
        assert!(Index::parse(other.as_bytes()).is_none());
    }

    #[test]
    fn what_a_restart_makes_doubtful_is_forgotten() {
        let build = || {
            let mut index = index(&[(1, &["a:1"]), (2, &["b:1"])]);
            index.add_layer(digest(101), LayerRecord::default());
            index
        };
        let mut same = build();
        assert_eq!(same.adopt("boot", |_| true), (vec![], vec![]));
        let mut restarted = build();
        assert_eq!(restarted.adopt("other", |_| true), (vec![digest(101)], vec![digest(1)]));
        assert_eq!((restarted.find("a:1").unwrap(), restarted.boot_id.as_str()), (None, "other"));
        assert!(restarted.find("b:1").unwrap().is_some());
        let mut gone = build();
        assert_eq!(gone.adopt("boot", |key| *key != digest(102)), (vec![digest(102)], vec![digest(2)]));
    }

    #[test]
    fn the_user_and_the_reference_shown() {
        let user = |text: &str| {
            let run = RunRecord { user: text.into(), ..RunRecord::default() };
            ImageRecord { run, ..ImageRecord::default() }.user()
        };
        assert_eq!(user("1000:50"), (Some(1000), String::new()));
        assert_eq!(user("nginx:nginx"), (None, "nginx".into()));
        assert_eq!(user(""), (None, String::new()));

        let mut record = ImageRecord::default();
        assert_eq!(record.image_ref(&digest(1), None), digest(1).to_string());
        record.name(&"a:1".parse().unwrap(), &digest(3));
        record.name(&"b:1".parse().unwrap(), &digest(3));
        let b = "b:1".parse().unwrap();
        assert_eq!(record.image_ref(&digest(1), Some(&b)), format!("docker.io/library/b@{}", digest(3)));
        assert_eq!(record.image_ref(&digest(1), None), format!("docker.io/library/a@{}", digest(3)));
    }
}
