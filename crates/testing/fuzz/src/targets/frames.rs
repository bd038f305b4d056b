//! Frames of SPDY and WebSocket connections to the kubelet's API.

use crate::memory::bounded;

pub(super) fn spdy(input: &[u8]) {
    // A block of headers expands to 64 KiB at most, of which the names and values are a copy.
    bounded(input.len(), || windlass_kubelet_api::fuzz::spdy(input));
}

pub(super) fn websocket(input: &[u8]) {
    bounded(input.len(), || windlass_kubelet_api::fuzz::websocket(input));
}
