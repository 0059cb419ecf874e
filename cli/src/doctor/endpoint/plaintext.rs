//! What a port speaks, by its answers to the first bytes of HTTP/2 and of HTTP/1.1 in plain text. No key is sent.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ProbeTarget;
use super::http1::{self, Head};
use logbridge::internals::escape::OneLine;

const TIMEOUT: Duration = Duration::from_millis(2500);
/// A head is shorter.
const MOST: usize = 16 << 10;

/// The preface of HTTP/2 and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// What was heard.
#[derive(Debug, Default)]
pub(crate) struct PlainProtocols {
    /// It answers the preface of HTTP/2 with settings.
    pub(crate) is_http2: bool,
    pub(crate) http1: Option<Head>,
    /// When that head came.
    pub(crate) received_at: Option<SystemTime>,
    /// Something else said this first.
    pub(crate) banner: Option<String>,
}

/// Listens, with both at the same time.
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

/// A frame of type SETTINGS on stream 0.
fn is_settings(bytes: &[u8]) -> bool {
    matches!(bytes, [_, _, _, 4, _, 0, 0, 0, 0, ..])
}

/// A record of TLS that is an alert or a handshake.
fn is_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [0x15 | 0x16, 3, ..])
}

/// The first words, without what could move a cursor.
fn banner(bytes: &[u8]) -> String {
    OneLine(&String::from_utf8_lossy(bytes).chars().take(40).collect::<String>()).to_string()
}

/// What comes back, up to the end of a head.
async fn exchange(address: SocketAddr, say: &[u8]) -> Vec<u8> {
    let mut heard = Vec::new();
    let _what_was_heard_counts = timeout(TIMEOUT, async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(say).await?;
        let mut buffer = [0; 4096];
        loop {
            let length = stream.read(&mut buffer).await?;
            heard.extend_from_slice(buffer.get(..length).unwrap_or_default());
            let is_head = heard.starts_with(b"HTTP/1.");
            let has_end = heard.windows(4).any(|window| window == b"\r\n\r\n");
            if length == 0 || heard.len() > MOST || (is_head && has_end) || (!is_head && heard.len() >= 9) {
                return Ok::<(), std::io::Error>(());
            }
        }
    })
    .await;
    heard
}
