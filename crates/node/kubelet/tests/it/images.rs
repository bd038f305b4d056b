//! Images of the tests: one, made of busybox, under several names; and a pod network that gives addresses and connects nobody.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use windlass_cri::{
    AuthConfig, Error, FilesystemUsage, Image, ImageRootfs, ImageRunConfig, ImageService, ImageSource, ImageSpec,
    NetworkRequest, PodNetwork, ProgressSink, Result,
};

const BUSYBOX: &str = "/bin/busybox";
const APPLETS: &str = "sh cat echo id ls mkdir sleep true false touch kill hostname date chmod ps nc test head tail env pwd \
                       wc grep ip rm wget sed find httpd trap stat nslookup printenv";
const ID: &str = "sha256:5b0bcabd1ed22e9fb1310cf6c2dec7cdef19f0ad69efa1f392e94a4333501270";

/// `busybox` is there from the start, `remote` after it was pulled; any other image cannot be pulled.
pub(crate) struct Images {
    directory: PathBuf,
    pulled: std::sync::atomic::AtomicBool,
}

impl Images {
    pub(crate) fn build(directory: &Path) -> Self {
        assert!(
            Path::new(BUSYBOX).exists(),
            "{BUSYBOX} is missing: install the package busybox-static, from which the test's image is built"
        );
        let root = directory.join("root");
        for path in ["bin", "etc", "proc", "sys", "dev", "root", "data"] {
            std::fs::create_dir_all(root.join(path)).unwrap();
        }
        std::fs::create_dir_all(root.join("tmp")).unwrap();
        std::fs::set_permissions(root.join("tmp"), std::fs::Permissions::from_mode(0o1777)).unwrap();
        std::fs::copy(BUSYBOX, root.join("bin/busybox")).unwrap();
        for applet in APPLETS.split_whitespace() {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        std::fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001::/:/bin/sh\n").unwrap();
        std::fs::write(root.join("etc/group"), "root:x:0:\nweb:x:1001:\n").unwrap();
        Self { directory: directory.to_owned(), pulled: false.into() }
    }

    fn image() -> Image {
        Image {
            id: ID.to_owned(),
            repo_tags: vec!["test.invalid/busybox:1".to_owned()],
            repo_digests: vec![format!("test.invalid/busybox@{ID}")],
            size_bytes: 1_000_000,
            uid: Some(0),
            ..Image::default()
        }
    }

    fn has(&self, image: &str) -> bool {
        image == ID
            || image.starts_with("test.invalid/busybox")
            || (image.starts_with("test.invalid/remote") && self.pulled.load(std::sync::atomic::Ordering::SeqCst))
    }
}

#[async_trait]
impl ImageService for Images {
    async fn list_images(&self, _filter: Option<&ImageSpec>) -> Result<Vec<Image>> {
        Ok(vec![Self::image()])
    }

    async fn image_status(&self, image: &ImageSpec) -> Result<Option<Image>> {
        Ok(self.has(&image.image).then(Self::image))
    }

    async fn pull_image(
        &self,
        image: &ImageSpec,
        _auth: Option<AuthConfig>,
        _progress: Option<ProgressSink>,
    ) -> Result<String> {
        if !image.image.starts_with("test.invalid/remote") && !self.has(&image.image) {
            return Err(Error::not_found(format!("image {:?}", image.image)));
        }
        self.pulled.store(true, std::sync::atomic::Ordering::SeqCst);
        Ok(ID.to_owned())
    }

    async fn remove_image(&self, _image: &ImageSpec) -> Result<()> {
        Ok(())
    }

    async fn image_fs_info(&self) -> Result<Vec<FilesystemUsage>> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl ImageSource for Images {
    async fn rootfs(&self, image: &str) -> Result<ImageRootfs> {
        if !self.has(image) {
            return Err(Error::not_found(format_args!("image {image:?}")));
        }
        Ok(ImageRootfs {
            id: ID.to_owned(),
            image_ref: format!("test.invalid/busybox@{ID}"),
            layers: vec![self.directory.join("root")],
            config: ImageRunConfig {
                env: vec!["PATH=/bin".to_owned()],
                cmd: vec!["/bin/sh".to_owned()],
                ..ImageRunConfig::default()
            },
        })
    }
}

pub(crate) struct NoNetwork;

#[async_trait]
impl PodNetwork for NoNetwork {
    async fn setup(&self, _request: &NetworkRequest) -> Result<Vec<IpAddr>> {
        Ok(vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))])
    }

    async fn teardown(&self, _request: &NetworkRequest) -> Result<()> {
        Ok(())
    }

    async fn ready(&self) -> Result<()> {
        Ok(())
    }
}
