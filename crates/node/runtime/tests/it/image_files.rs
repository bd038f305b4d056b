//! Builds the test's images: busybox and a few files, in two layers.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

const BUSYBOX: &str = "/bin/busybox";
const APPLETS: &str = "sh cat echo id ls mkdir sleep true false touch mount umount kill stty hostname date chmod ps nc test \
                       head tail dd env pwd sync setsid wc grep ip chroot mknod su stat trap yes tr printf seq rm wget unshare chown cut sed find";

/// Builds `busybox` (two layers), `volume` (a single layer for image volumes) and `user` (runs as `web`).
pub(crate) fn build(directory: &Path) {
    assert!(
        Path::new(BUSYBOX).exists(),
        "{BUSYBOX} is missing: install the package busybox-static, from which the test's image is built"
    );
    let base = directory.join("base");
    for path in ["bin", "etc", "proc", "sys", "dev", "root", "srv/web", "data"] {
        std::fs::create_dir_all(base.join(path)).unwrap();
    }
    std::fs::create_dir(base.join("tmp")).unwrap();
    std::fs::set_permissions(base.join("tmp"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    std::fs::copy(BUSYBOX, base.join("bin/busybox")).unwrap();
    for applet in APPLETS.split_whitespace() {
        symlink("busybox", base.join("bin").join(applet)).unwrap();
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001:Web:/srv/web:/bin/sh\n";
    std::fs::write(base.join("etc/passwd"), passwd).unwrap();
    std::fs::write(base.join("etc/group"), "root:x:0:\nweb:x:1001:\nstaff:x:50:web\n").unwrap();
    std::fs::write(base.join("data/base"), "from the base\n").unwrap();
    std::fs::write(base.join("etc/replaced"), "lower\n").unwrap();

    let top = directory.join("top");
    std::fs::create_dir_all(top.join("etc")).unwrap();
    std::fs::write(top.join("etc/replaced"), "upper\n").unwrap();
    std::fs::write(top.join("not-executable"), "text").unwrap();

    for number in 0..crate::images::MANY {
        let layer = directory.join(format!("many-{number}"));
        std::fs::create_dir_all(layer.join("many")).unwrap();
        std::fs::write(layer.join("many").join(number.to_string()), "").unwrap();
        std::fs::write(layer.join("many/last"), format!("{number}\n")).unwrap();
    }

    let volume = directory.join("volume-layer");
    std::fs::create_dir_all(volume.join("sub/deep")).unwrap();
    std::fs::write(volume.join("file"), "whole\n").unwrap();
    std::fs::write(volume.join("sub/file"), "part\n").unwrap();
}
