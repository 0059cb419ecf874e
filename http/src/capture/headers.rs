//! Captured headers.

use http::{HeaderMap, HeaderName, HeaderValue};
use logbridge::{CaptureMode, HeaderList, HttpSettings};

use super::body::cut;
use super::scan::{REDACTED, Rules, redact};
use super::secret_names::is_secret;
use super::url::redacted_url_text;

/// Headers that are captured by default: those that carry neither credentials nor personal data.
const DEFAULT_REQUEST: [&str; 11] = [
    "accept",
    "accept-encoding",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "if-none-match",
    "traceparent",
    "user-agent",
    "x-correlation-id",
    "x-request-id",
];
const DEFAULT_RESPONSE: [&str; 13] = [
    "allow",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-type",
    "etag",
    "location",
    "retry-after",
    "server",
    "vary",
    "via",
    "x-correlation-id",
    "x-request-id",
];

/// Headers that are redacted although their names do not say so. Browsers, which cannot set other headers of a WebSocket,
/// send tokens as its subprotocol.
const SECRET: [&str; 1] = ["sec-websocket-protocol"];

/// Headers whose values are URLs.
const URLS: [&str; 4] = ["content-location", "location", "origin", "referer"];

/// How many headers of one message are captured. The SDK's limit for all attributes of a span is 128.
const MAX_HEADERS: usize = 64;
/// How many headers are compared with patterns.
const MAX_COMPARED: usize = 1024;
/// How many values of one header are captured.
const MAX_VALUES: usize = 16;
/// The maximum length of a value in bytes.
const MAX_VALUE: usize = 1 << 10;

/// Calls `set` for each captured header with its attribute name and redacted values.
///
/// Does nothing if capture is off and there is no list in the settings.
pub(crate) fn headers(
    settings: &HttpSettings,
    list: HeaderList,
    headers: &HeaderMap,
    mut set: impl FnMut(String, Vec<String>),
) {
    let capture = settings.capture();
    let prefix = match list {
        HeaderList::ClientRequest | HeaderList::ServerRequest => "http.request.header.",
        _ => "http.response.header.",
    };
    let mut record = |name: &str| {
        let mut values = headers.get_all(name).iter().take(MAX_VALUES).peekable();
        if values.peek().is_some() {
            set(format!("{prefix}{name}"), values.map(|value| redacted(settings, name, value)).collect());
        }
    };
    let defaults = match list {
        HeaderList::ClientRequest | HeaderList::ServerRequest => &DEFAULT_REQUEST[..],
        _ => &DEFAULT_RESPONSE,
    };
    match capture.header_names(list) {
        None if capture.mode() == CaptureMode::Off => {}
        None => defaults.iter().for_each(|name| record(name)),
        Some(patterns) if patterns.iter().any(|pattern| pattern.contains('*')) => headers
            .keys()
            .map(HeaderName::as_str)
            .take(MAX_COMPARED)
            .filter(|name| patterns.iter().any(|pattern| matches(pattern, name)))
            .take(MAX_HEADERS)
            .for_each(record),
        Some(names) => {
            for (index, name) in names.iter().take(MAX_HEADERS).enumerate() {
                // A name that is listed twice is one attribute.
                if !names.iter().take(index).any(|before| before == name) {
                    record(name);
                }
            }
        }
    }
}

/// Returns a value as text, redacted and cut.
fn redacted(settings: &HttpSettings, name: &str, value: &HeaderValue) -> String {
    let hides = |name: &str| is_secret(name) || settings.redacts_key(name);
    if hides(name) || SECRET.contains(&name) {
        return REDACTED.to_owned();
    }
    // Long values are cut before the redaction too, which bounds its work.
    let bytes = value.as_bytes();
    let start = bytes.get(..2 * MAX_VALUE).unwrap_or(bytes);
    let text = String::from_utf8_lossy(start);
    let rules = Rules { is_secret: &hides, is_cut: start.len() < bytes.len() };
    let redacted = match URLS.contains(&name) {
        true => redacted_url_text(&text, rules).into(),
        false => redact(&text, rules),
    };
    cut(&redacted, MAX_VALUE).to_owned()
}

/// Returns whether a name matches a pattern, in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = rest.get(at + piece.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
