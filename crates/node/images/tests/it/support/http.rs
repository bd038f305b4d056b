//! The least HTTP client that can push an image: one connection for each request, whole bodies.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::image::Image;

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

pub(crate) fn send(server: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(server).expect("the registry answers");
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(request.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    let end = response.windows(4).position(|window| window == b"\r\n\r\n").expect("a response head");
    let head = String::from_utf8_lossy(&response[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok()).unwrap();
    let headers = lines.filter_map(|line| line.split_once(": ")).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    Answer { status, headers }
}

/// Pushes an image through the registry's API, by tag.
pub(crate) fn push(server: SocketAddr, repository: &str, tag: &str, image: &Image, authorization: Option<&str>) {
    for (digest, bytes) in image.blobs() {
        push_blob(server, repository, digest.as_str(), &bytes, authorization);
    }
    push_manifest(server, repository, tag, image.media_type, &image.manifest, authorization);
}

pub(crate) fn push_blob(server: SocketAddr, repository: &str, digest: &str, bytes: &[u8], authorization: Option<&str>) {
    let auth: Vec<(&str, &str)> = authorization.iter().map(|value| ("Authorization", *value)).collect();
    let begun = send(server, "POST", &format!("/v2/{repository}/blobs/uploads/"), &auth, b"");
    assert_eq!(begun.status, 202, "an upload begins");
    let location = begun.header("Location").expect("a location");
    let path = location.strip_prefix(&format!("http://{server}")).unwrap_or(location);
    let separator = if path.contains('?') { '&' } else { '?' };
    let headers = [&auth[..], &[("Content-Type", "application/octet-stream")]].concat();
    let done = send(server, "PUT", &format!("{path}{separator}digest={digest}"), &headers, bytes);
    assert_eq!(done.status, 201, "a blob is uploaded");
}

pub(crate) fn push_manifest(
    server: SocketAddr,
    repository: &str,
    tag: &str,
    media_type: &str,
    bytes: &[u8],
    authorization: Option<&str>,
) {
    let mut headers = vec![("Content-Type", media_type)];
    headers.extend(authorization.iter().map(|value| ("Authorization", *value)));
    let done = send(server, "PUT", &format!("/v2/{repository}/manifests/{tag}"), &headers, bytes);
    assert_eq!(done.status, 201, "a manifest is uploaded");
}
