//! Images for tests, built in memory.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Value, json};
use windlass_images::Digest;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A tar of files; each call adds an entry.
pub(crate) struct Layer(tar::Builder<Vec<u8>>);

#[derive(Clone, Copy)]
pub(crate) struct Attributes {
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) mtime: u64,
}

pub(crate) const PLAIN: Attributes = Attributes { mode: 0o644, uid: 0, gid: 0, mtime: 1_600_000_000 };
pub(crate) const DIR: Attributes = Attributes { mode: 0o755, ..PLAIN };

impl Layer {
    pub(crate) fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn header(kind: tar::EntryType, size: usize, attributes: Attributes) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size as u64);
        header.set_mode(attributes.mode);
        header.set_uid(attributes.uid);
        header.set_gid(attributes.gid);
        header.set_mtime(attributes.mtime);
        header
    }

    pub(crate) fn entry(mut self, kind: tar::EntryType, path: &str, data: &[u8], attributes: Attributes) -> Self {
        let mut header = Self::header(kind, data.len(), attributes);
        // The crate refuses `..` and absolute paths, which some tests are about: the name is written as it is.
        let name = path.as_bytes();
        assert!(name.len() < 100, "use a short path");
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_cksum();
        self.0.append(&header, data).unwrap();
        self
    }

    pub(crate) fn file(self, path: &str, data: &str) -> Self {
        self.entry(tar::EntryType::Regular, path, data.as_bytes(), PLAIN)
    }

    pub(crate) fn dir(self, path: &str) -> Self {
        self.entry(tar::EntryType::Directory, path, b"", DIR)
    }

    pub(crate) fn dir_with(self, path: &str, attributes: Attributes) -> Self {
        self.entry(tar::EntryType::Directory, path, b"", attributes)
    }

    pub(crate) fn link(mut self, kind: tar::EntryType, path: &str, target: &str) -> Self {
        let mut header = Self::header(kind, 0, PLAIN);
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path.as_bytes());
        old.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        self.0.append(&header, &b""[..]).unwrap();
        self
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.link(tar::EntryType::Symlink, path, target)
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Self {
        self.link(tar::EntryType::Link, path, target)
    }

    pub(crate) fn device(mut self, path: &str, major: u32, minor: u32) -> Self {
        let mut header = Self::header(tar::EntryType::Char, 0, Attributes { mode: 0o666, ..PLAIN });
        header.set_path(path).unwrap();
        header.set_device_major(major).unwrap();
        header.set_device_minor(minor).unwrap();
        header.set_cksum();
        self.0.append(&header, &b""[..]).unwrap();
        self
    }

    pub(crate) fn pax(mut self, records: &[(&str, &[u8])]) -> Self {
        self.0.append_pax_extensions(records.iter().copied()).unwrap();
        self
    }

    /// A file whose contents do not compress.
    pub(crate) fn noise(self, path: &str, bytes: usize, seed: u64) -> Self {
        let mut state = seed | 1;
        let data: Vec<u8> = std::iter::repeat_with(|| {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .flatten()
        .take(bytes)
        .collect();
        self.entry(tar::EntryType::Regular, path, &data, PLAIN)
    }

    pub(crate) fn tar(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An image: its documents and compressed layers, by digest.
#[derive(Clone, Default)]
pub(crate) struct Image {
    pub(crate) manifest: Vec<u8>,
    pub(crate) media_type: &'static str,
    pub(crate) config: Vec<u8>,
    pub(crate) layers: Vec<Vec<u8>>,
    pub(crate) tars: Vec<Vec<u8>>,
}

impl Image {
    pub(crate) fn new(layers: Vec<Layer>) -> Self {
        Self::with(layers, json!({"User": "65534:1", "Entrypoint": ["/run"], "Env": ["A=b"]}), gzip)
    }

    pub(crate) fn with(layers: Vec<Layer>, config: Value, compress: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        let tars: Vec<Vec<u8>> = layers.into_iter().map(Layer::tar).collect();
        let layers: Vec<Vec<u8>> = tars.iter().map(|tar| compress(tar)).collect();
        let config = json!({
            "architecture": if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" },
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": tars.iter().map(|tar| Digest::of(tar)).collect::<Vec<_>>()},
        });
        let config = serde_json::to_vec(&config).unwrap();
        let describe =
            |bytes: &Vec<u8>, kind: &str| json!({"mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len()});
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": describe(&config, "application/vnd.oci.image.config.v1+json"),
            "layers": layers.iter().map(|l| describe(l, "application/vnd.oci.image.layer.v1.tar+gzip")).collect::<Vec<_>>(),
        });
        Self { manifest: serde_json::to_vec(&manifest).unwrap(), media_type: MANIFEST, config, layers, tars }
    }

    /// The same with Docker's media types.
    pub(crate) fn docker(mut self) -> Self {
        let text = String::from_utf8(self.manifest).unwrap();
        let text = text
            .replace(MANIFEST, DOCKER_MANIFEST)
            .replace("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
            .replace(
                "application/vnd.oci.image.layer.v1.tar+gzip",
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
            );
        self.manifest = text.into_bytes();
        self.media_type = DOCKER_MANIFEST;
        self
    }

    pub(crate) fn id(&self) -> Digest {
        Digest::of(&self.config)
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    /// Configuration and layers.
    pub(crate) fn blobs(&self) -> BTreeMap<Digest, Vec<u8>> {
        std::iter::once(&self.config).chain(&self.layers).map(|bytes| (Digest::of(bytes), bytes.clone())).collect()
    }

    /// An index entry for a platform.
    pub(crate) fn entry(&self, architecture: &str) -> Value {
        json!({
            "mediaType": self.media_type,
            "digest": self.digest(),
            "size": self.manifest.len(),
            "platform": {"architecture": architecture, "os": "linux"},
        })
    }

    /// An OCI layout in a tar, named by containerd's annotation.
    pub(crate) fn oci_archive(&self, name: Option<&str>) -> Vec<u8> {
        let mut entry = self.entry(if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" });
        if let Some(name) = name {
            entry["annotations"] = json!({"io.containerd.image.name": name});
        }
        oci_archive(&json!({"schemaVersion": 2, "manifests": [entry]}), &[self])
    }
}

/// A tar of an OCI layout with this index, the index last as tools write it.
pub(crate) fn oci_archive(index: &Value, images: &[&Image]) -> Vec<u8> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for image in images {
        let blobs = image.blobs().into_iter().chain([(image.digest(), image.manifest.clone())]);
        files.extend(blobs.map(|(digest, bytes)| (format!("blobs/sha256/{}", digest.hex()), bytes)));
    }
    let mut files: Vec<(String, Vec<u8>)> = files.into_iter().collect();
    files.push(("index.json".into(), serde_json::to_vec(index).unwrap()));
    files.push(("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
    archive(&files)
}

pub(crate) fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, &bytes[..]).unwrap();
    }
    builder.into_inner().unwrap()
}
