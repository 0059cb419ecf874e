//! What the headers of a message tell about its body.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

/// The character encoding of a textual body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Charset {
    Latin1,
    /// The default, and that of ASCII.
    Utf8,
}

/// The content coding of a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Coding {
    Deflate,
    Gzip,
    Identity,
}

/// What is known about a body that can be captured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Content {
    pub(super) charset: Charset,
    pub(super) coding: Coding,
    pub(super) is_form: bool,
}

impl Content {
    /// Returns `None` if the body is not textual, or if its charset or coding is unknown.
    pub(super) fn new(headers: &HeaderMap) -> Option<Self> {
        let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let mut parts = content_type.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let charset = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
        });
        let is_form = media_type == "application/x-www-form-urlencoded";
        // The parts of a multipart body can be binary, whatever its parameters say. The names of columns are far from
        // their values.
        let is_excluded = media_type.starts_with("multipart/")
            || ["text/csv", "text/tab-separated-values"].contains(&media_type.as_str());
        let is_textual = !is_excluded && (is_form || is_textual(&media_type) || charset.is_some());
        if !is_textual {
            return None;
        }
        Some(Self { charset: known_charset(charset.unwrap_or("utf-8"))?, coding: coding(headers)?, is_form })
    }
}

fn is_textual(media_type: &str) -> bool {
    let Some((top, sub)) = media_type.split_once('/') else { return false };
    top == "text"
        || ["json", "xml", "yaml"]
            .into_iter()
            .any(|format| sub.strip_suffix(format).is_some_and(|before| before.is_empty() || before.ends_with('+')))
        // One JSON document per line, and the names that YAML had before its registration.
        || ["x-ndjson", "ndjson", "jsonl", "x-yaml"].contains(&sub)
}

fn known_charset(name: &str) -> Option<Charset> {
    match name.to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" | "us-ascii" | "ascii" => Some(Charset::Utf8),
        "iso-8859-1" | "latin1" => Some(Charset::Latin1),
        _ => None,
    }
}

/// Returns the only content coding, or `None` if it is unknown or there are several.
fn coding(headers: &HeaderMap) -> Option<Coding> {
    let mut coding = Coding::Identity;
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in value.to_str().ok()?.split(',').map(|name| name.trim().to_ascii_lowercase()) {
            let next = match name.as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                _ => return None,
            };
            if coding != Coding::Identity {
                return None;
            }
            coding = next;
        }
    }
    Some(coding)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn content(content_type: &str, coding: &[&str]) -> Option<Content> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
        for coding in coding {
            headers.append(CONTENT_ENCODING, HeaderValue::from_str(coding).unwrap());
        }
        Content::new(&headers)
    }

    #[test]
    fn textual_types_are_those_of_the_convention() {
        for textual in [
            "text/plain",
            "TEXT/HTML; charset=UTF-8",
            "text/event-stream",
            "application/json",
            "application/problem+json",
            "application/xml",
            "image/svg+xml",
            "application/yaml",
            "application/x-yaml",
            "application/openapi+yaml",
            "application/x-www-form-urlencoded",
            "application/x-ndjson",
            "application/javascript;charset=utf-8",
            "application/json ; charset=\"utf-8\"",
            "text/html; version=5; charset=us-ascii",
        ] {
            assert!(content(textual, &[]).is_some(), "{textual}");
        }
        for binary in [
            "application/octet-stream",
            "image/png",
            "application/grpc",
            "application/grpc+proto",
            "application/pdf",
            "multipart/form-data; boundary=x",
            "multipart/mixed; charset=utf-8",
            "application/x-protobuf",
            "json",
            "",
            "application/notjson",
            "application/jwt",
            "audio/x-xml2",
            "text/csv; header=present; charset=us-ascii",
            "text/tab-separated-values",
        ] {
            assert_eq!(content(binary, &[]), None, "{binary}");
        }
        assert_eq!(Content::new(&HeaderMap::new()), None, "no content type");
        assert!(content("application/x-www-form-urlencoded; charset=utf-8", &[]).unwrap().is_form);
        assert!(!content("application/json", &[]).unwrap().is_form);
    }

    #[test]
    fn unknown_charsets_are_not_captured() {
        assert_eq!(content("text/plain; charset=ISO-8859-1", &[]).unwrap().charset, Charset::Latin1);
        for unknown in ["utf-16", "utf-16le", "utf-7", "shift_jis", "windows-1252", ""] {
            assert_eq!(content(&format!("text/plain; charset={unknown}"), &[]), None, "{unknown}");
        }
    }

    #[test]
    fn at_most_one_known_coding_is_removed() {
        for (values, expected) in [
            (&[][..], Some(Coding::Identity)),
            (&["identity"], Some(Coding::Identity)),
            (&["GZIP"], Some(Coding::Gzip)),
            (&["x-gzip"], Some(Coding::Gzip)),
            (&["deflate"], Some(Coding::Deflate)),
            (&["identity, gzip"], Some(Coding::Gzip)),
            (&["identity", "gzip"], Some(Coding::Gzip)),
            (&["br"], None),
            (&["zstd"], None),
            (&["gzip, br"], None),
            (&["gzip", "br"], None),
            (&["gzip, gzip"], None),
        ] {
            assert_eq!(content("text/plain", values).map(|content| content.coding), expected, "{values:?}");
        }
    }
}
