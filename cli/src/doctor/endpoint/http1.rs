//! A minimal HTTP/1.1 request, and the status, server and date of the response.

use std::time::SystemTime;

/// The head of a response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) server: Option<String>,
    pub(crate) date: Option<SystemTime>,
}

/// Returns a GET request without a key.
pub(super) fn request(host: &str, port: u16) -> Vec<u8> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    format!(
        "GET / HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: logbridge-doctor\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    )
    .into_bytes()
}

/// Parses the head of a response. Returns `None` if the bytes are not HTTP/1.
pub(super) fn read(bytes: &[u8]) -> Option<Head> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let mut head = Head { status, server: None, date: None };
    for line in lines.take_while(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once(':') else { continue };
        match name.to_ascii_lowercase().as_str() {
            "server" => head.server = Some(value.trim().chars().take(60).collect()),
            "date" => head.date = httpdate::parse_http_date(value.trim()).ok(),
            _ => {}
        }
    }
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let head =
            read(b"HTTP/1.1 404 Not Found\r\nserver: nginx\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nDate: x")
                .expect("a head");
        assert_eq!((head.status, head.server.as_deref()), (404, Some("nginx")));
        assert!(head.date.is_some());
        for bytes in [&b""[..], b"SSH-2.0-x", b"HTTP/1.1", b"HTTP/1.1 x", b"\xff\xfe", b"\0\0\x12\x04"] {
            assert_eq!(read(bytes), None, "{bytes:?}");
        }
    }
}
