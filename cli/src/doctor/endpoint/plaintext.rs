//! Detects the plain-text protocols of a port from its answers to the first bytes of HTTP/2 and HTTP/1.1.
//!
//! No key is sent.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ProbeTarget;
use super::http1::{self, Head};
use logbridge::internals::escape::OneLine;

const TIMEOUT: Duration = Duration::from_millis(2500);
/// The head of a response is shorter.
const MAX_BYTES: usize = 16 << 10;

/// The connection preface of HTTP/2 and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The plain-text protocols of a port.
#[derive(Debug, Default)]
pub(crate) struct PlainProtocols {
    /// Whether the port answers the HTTP/2 preface with a SETTINGS frame.
    pub(crate) is_http2: bool,
    pub(crate) http1: Option<Head>,
    /// When the HTTP/1.1 response was received.
    pub(crate) received_at: Option<SystemTime>,
    /// The first bytes of any other protocol.
    pub(crate) banner: Option<String>,
}

/// Tries both protocols concurrently.
pub(super) async fn detect(address: SocketAddr, target: &ProbeTarget) -> PlainProtocols {
    let request = http1::request(&target.host, target.port);
    let (to_preface, to_request) = tokio::join!(exchange(address, PREFACE), exchange(address, &request));
    let received_at = SystemTime::now();
    let http1 = http1::read(&to_request).or_else(|| http1::read(&to_preface));
    let is_http2 = is_settings(&to_preface);
    let other =
        [&to_preface, &to_request].into_iter().find(|bytes| !bytes.is_empty() && !is_settings(bytes) && !is_tls(bytes));
    PlainProtocols {
        is_http2,
        banner: other.filter(|_| http1.is_none() && !is_http2).map(|bytes| banner(bytes)),
        received_at: http1.is_some().then_some(received_at),
        http1,
    }
}

/// Returns whether the bytes start with a SETTINGS frame of HTTP/2.
fn is_settings(bytes: &[u8]) -> bool {
    matches!(bytes, [_, _, _, 4, _, 0, 0, 0, 0, ..])
}

/// Returns whether the bytes start with a TLS alert or handshake record.
fn is_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [0x15 | 0x16, 3, ..])
}

/// Returns the first characters, with control characters escaped.
fn banner(bytes: &[u8]) -> String {
    OneLine(&String::from_utf8_lossy(bytes).chars().take(40).collect::<String>()).to_string()
}

/// Sends a request and returns the response up to the end of its head. After a timeout or an error, returns the bytes
/// received so far.
async fn exchange(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut received = Vec::new();
    let _received_bytes_are_kept = timeout(TIMEOUT, async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request).await?;
        let mut buffer = [0; 4096];
        loop {
            let length = stream.read(&mut buffer).await?;
            received.extend_from_slice(buffer.get(..length).unwrap_or_default());
            let is_head = received.starts_with(b"HTTP/1.");
            let has_end = received.windows(4).any(|window| window == b"\r\n\r\n");
            if length == 0 || received.len() > MAX_BYTES || (is_head && has_end) || (!is_head && received.len() >= 9) {
                return Ok::<(), std::io::Error>(());
            }
        }
    })
    .await;
    received
}
