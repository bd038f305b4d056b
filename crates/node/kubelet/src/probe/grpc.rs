//! The gRPC health protocol (`grpc.health.v1.Health/Check`), as much of it as a probe needs.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::Request;
use http_body_util::{BodyExt, Full, Limited};
use tokio::net::TcpStream;
use windlass_http::dial;
use windlass_http::exchange::ExchangeError;

const SERVING: u64 = 1;
const ANSWER_MAX_BYTES: usize = 4096;

/// Why a service is not healthy, in upstream's words.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrpcError {
    #[error("timeout: failed to connect service {address:?} within {timeout}: context deadline exceeded")]
    Connect { address: String, timeout: String },
    #[error("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {0}")]
    Unimplemented(String),
    #[error("timeout: health rpc did not complete within {0}")]
    Timeout(String),
    #[error("error: health rpc probe failed: {0}")]
    Failed(String),
    #[error("service unhealthy (responded with {0:?})")]
    Unhealthy(&'static str),
}

/// Asks for the health of a service; an empty name is the server as a whole.
pub(crate) async fn check(host: &str, port: u16, service: &str, timeout: Duration) -> Result<(), GrpcError> {
    let address = dial::join(host, port);
    let shown = windlass_api::time::format_duration(i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX));
    let Ok(stream) = dial::tcp(host, port, timeout).await else {
        return Err(GrpcError::Connect { address, timeout: shown });
    };
    match tokio::time::timeout(timeout, ask(stream, &address, service)).await {
        Ok(result) => result,
        Err(_) => Err(GrpcError::Timeout(shown)),
    }
}

async fn ask(stream: TcpStream, address: &str, service: &str) -> Result<(), GrpcError> {
    let failed = |error: ExchangeError| GrpcError::Failed(error.to_string());
    let (mut sender, _driver) = dial::http2(stream.into()).await.map_err(failed)?;
    let request = Request::post(format!("http://{address}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "kube-probe/1.37")
        .body(Full::new(encode(service)))
        .map_err(|error| GrpcError::Failed(error.to_string()))?;
    let response = sender.send_request(request).await.map_err(|error| failed(ExchangeError::of(&error)))?;
    let head = response.headers().clone();
    let body = Limited::new(response.into_body(), ANSWER_MAX_BYTES)
        .collect()
        .await
        .map_err(|error| failed(ExchangeError::of(&*error)))?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    let header = |name: &str| trailers.get(name).or_else(|| head.get(name)).map(windlass_http::header::text);
    match header("grpc-status").as_deref().unwrap_or("0") {
        "0" => {}
        "12" => return Err(GrpcError::Unimplemented(header("grpc-message").unwrap_or_default().into_owned())),
        code => {
            let message = header("grpc-message").unwrap_or_default();
            return Err(GrpcError::Failed(format!("rpc error: code = {code} desc = {message}")));
        }
    }
    match status(&body.to_bytes()) {
        SERVING => Ok(()),
        2 => Err(GrpcError::Unhealthy("NOT_SERVING")),
        3 => Err(GrpcError::Unhealthy("SERVICE_UNKNOWN")),
        _ => Err(GrpcError::Unhealthy("UNKNOWN")),
    }
}

/// HealthCheckRequest { string service = 1; } in its gRPC frame.
fn encode(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a);
        varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put(message);
    frame.freeze()
}

fn varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// HealthCheckResponse { ServingStatus status = 1; }; what cannot be read is unknown.
fn status(frame: &[u8]) -> u64 {
    let message = frame.get(5..).unwrap_or_default();
    match message {
        [0x08, rest @ ..] => rest
            .iter()
            .scan(false, |ended, byte| {
                let go = !*ended;
                *ended = byte & 0x80 == 0;
                go.then_some(u64::from(byte & 0x7f))
            })
            .take(9)
            .enumerate()
            .fold(0, |value, (index, bits)| value | bits << (7 * index)),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames() {
        assert_eq!(&encode("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&encode("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert_eq!(status(&[0, 0, 0, 0, 2, 8, 1]), SERVING);
        assert_eq!(status(&[0, 0, 0, 0, 0]), 0);
        assert_eq!(status(&[0]), 0);
    }
}
