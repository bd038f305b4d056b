//! `/statusz`: since when the server runs, which version it is, and where else to look; text for people, or an object of `config.k8s.io`.
//!
//! Source: apiserver `server/statusz` (KEP 4827).

use std::collections::BTreeSet;

use http::Response;
use jiff::Timestamp;
use serde_json::json;
use windlass_api::time::rfc3339;
use windlass_api::{GroupVersionKind, Status};

use super::PageRequest;
use super::version::{EMULATED, LANGUAGE, RELEASE};
use super::zpage;
use crate::message::response::Body;

/// First segments of paths that tell nothing about the server's state.
const NOT_FOR_DEBUGGING: [&str; 5] = ["/api", "/apis", "/openid", "/openapi", "/.well-known"];

/// `paths` are those of the index.
pub(super) fn page(
    request: &PageRequest<'_>,
    started: Timestamp,
    now: Timestamp,
    paths: &[String],
) -> Result<Response<Body>, Status> {
    let up_seconds = now.duration_since(started).as_secs().max(0);
    let paths = for_debugging(paths);
    let Some((version, format)) = zpage::accept(request, "Statusz")? else {
        return Ok(zpage::text("statusz", &text(started, up_seconds, &paths)));
    };
    let object = json!({
        "metadata": {"name": zpage::COMPONENT},
        "startTime": rfc3339(started),
        "uptimeSeconds": up_seconds,
        "goVersion": LANGUAGE,
        "binaryVersion": RELEASE,
        "emulationVersion": EMULATED,
        "paths": paths,
    });
    zpage::object(&GroupVersionKind::of(zpage::GROUP, version, "Statusz"), format, object)
}

fn text(started: Timestamp, up_seconds: i64, paths: &BTreeSet<String>) -> String {
    let (hours, minutes, seconds) = (up_seconds / 3600, up_seconds / 60 % 60, up_seconds % 60);
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    format!(
        "\nStarted: {}\nUp: {hours} hr {minutes:02} min {seconds:02} sec\nGo version: {LANGUAGE}\nBinary version: {RELEASE}\n\
         Emulation version: {EMULATED}\nPaths: {}\n",
        started.strftime("%a %b %e %H:%M:%S UTC %Y"),
        paths.join(" "),
    )
}

/// The first segments of paths.
fn for_debugging(paths: &[String]) -> BTreeSet<String> {
    let first = |path: &String| path.split('/').nth(1).filter(|name| !name.is_empty()).map(|name| format!("/{name}"));
    paths.iter().filter_map(first).filter(|path| !NOT_FOR_DEBUGGING.contains(&path.as_str())).collect()
}
