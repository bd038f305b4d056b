//! The invoker with plugins of others: shell scripts that record what they get, and those of containernetworking-plugins.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use windlass_cni::{Attachment, Cni, NetworkConfig, Options};

use super::node::{Node, chain};

/// A plugin that writes its environment and input to `log` and answers with `answer`.
fn script(dir: &Path, name: &str, answer: &str) {
    let text = format!(
        "#!/bin/sh\ninput=$(cat)\necho \"{name} $CNI_COMMAND $CNI_CONTAINERID $CNI_NETNS $CNI_IFNAME $CNI_ARGS $input\" >>{}\n{answer}\n",
        dir.join("log").display()
    );
    std::fs::write(dir.join(name), text).unwrap();
    std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
}

struct Fake {
    dir: tempfile::TempDir,
    cni: Cni,
}

impl Fake {
    fn new(timeout: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cni = Cni::new(Options {
            conf_dir: dir.path().to_owned(),
            bin_dirs: vec![dir.path().join("none"), dir.path().to_owned()],
            cache_dir: dir.path().join("cache"),
            timeout,
            open_files: Some(200),
            builtin: false,
        });
        Self { dir, cni }
    }

    fn log(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        std::fs::remove_file(self.dir.path().join("log")).unwrap_or_default();
        log.lines().map(ToOwned::to_owned).collect()
    }
}

fn input(line: &str) -> Value {
    serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap()
}

fn two_plugins(version: &str) -> NetworkConfig {
    let text = json!({"cniVersion": version, "name": "net", "plugins": [
        {"type": "first", "capabilities": {"portMappings": true}}, {"type": "second"}]});
    NetworkConfig::from_list(text.to_string().as_bytes()).unwrap()
}

#[tokio::test]
async fn chains_hand_results_on_and_del_goes_backwards_after_a_restart() {
    let fake = Fake::new(Duration::from_secs(60));
    script(
        fake.dir.path(),
        "first",
        r#"echo '{"interfaces":[{"name":"eth0","sandbox":"/n"}],"ips":[{"address":"10.0.0.5/24","interface":0}],"future":1}'"#,
    );
    script(fake.dir.path(), "second", r#"echo '{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.6/24"}]}'"#);
    let network = two_plugins("1.0.0");
    let attachment = Attachment {
        netns: Some("/n".into()),
        args: vec![("K8S_POD_NAME".into(), "pod".into()), ("IgnoreUnknown".into(), "1".into())],
        capabilities: json!({"portMappings": [{"hostPort": 80}], "mac": "x"}).as_object().unwrap().clone(),
        ..Attachment::new("id", "eth0")
    };
    let result = fake.cni.add(&network, &attachment).await.unwrap();
    assert_eq!(result.sandbox_addresses(), ["10.0.0.6".parse::<std::net::IpAddr>().unwrap()]);
    let log = fake.log();
    assert!(log[0].starts_with("first ADD id /n eth0 K8S_POD_NAME=pod;IgnoreUnknown=1 {"), "{log:?}");
    assert_eq!(input(&log[0])["runtimeConfig"], json!({"portMappings": [{"hostPort": 80}]}));
    assert_eq!(input(&log[0]).get("prevResult"), None);
    // What the first plugin said goes on unchanged, with the version that it left out.
    assert_eq!(input(&log[1])["prevResult"]["future"], 1);
    assert_eq!(input(&log[1])["prevResult"]["cniVersion"], "1.0.0");
    assert_eq!(input(&log[1]).get("runtimeConfig"), None);

    fake.cni.check(&attachment).await.unwrap();
    let log = fake.log();
    assert!(log[0].starts_with("first CHECK") && log[1].starts_with("second CHECK"));
    assert_eq!(input(&log[0])["prevResult"]["ips"][0]["address"], "10.0.0.6/24");

    // A new invoker that has no configuration and no arguments finds all in the cache.
    let restarted = Fake { cni: Cni::new(Options { builtin: false, ..options_of(&fake) }), dir: fake.dir };
    restarted.cni.del(None, &Attachment::new("id", "eth0")).await.unwrap();
    let log = restarted.log();
    assert!(log[0].starts_with("second DEL id  eth0 K8S_POD_NAME=pod") && log[1].starts_with("first DEL"), "{log:?}");
    assert_eq!(input(&log[1])["prevResult"]["ips"][0]["address"], "10.0.0.6/24");
    assert_eq!(input(&log[1])["runtimeConfig"], json!({"portMappings": [{"hostPort": 80}]}));
    restarted.cni.del(None, &Attachment::new("id", "eth0")).await.unwrap();
    assert_eq!(restarted.log(), Vec::<String>::new());
    // Without a cache the configuration serves.
    restarted.cni.del(Some(&network), &Attachment::new("id", "eth0")).await.unwrap();
    assert_eq!(restarted.log().len(), 2);
}

fn options_of(fake: &Fake) -> Options {
    Options {
        conf_dir: fake.dir.path().to_owned(),
        bin_dirs: vec![fake.dir.path().to_owned()],
        cache_dir: fake.dir.path().join("cache"),
        timeout: Duration::from_secs(60),
        open_files: None,
        builtin: false,
    }
}

#[tokio::test]
async fn failures_say_what_failed() {
    let fake = Fake::new(Duration::from_millis(300));
    let dir = fake.dir.path();
    let network = two_plugins("1.0.0");
    let attachment = Attachment::new("id", "eth0");
    let add = async || {
        let error = fake.cni.add(&network, &attachment).await.unwrap_err();
        format!("{error}: {}", chain(&error))
    };
    assert!(add().await.contains("failed to find plugin \"first\" in path"));
    script(dir, "first", r#"echo '{"code":7,"msg":"no","details":"why"}'; exit 1"#);
    assert_eq!(add().await, "plugin type=\"first\" failed (add): no; why");
    script(dir, "first", "echo oops >&2; exit 3");
    assert_eq!(add().await, "plugin type=\"first\" failed (add): netplugin failed: \"oops\\n\": exit status: 3");
    script(dir, "first", "exit 3");
    assert!(add().await.ends_with("netplugin failed with no error message: exit status: 3"));
    script(dir, "first", "echo x; exit 3");
    assert!(add().await.contains("error parsing its diagnostic message \"x\\n\""));
    script(dir, "first", "echo \"limit $(ulimit -S -n)\" >&2; exit 3");
    assert!(add().await.contains("limit 200"), "the soft limit is not this process's");
    script(dir, "first", "echo x");
    assert!(add().await.contains("CNI plugin \"first\" returned a result that cannot be read"));
    script(dir, "first", "exec sleep 600");
    assert!(add().await.contains("was killed: it took longer than 300ms"));
    let error = fake.cni.add(&network, &Attachment::new("../id", "eth0")).await.unwrap_err();
    assert_eq!(chain(&error), "invalid characters in containerID; ../id");
    assert_eq!(fake.cni.cached(None).unwrap(), []);
}

#[tokio::test]
async fn versions_decide_what_is_asked() {
    let fake = Fake::new(Duration::from_secs(60));
    let dir = fake.dir.path();
    script(dir, "first", r#"echo '{"cniVersion":"1.1.0","supportedVersions":["0.4.0","1.1.0"]}'"#);
    script(dir, "second", r#"echo '{"cniVersion":"1.0.0"}'"#);
    fake.cni.status(&two_plugins("1.0.0")).await.unwrap();
    fake.cni.gc(&two_plugins("1.0.0"), &[]).await.unwrap();
    assert_eq!(fake.log(), Vec::<String>::new());
    fake.cni.status(&two_plugins("1.1.0")).await.unwrap();
    assert_eq!(fake.log().len(), 2);
    let attachment = Attachment::new("id", "eth0");
    fake.cni.add(&two_plugins("0.3.1"), &attachment).await.unwrap();
    assert!(fake.cni.check(&attachment).await.is_err());
    fake.log();
    // GC deletes what is cached and not valid, and before 1.1.0 nothing else.
    fake.cni.gc(&two_plugins("0.3.1"), &[]).await.unwrap();
    let log = fake.log();
    assert!(log.len() == 2 && log[0].starts_with("second DEL id"), "{log:?}");
    assert_eq!(input(&log[0]).get("prevResult"), None);
    fake.cni.add(&two_plugins("1.1.0"), &attachment).await.unwrap();
    fake.log();
    fake.cni.gc(&two_plugins("1.1.0"), &[]).await.unwrap();
    let log = fake.log();
    assert_eq!(log.iter().map(|line| line.split(' ').nth(1).unwrap()).collect::<Vec<_>>(), ["DEL", "DEL", "GC", "GC"]);
    assert_eq!(input(&log[2])["cni.dev/valid-attachments"], json!([]));
}

/// Any other CNI is put in place by its configuration file.
#[test]
fn the_plugins_of_containernetworking() {
    let installed =
        |name: &str| Path::new("/usr/lib/cni").join(name).exists() || Path::new("/opt/cni/bin").join(name).exists();
    assert!(
        installed("bridge") && installed("host-local") && installed("portmap"),
        "this test needs Debian's package containernetworking-plugins"
    );
    let node = Node::new(false);
    let conf_dir = node.dir.path().join("net.d");
    std::fs::create_dir(&conf_dir).unwrap();
    let list = json!({"cniVersion": "0.4.0", "name": "bridged", "plugins": [
        {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
         "ipam": {"type": "host-local", "dataDir": node.dir.path().join("host-local"),
                  "ranges": [[{"subnet": "10.88.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
        {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true}]});
    std::fs::write(conf_dir.join("10-bridge.conflist"), list.to_string()).unwrap();
    let network = node.cni.load().unwrap();
    let a = node.try_add(&network, "a", json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}])).unwrap();
    let b = node.add(&network, "b");
    let _server = a.host.serve("0.0.0.0:80", "a");
    assert_eq!(b.host.ask(&format!("{}:80", a.ip())).unwrap(), format!("a {}", b.ip()));
    assert!(node.outside.ask("192.0.2.1:8080").unwrap().starts_with("a "));
    // The CHECK of portmap 1.1 finds fault with its own work when there are ports.
    node.check(&b).unwrap();
    node.del(&a);
    node.del(&b);
    assert_eq!(node.cni.cached(None).unwrap(), []);
}
