//! OTLP endpoints, by the rules of the specification.

use std::fmt;

use http::Uri;
use http::uri::PathAndQuery;

use crate::signal::Signal;

/// The specification's default endpoint for HTTP.
pub(crate) const DEFAULT_ENDPOINT: &str = "http://localhost:4318";
/// The specification's default endpoint for gRPC.
pub(crate) const DEFAULT_GRPC_ENDPOINT: &str = "http://localhost:4317";

/// The URL that one signal is sent to. `Display` and `Debug` hide credentials and query values.
#[derive(Clone, Eq, PartialEq)]
pub struct Endpoint {
    uri: Uri,
}

impl Endpoint {
    /// Parses a base URL and appends the signal's path to it.
    pub(crate) fn from_base(base: &str, signal: Signal) -> Result<Self, String> {
        // Validated before the path is appended: in `http://` alone, the path would become the host.
        Self::verbatim(base, base)?;
        let (address, query) = base.split_once('?').map_or((base, ""), |(address, query)| (address, query));
        let separator = if address.ends_with('/') { "" } else { "/" };
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        Self::verbatim(base, &format!("{address}{separator}v1/{}{query}", signal.path()))
    }

    /// Parses a URL that is used unchanged, except that an empty path becomes `/`.
    pub fn from_full(url: &str) -> Result<Self, String> {
        Self::verbatim(url, url)
    }

    /// Parses the target of a gRPC client: scheme, host and port.
    ///
    /// Without a scheme, `insecure` selects `http` or `https`. A path has no meaning in gRPC and is removed.
    pub(crate) fn from_grpc(given: &str, insecure: bool) -> Result<Self, String> {
        let scheme = if insecure { "http" } else { "https" };
        let target = if given.contains("://") { given.to_owned() } else { format!("{scheme}://{given}") };
        let mut parts = Self::verbatim(given, &target)?.uri.into_parts();
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        let uri = Uri::from_parts(parts).map_err(|error| format!("`{}` is not a URL: {error}", redact_url(given)))?;
        Ok(Self { uri })
    }

    fn verbatim(given: &str, url: &str) -> Result<Self, String> {
        let shown = redact_url(given);
        let uri: Uri = url.parse().map_err(|error| format!("`{shown}` is not a URL: {error}"))?;
        match uri.scheme_str() {
            Some("http" | "https") => {}
            Some(scheme) if uri.authority().is_some() => {
                return Err(format!("`{shown}` has the scheme `{scheme}`; it must be http or https"));
            }
            _ => return Err(format!("`{shown}` is not a URL: it does not begin with http:// or https://")),
        }
        match uri.host() {
            None | Some("") => Err(format!("`{shown}` is not a URL: it has no host")),
            // The crate `http` accepts any text as a port, and the client would then use the scheme's default port.
            Some(host) if uri.port().is_none() && has_port(&uri, host) => {
                Err(format!("`{shown}` is not a URL: its port is not a number from 0 to 65535"))
            }
            Some(_) => Ok(Self { uri }),
        }
    }

    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    pub fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// Returns `user:password` from the URL.
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

fn has_port(uri: &Uri, host: &str) -> bool {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    address.strip_prefix(host).is_some_and(|port| port.len() > 1)
}

/// Removes credentials and query values from a URL.
///
/// The text may be malformed, so everything before the last `@` is treated as a possible password.
pub fn redact_url(url: &str) -> String {
    let (scheme, rest) = url.find("://").map_or(("", url), |at| url.split_at(at + 3));
    let (before, query) = rest.split_once('?').map_or((rest, None), |(before, query)| (before, Some(query)));
    // A `?` before the first slash may belong to a password.
    let is_query = before.contains('/') || query.is_none_or(|query| !query.contains('@'));
    let searched = if is_query { before } else { rest };
    let (hidden, shown) = searched.rsplit_once('@').map_or(("", searched), |(_, shown)| ("…@", shown));
    let (shown, cut) = shown.split_once('?').map_or((shown, false), |(shown, _)| (shown, true));
    let query = if cut || (is_query && query.is_some()) { "?…" } else { "" };
    format!("{scheme}{hidden}{shown}{query}")
}

/// Replaces `/v1/logs` at the end of a URL's path by `/v1/traces`. Returns `None` for any other path.
pub(super) fn traces_url_for(logs_url: &str) -> Option<String> {
    let (url, query) = logs_url.split_once('?').map_or((logs_url, None), |(url, query)| (url, Some(query)));
    let base = url.strip_suffix("/v1/logs")?;
    Some(match query {
        Some(query) => format!("{base}/v1/traces?{query}"),
        None => format!("{base}/v1/traces"),
    })
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
    fn invalid_urls_are_reported_without_secrets() {
        for text in ["localhost:4318", "not a url", "ftp://host", "http://", "/v1/logs", "4318"] {
            let problem = Endpoint::from_base(text, Signal::Logs).expect_err(text);
            assert!(problem.contains(text), "{problem}");
        }
        let problem = Endpoint::from_base("htp://user:s3cret@host/x?token=t0p", Signal::Logs).expect_err("scheme");
        assert!(!problem.contains("s3cret") && !problem.contains("t0p"), "{problem}");
        for (url, shown) in [
            ("http://u:s3cret/s3cret@h/x?s3cret", "http://…@h/x?…"),
            ("http://u:s3cret?s3cret@h/x?s3cret", "http://…@h/x?…"),
            ("u:s3cret@h", "…@h"),
            ("http://h/x?to=a@b", "http://h/x?…"),
        ] {
            assert_eq!(redact_url(url), shown, "{url}");
        }
        let endpoint = Endpoint::from_base("http://user:s3cret@host", Signal::Logs).expect("a URL");
        assert_eq!(endpoint.to_string(), "http://…@host/v1/logs");
        assert_eq!(endpoint.credentials(), Some("user:s3cret"));
    }
}
