//! What a container sees mounted, in which order.
//!
//! First the kernel's file systems and /dev, then the sandbox's files and what the kubelet asks for, parents before children.
//! Where the kubelet mounts something of its own to one of these places, the place is left to it.

use std::path::{Path, PathBuf};

use windlass_cri::{Mount, MountPropagation as Propagation};

use crate::launch::spec::{MountAttributes, MountPlan, MountPropagation, MountSource};
use crate::sys::path::normal;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MountError {
    #[error("the mount to {0:?} has no absolute path in the container")]
    Relative(String),
    #[error("recursive read-only mount conflicts with RW mount (hostPath=\"{0}\")")]
    RecursiveButWritable(String),
    #[error("recursive read-only mount needs private propagation (hostPath=\"{0}\")")]
    RecursiveButPropagated(String),
    #[error("the mount to {0:?} has neither a path of the node nor an image")]
    NoSource(String),
}

/// What decides about mounts besides the kubelet's list.
#[derive(Clone, Debug, Default)]
pub(crate) struct MountContext {
    pub(crate) privileged: bool,
    pub(crate) readonly_root: bool,
    pub(crate) user_namespace: bool,
    pub(crate) node_network: bool,
    pub(crate) cgroup: CgroupView,
    /// The sandbox's /dev/shm, or the node's.
    pub(crate) shm: PathBuf,
    pub(crate) hostname_file: PathBuf,
    pub(crate) resolv_conf: PathBuf,
}

/// How a container sees its cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum CgroupView {
    /// The container's directory of each hierarchy of v1, with the hierarchy's name and its controllers.
    V1(Vec<(PathBuf, String, Vec<String>)>),
    /// A cgroup namespace.
    #[default]
    V2Own,
    /// The whole hierarchy, mounted here.
    V2Whole(PathBuf),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mounts {
    pub(crate) list: Vec<MountPlan>,
    /// Symbolic links: path and target.
    pub(crate) links: Vec<(String, String)>,
    /// Device files belong into the container's own /dev; the kubelet's /dev is taken as it is.
    pub(crate) own_dev: bool,
}

/// `wanted` are the kubelet's mounts; those with an image refer to passed mounts in their order of appearance.
pub(crate) fn plan(wanted: &[Mount], context: &MountContext) -> Result<Mounts, MountError> {
    let replaced =
        |target: &str| wanted.iter().any(|mount| normal(Path::new(&mount.container_path)) == Path::new(target));
    let own_dev = !replaced("/dev");
    let mut mounts = Mounts { own_dev, ..Mounts::default() };
    system_mounts(context, &mut mounts);
    if own_dev {
        mounts.links.extend(DEV_LINKS.map(|(link, target)| (link.to_owned(), target.to_owned())));
    }
    mounts.list.push(bind("/dev/shm", &context.shm, false, HARMLESS));
    mounts.list.retain(|plan| !replaced(&plan.target) && (own_dev || !plan.target.starts_with("/dev/")));
    let mut rest = sandbox_files(context);
    rest.retain(|plan| !replaced(&plan.target));
    let mut images = 0;
    for mount in wanted {
        rest.push(kubelet_mount(mount, &mut images)?);
    }
    rest.sort_by_key(|plan| Path::new(&plan.target).components().count());
    mounts.list.extend(rest);
    Ok(mounts)
}

const DEV_LINKS: [(&str, &str); 6] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
    ("/dev/core", "/proc/kcore"),
];

const HARMLESS: MountAttributes = MountAttributes {
    readonly: false,
    recursive: false,
    nosuid: true,
    nodev: true,
    noexec: true,
    strictatime: false,
    readonly_at_end: false,
};

fn fresh(target: &str, fs_type: &str, options: &[(&str, Option<&str>)], attributes: MountAttributes) -> MountPlan {
    let options = options.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect();
    MountPlan {
        target: target.to_owned(),
        source: MountSource::Fresh { fs_type: fs_type.to_owned(), options },
        attributes,
        propagation: MountPropagation::Private,
    }
}

fn bind(target: &str, path: &Path, id_mapped: bool, attributes: MountAttributes) -> MountPlan {
    MountPlan {
        target: target.to_owned(),
        source: MountSource::Bind { path: path.to_owned(), id_mapped },
        attributes,
        propagation: MountPropagation::Private,
    }
}

fn system_mounts(context: &MountContext, mounts: &mut Mounts) {
    let readonly = !context.privileged;
    let sys = MountAttributes { readonly, ..HARMLESS };
    let dev = MountAttributes { nosuid: true, strictatime: true, ..MountAttributes::default() };
    mounts.list.extend([
        fresh("/proc", "proc", &[], HARMLESS),
        fresh("/dev", "tmpfs", &[("mode", Some("755")), ("size", Some("65536k"))], dev),
        fresh(
            "/dev/pts",
            "devpts",
            &[("ptmxmode", Some("0666")), ("mode", Some("0620")), ("gid", Some("5"))],
            MountAttributes { nodev: false, ..HARMLESS },
        ),
        fresh("/dev/mqueue", "mqueue", &[], HARMLESS),
    ]);
    // sysfs shows the network namespace's devices, so it may be mounted only by who owns that.
    mounts.list.push(if context.node_network && context.user_namespace {
        bind("/sys", Path::new("/sys"), false, MountAttributes { readonly: true, recursive: true, ..HARMLESS })
    } else {
        fresh("/sys", "sysfs", &[], sys)
    });
    cgroup_mounts(&context.cgroup, sys, mounts);
}

fn cgroup_mounts(view: &CgroupView, attributes: MountAttributes, mounts: &mut Mounts) {
    const TARGET: &str = "/sys/fs/cgroup";
    match view {
        CgroupView::V2Own => mounts.list.push(fresh(TARGET, "cgroup2", &[], attributes)),
        CgroupView::V2Whole(mount_point) => mounts.list.push(bind(TARGET, mount_point, false, attributes)),
        CgroupView::V1(hierarchies) => {
            let at_end = MountAttributes { readonly: false, readonly_at_end: attributes.readonly, ..HARMLESS };
            mounts.list.push(fresh(TARGET, "tmpfs", &[("mode", Some("755")), ("size", Some("64k"))], at_end));
            for (directory, name, controllers) in hierarchies {
                mounts.list.push(bind(&format!("{TARGET}/{name}"), directory, false, attributes));
                let single = controllers.iter().filter(|controller| !controller.starts_with("name="));
                for controller in single.filter(|controller| *controller != name) {
                    mounts.links.push((format!("{TARGET}/{controller}"), name.clone()));
                }
            }
        }
    }
}

fn sandbox_files(context: &MountContext) -> Vec<MountPlan> {
    let file = MountAttributes { readonly: context.readonly_root, ..MountAttributes::default() };
    vec![
        bind("/etc/hostname", &context.hostname_file, context.user_namespace, file),
        bind("/etc/resolv.conf", &context.resolv_conf, context.user_namespace, file),
    ]
}

fn kubelet_mount(mount: &Mount, images: &mut usize) -> Result<MountPlan, MountError> {
    if !mount.container_path.starts_with('/') {
        return Err(MountError::Relative(mount.container_path.clone()));
    }
    if mount.recursive_read_only && !mount.readonly {
        return Err(MountError::RecursiveButWritable(mount.host_path.clone()));
    }
    if mount.recursive_read_only && mount.propagation != Propagation::Private {
        return Err(MountError::RecursiveButPropagated(mount.host_path.clone()));
    }
    let source = match &mount.image {
        Some(_) => {
            *images += 1;
            MountSource::Passed { number: *images - 1, sub_path: mount.image_sub_path.clone() }
        }
        None if mount.host_path.is_empty() => return Err(MountError::NoSource(mount.container_path.clone())),
        None => MountSource::Bind {
            path: PathBuf::from(&mount.host_path),
            id_mapped: !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty(),
        },
    };
    let attributes = MountAttributes {
        // An image is never written to.
        readonly: mount.readonly || mount.image.is_some(),
        recursive: mount.recursive_read_only,
        ..MountAttributes::default()
    };
    let propagation = match mount.propagation {
        Propagation::Private => MountPropagation::Private,
        Propagation::HostToContainer => MountPropagation::Slave,
        Propagation::Bidirectional => MountPropagation::Shared,
    };
    let target = normal(Path::new(&mount.container_path)).to_string_lossy().into_owned();
    Ok(MountPlan { target, source, attributes, propagation })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> MountContext {
        MountContext {
            shm: "/s/shm".into(),
            hostname_file: "/s/hostname".into(),
            resolv_conf: "/s/resolv.conf".into(),
            ..MountContext::default()
        }
    }

    fn mount(container: &str, host: &str) -> Mount {
        Mount { container_path: container.to_owned(), host_path: host.to_owned(), ..Mount::default() }
    }

    fn targets(mounts: &Mounts) -> Vec<&str> {
        mounts.list.iter().map(|plan| plan.target.as_str()).collect()
    }

    #[test]
    fn the_usual_ones() {
        let mounts = plan(&[mount("/data/deep/", "/h/1"), mount("/data", "/h/2")], &context()).unwrap();
        assert_eq!(
            targets(&mounts),
            [
                "/proc",
                "/dev",
                "/dev/pts",
                "/dev/mqueue",
                "/sys",
                "/sys/fs/cgroup",
                "/dev/shm",
                "/data",
                "/etc/hostname",
                "/etc/resolv.conf",
                "/data/deep",
            ]
        );
        let sys = mounts.list.iter().find(|plan| plan.target == "/sys").unwrap();
        assert!(sys.attributes.readonly);
        assert!(mounts.own_dev && mounts.links.len() == 6);
    }

    #[test]
    fn the_kubelet_may_replace_them() {
        let wanted = [mount("/dev", "/dev"), mount("/etc/hostname", "/h"), mount("/sys/fs/cgroup/", "/sys/fs/cgroup")];
        let mounts = plan(&wanted, &context()).unwrap();
        assert!(!mounts.own_dev && mounts.links.is_empty());
        assert_eq!(targets(&mounts), ["/proc", "/sys", "/dev", "/etc/resolv.conf", "/etc/hostname", "/sys/fs/cgroup"]);
        let shm_only = plan(&[mount("/dev/shm", "/h")], &context()).unwrap();
        assert_eq!(targets(&shm_only).iter().filter(|target| **target == "/dev/shm").count(), 1);
    }

    #[test]
    fn privileged_containers_may_write() {
        let whole = CgroupView::V2Whole("/sys/fs/cgroup".into());
        let mounts = plan(&[], &MountContext { privileged: true, cgroup: whole, ..context() }).unwrap();
        assert!(mounts.list.iter().all(|plan| !plan.attributes.readonly));
    }

    #[test]
    fn a_read_only_root_makes_the_sandbox_files_read_only() {
        let mounts = plan(&[], &MountContext { readonly_root: true, ..context() }).unwrap();
        let readonly = |target: &str| mounts.list.iter().any(|plan| plan.target == target && plan.attributes.readonly);
        assert!(readonly("/etc/resolv.conf") && readonly("/etc/hostname") && !readonly("/dev/shm"));
    }

    #[test]
    fn hierarchies_of_version_1() {
        let hierarchies = vec![
            ("/c/cpu,cpuacct/p".into(), "cpu,cpuacct".to_owned(), vec!["cpu".to_owned(), "cpuacct".to_owned()]),
            ("/c/memory/p".into(), "memory".to_owned(), vec!["memory".to_owned()]),
            ("/c/systemd/p".into(), "systemd".to_owned(), vec!["name=systemd".to_owned()]),
        ];
        let mounts = plan(&[], &MountContext { cgroup: CgroupView::V1(hierarchies), ..context() }).unwrap();
        let find = |target: &str| mounts.list.iter().find(|plan| plan.target == target).unwrap();
        let parent = find("/sys/fs/cgroup").attributes;
        assert!(parent.readonly_at_end && !parent.readonly, "links are made in it first");
        assert!(find("/sys/fs/cgroup/memory").attributes.readonly);
        let link = |name: &str| (format!("/sys/fs/cgroup/{name}"), "cpu,cpuacct".to_owned());
        assert!(mounts.links.contains(&link("cpu")) && mounts.links.contains(&link("cpuacct")));
    }

    #[test]
    fn images_count_up() {
        let image = |path: &str| Mount {
            image: Some(windlass_cri::ImageSpec::new("i")),
            image_sub_path: "sub".to_owned(),
            ..mount(path, "")
        };
        let mounts = plan(&[image("/b"), mount("/c", "/h"), image("/a")], &context()).unwrap();
        let number = |target: &str| match &mounts.list.iter().find(|plan| plan.target == target).unwrap().source {
            MountSource::Passed { number, sub_path } if sub_path == "sub" => *number,
            other => panic!("{other:?}"),
        };
        assert_eq!((number("/b"), number("/a")), (0, 1));
        assert!(
            mounts
                .list
                .iter()
                .filter(|plan| matches!(plan.source, MountSource::Passed { .. }))
                .all(|plan| plan.attributes.readonly)
        );
    }

    #[test]
    fn contradictions() {
        let error = |mount: Mount| plan(&[mount], &context()).unwrap_err();
        assert_eq!(error(mount("relative", "/h")), MountError::Relative("relative".to_owned()));
        assert_eq!(error(mount("/x", "")), MountError::NoSource("/x".to_owned()));
        let recursive = Mount { recursive_read_only: true, ..mount("/x", "/h") };
        assert_eq!(error(recursive.clone()), MountError::RecursiveButWritable("/h".to_owned()));
        let propagated = Mount { readonly: true, propagation: Propagation::HostToContainer, ..recursive };
        assert_eq!(error(propagated), MountError::RecursiveButPropagated("/h".to_owned()));
    }
}
