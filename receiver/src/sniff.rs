//! What a client speaks, by its first bytes.

use std::time::Duration;

use tokio::net::TcpStream;

/// What a client of HTTP/2 sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// A handshake, in any version that is in use.
const TLS: &[u8] = b"\x16\x03";

/// How long to wait for the rest of what has begun.
const PAUSE: Duration = Duration::from_millis(1);
/// And how often.
const MOST_LOOKS: usize = 5_000;

/// What a client speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Opening {
    /// Whatever is none of the others, nothing included.
    Http1,
    Http2,
    Tls,
}

/// Looks at the first bytes of a connection, which stay there to be read. Waits for them, but not for ever for the rest of
/// what has begun: whoever hangs up behind one letter looks like somebody who is slow.
pub(super) async fn opening(stream: &TcpStream) -> Opening {
    let mut first = [0; PREFACE.len()];
    let mut left = MOST_LOOKS;
    loop {
        let Ok(read) = stream.peek(&mut first).await else { return Opening::Http1 };
        let seen = first.get(..read).unwrap_or_default();
        if seen == PREFACE {
            return Opening::Http2;
        }
        if seen.starts_with(TLS) {
            return Opening::Tls;
        }
        let has_begun = !seen.is_empty() && (PREFACE.starts_with(seen) || TLS.starts_with(seen));
        if !has_begun || left == 0 {
            return Opening::Http1;
        }
        left -= 1;
        tokio::time::sleep(PAUSE).await;
    }
}
