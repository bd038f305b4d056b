//! `/version`: which API this is.

use http::{Response, StatusCode};
use serde_json::json;

use crate::message::response::{Body, plain};

/// The API's version; the program's own follows behind the plus sign.
const MAJOR: &str = "1";
const MINOR: &str = "37";
pub const VERSION: &str = concat!("v1.37.1+windlass.", env!("CARGO_PKG_VERSION"));

/// The release that this is.
pub(super) const RELEASE: &str = "1.37.1";
/// Which version of Kubernetes it behaves as.
pub(super) const EMULATED: &str = "1.37";
/// What stands where upstream says which Go it was built by.
pub(super) const LANGUAGE: &str = "none";

pub(super) fn page() -> Response<Body> {
    let version = json!({
        "major": MAJOR,
        "minor": MINOR,
        "emulationMajor": MAJOR,
        "emulationMinor": MINOR,
        "minCompatibilityMajor": MAJOR,
        "minCompatibilityMinor": "36",
        "gitVersion": VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": LANGUAGE,
        "compiler": "rustc",
        "platform": format!("linux/{}", architecture()),
    });
    plain(StatusCode::OK, "application/json", version.to_string())
}

/// The architecture in Go's words, which clients expect.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
