//! `/logs/`: the files below the node's log directory, and lists of them.
//!
//! Symbolic links are followed as long as they stay within the directory.

use std::path::{Component, Path, PathBuf};

use bytes::BytesMut;
use http::{Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::AsyncReadExt;

use crate::respond::{self, Body, text};

/// What a relative link cannot hold as it is.
const NOT_IN_LINKS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');
const CHUNK_BYTES: usize = 64 << 10;

/// `path` is what follows `/logs`.
pub(crate) async fn system_logs(root: &Path, path: &str) -> Response<Body> {
    let not_found = || text(StatusCode::NOT_FOUND, "404 page not found\n");
    let Some(found) = resolve(root, path).await else { return not_found() };
    let Ok(metadata) = tokio::fs::metadata(&found).await else { return not_found() };
    if metadata.is_dir() {
        return list(&found).await;
    }
    let Ok(Ok(file)) = tokio::task::spawn_blocking(move || windlass_tree::open_file_at(&found)).await else {
        return not_found();
    };
    let file = tokio::fs::File::from_std(file);
    respond::stream(futures::stream::unfold(Some(file), |file| async {
        let mut file = file?;
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
        match file.read_buf(&mut chunk).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(chunk.freeze()), Some(file))),
            Err(error) => Some((Err(error), None)),
        }
    }))
}

async fn resolve(root: &Path, path: &str) -> Option<PathBuf> {
    let relative = Path::new(path.trim_start_matches('/'));
    if relative.components().any(|component| !matches!(component, Component::Normal(_) | Component::CurDir)) {
        return None;
    }
    let root = tokio::fs::canonicalize(root).await.ok()?;
    let found = tokio::fs::canonicalize(root.join(relative)).await.ok()?;
    found.starts_with(&root).then_some(found)
}

async fn list(directory: &Path) -> Response<Body> {
    let mut names = Vec::new();
    let Ok(mut entries) = tokio::fs::read_dir(directory).await else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "Error reading directory");
    };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let slash = if entry.file_type().await.is_ok_and(|kind| kind.is_dir()) { "/" } else { "" };
        names.push(format!("{}{slash}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    let escaped = |text: &str| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&#34;")
            .replace('\'', "&#39;")
    };
    let lines = names
        .iter()
        .map(|name| format!("<a href=\"{}\">{}</a>\n", utf8_percent_encode(name, NOT_IN_LINKS), escaped(name)));
    let page = format!(
        "<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n{}</pre>\n",
        lines.collect::<String>()
    );
    respond::typed("text/html; charset=utf-8", page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_outside_is_shown() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("log");
        std::fs::create_dir_all(root.join("pods")).unwrap();
        std::fs::write(root.join("pods/a b"), "x").unwrap();
        std::fs::write(directory.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink("pods/a b", root.join("within")).unwrap();
        std::os::unix::fs::symlink("../secret", root.join("outside")).unwrap();
        for (path, found) in [
            ("", true),
            ("/", true),
            ("/pods/", true),
            ("/pods/a b", true),
            ("/within", true),
            ("/none", false),
            ("/outside", false),
            ("/../secret", false),
            ("/pods/../../secret", false),
            ("//etc/passwd", false),
        ] {
            assert_eq!(resolve(&root, path).await.is_some(), found, "{path}");
        }
        assert_eq!(system_logs(&root, "/pods").await.status(), StatusCode::OK);
        assert_eq!(utf8_percent_encode("a b/", NOT_IN_LINKS).to_string(), "a%20b/");
    }
}
