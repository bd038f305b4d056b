//! Files of one volume that are to be in each other's place: one under the name of another, or in another as if that were a directory.

use serde_json::Value;
use windlass_machinery::tree::{items, text};

use super::{COMPARED_MAX, Found, set};

/// A file that a volume is to hold, and what puts it there.
#[derive(Clone, PartialEq)]
struct Placed {
    path: String,
    source: String,
}

impl Placed {
    fn new(path: &str, source: &str) -> Self {
        Self { path: path.trim_end_matches('/').to_owned(), source: source.to_owned() }
    }

    fn overlaps(&self, other: &Self) -> bool {
        let is_in = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let (own, other) = (&*self.path, &*other.path);
        !own.is_empty() && !other.is_empty() && (is_in(own, other) || is_in(other, own))
    }
}

impl std::fmt::Display for Placed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.source.as_str() {
            "" => write!(f, "{:?}", self.path),
            source => write!(f, "{:?} ({source})", self.path),
        }
    }
}

/// Says which files of a volume are to be in each other's place.
pub(super) fn overlaps(found: &mut Found, volume: &Value) {
    let name = text(volume, "name");
    for (kind, title, named) in
        [("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName"), ("downwardAPI", "DownwardAPI", "")]
    {
        let Some(source) = set(volume, &format!("/{kind}")) else { continue };
        let what = if named.is_empty() { title.to_owned() } else { format!("{title} {:?}", text(source, named)) };
        place(found, name, &what, &mut Vec::new(), listed(source, ""));
    }
    let mut all = Vec::new();
    for source in items(&volume["projected"], "sources") {
        match source.as_object().and_then(|source| source.iter().find(|(_, inner)| inner.is_object())) {
            Some((kind, inner)) => place(found, name, "Projected", &mut all, projected(kind, inner)),
            None => found.say(format!("volume {name:?} (Projected) has no sources provided")),
        }
    }
}

/// Adds files to those that are there, and says which are in each other's place.
fn place(found: &mut Found, volume: &str, what: &str, all: &mut Vec<Placed>, files: Vec<Placed>) {
    for file in files {
        for other in all.iter().rev().take(COMPARED_MAX).rev().filter(|other| other.overlaps(&file)) {
            if found.is_full() {
                return;
            }
            found.say(format!("volume {volume:?} ({what}): overlapping paths: {file} with {other}"));
        }
        all.push(file);
    }
}

fn listed(source: &Value, of: &str) -> Vec<Placed> {
    items(source, "items").map(|item| Placed::new(text(item, "path"), of)).collect()
}

/// The files that one source of a projected volume makes.
fn projected(kind: &str, source: &Value) -> Vec<Placed> {
    let path = text(source, "path");
    match kind {
        "configMap" => listed(source, &format!("ConfigMap {:?}", text(source, "name"))),
        "secret" => listed(source, &format!("Secret {:?}", text(source, "name"))),
        "downwardAPI" => listed(source, "DownwardAPI"),
        "serviceAccountToken" => vec![Placed::new(path, "ServiceAccountToken")],
        "clusterTrustBundle" => {
            let name = Some(text(source, "name")).filter(|name| !name.is_empty());
            let name = name.unwrap_or_else(|| text(source, "signerName"));
            vec![Placed::new(path, &format!("ClusterTrustBundle {name:?}"))]
        }
        "podCertificate" => {
            let parts =
                [("certificateChainPath", "chain"), ("keyPath", "key"), ("credentialBundlePath", "credential bundle")];
            let given = parts.into_iter().filter(|(field, _)| !text(source, field).is_empty());
            given.map(|(field, what)| Placed::new(text(source, field), &format!("PodCertificate {what}"))).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn in_each_others_place() {
        let of_map =
            json!({"name": "v", "configMap": {"name": "m", "items": [{"path": "a/b"}, {"path": "a"}, {"path": "ab"}]}});
        let overlaps = |volume: &Value| {
            let mut found = Found::default();
            super::overlaps(&mut found, volume);
            found.0
        };
        assert_eq!(overlaps(&of_map), [r#"volume "v" (ConfigMap "m"): overlapping paths: "a" with "a/b""#]);
        let sources =
            json!([{"serviceAccountToken": {"path": "t"}}, {"secret": {"name": "s", "items": [{"path": "t"}]}}, {}]);
        let expected = [
            r#"volume "v" (Projected): overlapping paths: "t" (Secret "s") with "t" (ServiceAccountToken)"#,
            r#"volume "v" (Projected) has no sources provided"#,
        ];
        assert_eq!(overlaps(&json!({"name": "v", "projected": {"sources": sources}})), expected);
        assert!(overlaps(&json!({"name": "v", "emptyDir": {}})).is_empty());
    }
}
