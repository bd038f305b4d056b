//! Kubeconfigs: files that tell kubectl where the cluster is and who the user is.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use windlass_machinery::yaml;
use windlass_pki::{Certificate, Identity};

use super::kubeconfig_text::{LISTS, Text};
use crate::error::Failure;

/// The name of cluster, user and context.
pub(crate) const NAME: &str = "windlass";
/// The administrator's, in the data directory.
pub(crate) const FILE: &str = "kubeconfig.yaml";

/// A kubeconfig with one context.
pub(crate) fn of(ca: &Certificate, identity: &Identity, port: u16) -> Value {
    let encoded = |pem: &str| STANDARD.encode(pem);
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": {
            "certificate-authority-data": encoded(&ca.to_pem()),
            "server": format!("https://127.0.0.1:{port}"),
        }}],
        "users": [{"name": NAME, "user": {
            "client-certificate-data": encoded(&identity.certificates_pem()),
            "client-key-data": encoded(&identity.key_pem()),
        }}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}],
        "current-context": NAME,
        "preferences": {},
    })
}

/// Merges the kubeconfig `own` into the user's and makes its context the current one. What else is there stays. Says which file that is:
/// the first of `KUBECONFIG`, else `~/.kube/config`.
pub(crate) fn merge_into_users(own: &Path) -> Result<PathBuf, Failure> {
    let path = users_file()?;
    let own = read(own)?;
    let present = if path.exists() { read(&path)? } else { json!({}) };
    replace(&path, &present, &merge(&present, &own), |text| {
        for list in LISTS {
            own[list].as_array().into_iter().flatten().for_each(|entry| text.put(list, entry));
        }
        text.set("current-context", NAME);
    })?;
    Ok(path)
}

/// Takes what [`merge_into_users`] put in out of the user's kubeconfig, unless another cluster has taken its place there.
pub(crate) fn remove_from_users(own: &Path) -> Result<(), Failure> {
    let path = users_file()?;
    if !own.exists() || !path.exists() {
        return Ok(());
    }
    let (present, own) = (read(&path)?, read(own)?);
    let wanted = without(&present, &own);
    replace(&path, &present, &wanted, |text| {
        for list in LISTS {
            own[list].as_array().into_iter().flatten().for_each(|entry| text.remove(list, &entry["name"]));
        }
        if wanted["current-context"] != present["current-context"] {
            text.set("current-context", "");
        }
    })
}

fn read(path: &Path) -> Result<Value, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::during(format!("{} cannot be read", path.display()), error.to_string())
            .hint("mend or move it; each cluster keeps a kubeconfig of its own in its data directory, kubeconfig.yaml")
    };
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    if text.trim().is_empty() {
        return Ok(json!({}));
    }
    serde_saphyr::from_str(&text).map_err(|error: serde_saphyr::Error| unreadable(error.without_snippet()))
}

/// Writes the user's kubeconfig, when there is anything new: its text as `edit` changes it, if that says what is wanted.
fn replace(path: &Path, present: &Value, wanted: &Value, edit: impl FnOnce(&mut Text)) -> Result<(), Failure> {
    if wanted == present {
        return Ok(());
    }
    let failed = |error: &dyn std::fmt::Display| {
        Failure::during(format!("{} cannot be written", path.display()), error.to_string())
    };
    let mut text = Text::new(&std::fs::read_to_string(path).unwrap_or_default());
    edit(&mut text);
    let edited = text.finish();
    let says_it = serde_saphyr::from_str::<Value>(&edited).is_ok_and(|value| value == *wanted);
    let text = if says_it { edited } else { yaml::write(wanted) };
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(|error| failed(&error))?;
    }
    windlass_pki::write_private(path, text.as_bytes()).map_err(|error| failed(&error))
}

#[expect(clippy::disallowed_methods, reason = "KUBECONFIG and HOME are where every Kubernetes client looks")]
fn users_file() -> Result<PathBuf, Failure> {
    let named = std::env::var_os("KUBECONFIG").unwrap_or_default();
    if let Some(first) = std::env::split_paths(&named).find(|path| !path.as_os_str().is_empty()) {
        return Ok(first);
    }
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.ok_or_else(|| Failure::new("HOME is not set").hint("set it, or KUBECONFIG"))?;
    Ok(PathBuf::from(home).join(".kube/config"))
}

/// `present` with the cluster, user and context of `own`, whose context becomes the current one.
fn merge(present: &Value, own: &Value) -> Value {
    let mut merged = if present.is_object() { present.clone() } else { json!({}) };
    for (field, value) in [("apiVersion", "v1"), ("kind", "Config")] {
        if merged[field].is_null() {
            merged[field] = json!(value);
        }
    }
    for list in LISTS {
        let mut entries = merged[list].as_array().cloned().unwrap_or_default();
        for entry in own[list].as_array().into_iter().flatten() {
            match entries.iter_mut().find(|other| other["name"] == entry["name"]) {
                Some(other) => *other = entry.clone(),
                None => entries.push(entry.clone()),
            }
        }
        merged[list] = json!(entries);
    }
    merged["current-context"] = own["current-context"].clone();
    merged
}

/// `present` without the entries of `own`, when its cluster is the one of `own`.
fn without(present: &Value, own: &Value) -> Value {
    let mut rest = present.clone();
    let holds = |entry: &Value| rest["clusters"].as_array().is_some_and(|all| all.contains(entry));
    if !own["clusters"].as_array().is_some_and(|clusters| clusters.iter().all(holds)) {
        return rest;
    }
    for list in LISTS {
        let names: Vec<&Value> = own[list].as_array().into_iter().flatten().map(|entry| &entry["name"]).collect();
        if let Some(entries) = rest[list].as_array_mut() {
            entries.retain(|entry| !names.contains(&&entry["name"]));
        }
    }
    if rest["current-context"] == own["current-context"] {
        rest["current-context"] = json!("");
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_contexts_are_left_alone() {
        let present = json!({"apiVersion": "v1", "kind": "Config", "preferences": {"colors": true}, "current-context": "work",
            "clusters": [{"name": "work", "cluster": {"server": "https://w"}}, {"name": "windlass", "cluster": {"server": "old"}}],
            "contexts": [{"name": "work", "context": {"cluster": "work"}}]});
        let own = json!({"clusters": [{"name": "windlass", "cluster": {"server": "new"}}],
            "users": [{"name": "windlass"}], "contexts": [{"name": "windlass"}], "current-context": "windlass"});
        let merged = merge(&present, &own);
        assert_eq!(merged["clusters"].as_array().unwrap().len(), 2);
        assert_eq!(
            (&merged["clusters"][0], &merged["contexts"][0]),
            (&present["clusters"][0], &present["contexts"][0])
        );
        assert_eq!(merged["clusters"][1]["cluster"]["server"], "new");
        assert_eq!((&merged["current-context"], &merged["preferences"]["colors"]), (&json!("windlass"), &json!(true)));
        assert_eq!(merge(&merged, &own), merged);
        assert_eq!(merge(&Value::Null, &own)["kind"], "Config");
        let rest = without(&merged, &own);
        assert_eq!((&rest["clusters"], &rest["users"]), (&json!([present["clusters"][0]]), &json!([])));
        assert_eq!((&rest["contexts"], &rest["current-context"]), (&present["contexts"], &json!("")));
        // The context belongs to another cluster of that name.
        assert_eq!(without(&present, &own), present);
    }
}
