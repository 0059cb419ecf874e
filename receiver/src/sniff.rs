//! Detects the protocol of a connection by its first bytes.

use std::time::Duration;

use tokio::net::TcpStream;

/// The first bytes of an HTTP/2 connection.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// The first bytes of a TLS handshake, in all versions in use.
const TLS_HANDSHAKE: &[u8] = b"\x16\x03";

/// The time between two looks at an incomplete prefix.
const PAUSE: Duration = Duration::from_millis(1);

/// The maximum number of looks at an incomplete prefix.
const MAX_LOOKS: usize = 5_000;

/// The protocol that a client speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Protocol {
    /// Also every unknown protocol, and a connection without any bytes.
    Http1,
    Http2,
    Tls,
}

/// Returns the protocol by the first bytes of a connection, without consuming them.
///
/// Waits for the first byte. Waits about 5 seconds for the rest of a prefix, because a client that has hung up after
/// one byte cannot be distinguished from a slow one.
pub(super) async fn sniff(stream: &TcpStream) -> Protocol {
    let mut buffer = [0; HTTP2_PREFACE.len()];
    let mut looks_left = MAX_LOOKS;
    loop {
        let Ok(read) = stream.peek(&mut buffer).await else { return Protocol::Http1 };
        let seen = buffer.get(..read).unwrap_or_default();
        if seen == HTTP2_PREFACE {
            return Protocol::Http2;
        }
        if seen.starts_with(TLS_HANDSHAKE) {
            return Protocol::Tls;
        }
        let is_prefix = !seen.is_empty() && (HTTP2_PREFACE.starts_with(seen) || TLS_HANDSHAKE.starts_with(seen));
        if !is_prefix || looks_left == 0 {
            return Protocol::Http1;
        }
        looks_left -= 1;
        tokio::time::sleep(PAUSE).await;
    }
}
