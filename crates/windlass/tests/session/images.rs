//! Images for the session: busybox with a web server that says which pod it is.

use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest, Sha256};

const BUSYBOX: &str = "/bin/busybox";
const TOOLS: [&str; 14] =
    ["sh", "cat", "echo", "env", "head", "hostname", "httpd", "id", "kill", "ls", "mkdir", "sleep", "tar", "wget"];

/// An archive with the image `nginx:VERSION`, as `docker save` writes them.
pub(crate) fn web(version: &str, directory: &Path) -> PathBuf {
    let layer = layer();
    let start =
        "mkdir -p /www; hostname >/www/index.html; echo \"version $VERSION is up\"; exec httpd -f -p 80 -h /www";
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {"Env": ["PATH=/bin", format!("VERSION={version}")], "Cmd": ["/bin/sh", "-c", start]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{:x}", Sha256::digest(&layer))]},
    });
    let manifest = json!([{
        "Config": "config.json", "RepoTags": [format!("docker.io/library/nginx:{version}")], "Layers": ["layer.tar"]}]);
    let mut archive = tar::Builder::new(Vec::new());
    add(&mut archive, "config.json", 0o644, config.to_string().as_bytes());
    add(&mut archive, "layer.tar", 0o644, &layer);
    add(&mut archive, "manifest.json", 0o644, manifest.to_string().as_bytes());
    let path = directory.join(format!("nginx-{version}.tar"));
    std::fs::write(&path, archive.into_inner().unwrap()).unwrap();
    path
}

fn layer() -> Vec<u8> {
    let busybox = std::fs::read(BUSYBOX).expect("/bin/busybox: install Debian's busybox-static");
    let mut layer = tar::Builder::new(Vec::new());
    for directory in ["bin/", "etc/", "tmp/"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(if directory == "tmp/" { 0o1777 } else { 0o755 });
        header.set_size(0);
        layer.append_data(&mut header, directory, std::io::empty()).unwrap();
    }
    add(&mut layer, "bin/busybox", 0o755, &busybox);
    for tool in TOOLS {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        layer.append_link(&mut header, format!("bin/{tool}"), "busybox").unwrap();
    }
    layer.into_inner().unwrap()
}

fn add(archive: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, path, content).unwrap();
}
