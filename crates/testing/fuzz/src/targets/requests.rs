//! Paths and queries of requests to the API server and to the kubelet's API.

use crate::memory::bounded;

pub(super) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    bounded(input.len(), || {
        windlass_apiserver::fuzz::request(text);
        windlass_kubelet_api::fuzz::request(text);
    });
}
