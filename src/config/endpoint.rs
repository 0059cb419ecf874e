//! Where telemetry goes: the specification's endpoint rules.

use std::fmt;

use http::Uri;
use http::uri::PathAndQuery;

use crate::signal::Signal;

/// The specification's defaults.
pub(crate) const DEFAULT_ENDPOINT: &str = "http://localhost:4318";
pub(crate) const DEFAULT_GRPC_ENDPOINT: &str = "http://localhost:4317";

/// A URL that one signal is posted to. Its `Display` never shows a password.
#[derive(Clone, Eq, PartialEq)]
pub struct Endpoint {
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
    pub fn from_full(url: &str) -> Result<Self, String> {
        Self::verbatim(url, url)
    }

    /// The target of a gRPC client: a scheme, a host and a port. Where there is no scheme, `insecure` says which; a path
    /// has no meaning and is left out.
    pub(crate) fn of_grpc(given: &str, insecure: bool) -> Result<Self, String> {
        let scheme = if insecure { "http" } else { "https" };
        let target = if given.contains("://") { given.to_owned() } else { format!("{scheme}://{given}") };
        let mut parts = Self::verbatim(given, &target)?.uri.into_parts();
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        let uri = Uri::from_parts(parts).map_err(|error| format!("`{}` is no URL: {error}", redact_url(given)))?;
        Ok(Self { uri })
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
            // `http` takes any text there, and the client would go to the port of the scheme.
            Some(host) if uri.port().is_none() && has_port(&uri, host) => {
                Err(format!("`{shown}` is no URL: its port is no number up to 65535"))
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

fn has_port(uri: &Uri, host: &str) -> bool {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    address.strip_prefix(host).is_some_and(|port| port.len() > 1)
}

/// The URL without credentials and without the values of its query. What is no URL has them in odd places: everything in
/// front of the last `@` may be a password.
pub fn redact_url(url: &str) -> String {
    let (scheme, rest) = url.find("://").map_or(("", url), |at| url.split_at(at + 3));
    let (before, query) = rest.split_once('?').map_or((rest, None), |(before, query)| (before, Some(query)));
    // A query in front of any path may be the rest of a password.
    let is_query = before.contains('/') || query.is_none_or(|query| !query.contains('@'));
    let searched = if is_query { before } else { rest };
    let (hidden, shown) = searched.rsplit_once('@').map_or(("", searched), |(_, shown)| ("…@", shown));
    let (shown, cut) = shown.split_once('?').map_or((shown, false), |(shown, _)| (shown, true));
    let query = if cut || (is_query && query.is_some()) { "?…" } else { "" };
    format!("{scheme}{hidden}{shown}{query}")
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
