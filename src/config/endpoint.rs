//! Where telemetry goes: the specification's endpoint rules, and headers.

use std::fmt;

use http::{HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use crate::signal::Signal;

/// The specification's default.
pub(crate) const DEFAULT_ENDPOINT: &str = "http://localhost:4318";

/// A URL that one signal is posted to. Its `Display` never shows a password.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Endpoint {
    uri: Uri,
}

impl Endpoint {
    /// A base URL: the signal's path is appended to its path.
    pub(crate) fn from_base(base: &str, signal: Signal) -> Result<Self, String> {
        // Checked by itself: behind `http://` alone, the path would become the host.
        Self::verbatim(base, base)?;
        let (address, query) = base.split_once('?').map_or((base, ""), |(address, query)| (address, query));
        let separator = if address.ends_with('/') { "" } else { "/" };
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        Self::verbatim(base, &format!("{address}{separator}v1/{}{query}", signal.path()))
    }

    /// A URL that is used as it is, with `/` where it has no path.
    pub(crate) fn from_full(url: &str) -> Result<Self, String> {
        Self::verbatim(url, url)
    }

    fn verbatim(given: &str, url: &str) -> Result<Self, String> {
        let shown = redact_url(given);
        let uri: Uri = url.parse().map_err(|error| format!("`{shown}` is no URL: {error}"))?;
        match uri.scheme_str() {
            Some("http" | "https") => {}
            Some(scheme) if uri.authority().is_some() => {
                return Err(format!("`{shown}` has the scheme `{scheme}`; it must be http or https"));
            }
            _ => return Err(format!("`{shown}` is no URL: it has no http:// or https:// in front")),
        }
        match uri.host() {
            None | Some("") => Err(format!("`{shown}` is no URL: it names no host")),
            Some(_) => Ok(Self { uri }),
        }
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(crate) fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// `user:password` of the URL, as an `authorization` value would carry it.
    pub(crate) fn credentials(&self) -> Option<&str> {
        self.uri.authority()?.as_str().rsplit_once('@').map(|(credentials, _)| credentials)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact_url(&self.uri.to_string()))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The URL without credentials and without the values of its query.
fn redact_url(url: &str) -> String {
    let (url, query) = url.split_once('?').map_or((url, ""), |(url, _)| (url, "?…"));
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let authority_end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    let authority = match authority.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => authority.to_owned(),
    };
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}{authority}{path}{query}")
}

/// One header to send with each request. The value is never shown.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) name: HeaderName,
    /// Marked sensitive, so that `Debug` hides it.
    pub(crate) value: HeaderValue,
}

/// Makes a header, with an error text that names it but does not show its value.
pub(crate) fn header(name: &str, value: &str) -> Result<Header, String> {
    let name: HeaderName =
        name.trim().parse().map_err(|_| format!("`{}` is no header name", name.trim().escape_debug()))?;
    let mut value = HeaderValue::from_str(value.trim())
        .map_err(|_| format!("the value of the header `{name}` has a line break or another control character in it"))?;
    value.set_sensitive(true);
    Ok(Header { name, value })
}

/// Headers as `OTEL_EXPORTER_OTLP_HEADERS` has them (`key=value,key=value`, values percent-encoded), and the texts of
/// what cannot be used.
pub(crate) fn parse_headers(text: &str) -> (Vec<Header>, Vec<String>) {
    let mut headers = Vec::new();
    let mut problems = Vec::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=') else {
            let name = pair.split_once(':').map_or("", |(name, _)| name.trim());
            let shown = if name.is_empty() { "one header".to_owned() } else { format!("the header `{name}`") };
            problems.push(format!("{shown} is not written as `key=value`"));
            continue;
        };
        let decoded = percent_decode_str(value).decode_utf8_lossy();
        match header(name, &decoded) {
            Ok(header) => headers.push(header),
            Err(problem) => problems.push(problem),
        }
    }
    (headers, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_gets_the_path_and_a_full_url_stays() {
        for (base, full) in [
            ("http://localhost:4318", "http://localhost:4318/v1/logs"),
            ("http://localhost:4318/", "http://localhost:4318/v1/logs"),
            ("https://otel.example/base/path", "https://otel.example/base/path/v1/logs"),
            ("https://otel.example/base/path/", "https://otel.example/base/path/v1/logs"),
        ] {
            assert_eq!(Endpoint::from_base(base, Signal::Logs).map(|e| e.to_string()), Ok(full.to_owned()));
        }
        let traces = Endpoint::from_base("https://otel.example/base", Signal::Traces).map(|e| e.to_string());
        assert_eq!(traces, Ok("https://otel.example/base/v1/traces".to_owned()));
        assert_eq!(Endpoint::from_full("http://h:1/x").map(|e| e.to_string()), Ok("http://h:1/x".to_owned()));
        assert_eq!(Endpoint::from_full("http://h:1").map(|e| e.to_string()), Ok("http://h:1/".to_owned()));
        assert!(Endpoint::from_base("https://h", Signal::Logs).is_ok_and(|e| e.is_https()));
    }

    #[test]
    fn what_is_no_url_is_said_without_secrets() {
        for text in ["localhost:4318", "not a url", "ftp://host", "http://", "/v1/logs", "4318"] {
            let problem = Endpoint::from_base(text, Signal::Logs).expect_err(text);
            assert!(problem.contains(text), "{problem}");
        }
        let problem = Endpoint::from_base("htp://user:s3cret@host/x?token=t0p", Signal::Logs).expect_err("scheme");
        assert!(!problem.contains("s3cret") && !problem.contains("t0p"), "{problem}");
        let endpoint = Endpoint::from_base("http://user:s3cret@host", Signal::Logs).expect("a URL");
        assert_eq!(endpoint.to_string(), "http://…@host/v1/logs");
        assert_eq!(endpoint.credentials(), Some("user:s3cret"));
    }

    #[test]
    fn headers_are_percent_decoded_and_bad_ones_leave_the_others() {
        let (headers, problems) = parse_headers("authorization=Bearer%20a%2Cb, x-a = 1 ,broken,key: value,b%d=1,c=%0A");
        let seen: Vec<_> = headers.iter().map(|h| (h.name.as_str(), h.value.to_str().unwrap_or_default())).collect();
        assert_eq!(seen, [("authorization", "Bearer a,b"), ("x-a", "1"), ("b%d", "1"), ("c", "")]);
        assert_eq!(
            problems,
            ["one header is not written as `key=value`", "the header `key` is not written as `key=value`"]
        );
        let bad = header("x", "a\nb").expect_err("line break");
        assert!(!bad.contains("a\nb"), "{bad}");
        assert!(!format!("{headers:?}").contains("Bearer"));
    }
}
