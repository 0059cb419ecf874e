//! What spans and metrics need to know about a request.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use http::header::{AsHeaderName, FORWARDED, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, Method, Request, Uri, Version, request};
use logbridge::HttpSettings;

use crate::capture::{redacted_path, redacted_query};
use crate::semconv::OTHER;

const HTTP: &str = "http";

/// A request without its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'r> {
    pub(crate) method: &'r Method,
    pub(crate) uri: &'r Uri,
    pub(crate) version: Version,
    pub(crate) headers: &'r HeaderMap,
    /// Whether a proxy may have added headers. Requests without a proxy save six lookups.
    is_forwarded: bool,
}

impl<'r> Head<'r> {
    pub(crate) fn of_parts(parts: &'r request::Parts) -> Self {
        Self::new(&parts.method, &parts.uri, parts.version, &parts.headers)
    }

    pub(crate) fn of_request<B>(request: &'r Request<B>) -> Self {
        Self::new(request.method(), request.uri(), request.version(), request.headers())
    }

    pub(crate) fn new(method: &'r Method, uri: &'r Uri, version: Version, headers: &'r HeaderMap) -> Self {
        // Comparing names is faster than looking them up only if they are few.
        const FEW: usize = 24;
        let is_of_proxy = |name: &HeaderName| *name == FORWARDED || name.as_str().starts_with("x-forwarded-");
        let is_forwarded = headers.len() > FEW || headers.keys().any(is_of_proxy);
        Self { method, uri, version, headers, is_forwarded }
    }

    /// Returns what the proxy next to the client says, in a parameter of `Forwarded` or in a header of its own.
    fn forwarded(&self, parameter: &str, header: &'static str) -> Option<&'r str> {
        if !self.is_forwarded {
            return None;
        }
        forwarded(self.headers, parameter).or_else(|| first_of_list(self.headers, header))
    }

    /// Returns the scheme that the client used, if a proxy says so, or else that of the request. `own` is used if
    /// neither is known.
    pub(crate) fn original_scheme(&self, own: Option<&'r str>) -> &'r str {
        self.forwarded("proto", "x-forwarded-proto").or_else(|| self.uri.scheme_str()).or(own).unwrap_or(HTTP)
    }

    /// Returns the host and the port that the client asked for, as a proxy or the request says.
    pub(crate) fn original_host(&self) -> Option<(&'r str, Option<u16>)> {
        self.forwarded("host", "x-forwarded-host").and_then(host_and_port).or_else(|| self.authority())
    }

    /// Returns the host and the port of the request.
    pub(crate) fn authority(&self) -> Option<(&'r str, Option<u16>)> {
        let authority = self.uri.authority().map(|authority| authority.as_str());
        authority.or_else(|| text(self.headers, HOST)).and_then(host_and_port)
    }

    /// Returns the address of the client that a proxy has named.
    fn forwarded_client(&self) -> Option<&'r str> {
        let client = self.forwarded("for", "x-forwarded-for")?;
        let (address, _) = host_and_port(client)?;
        (!address.eq_ignore_ascii_case("unknown")).then_some(address)
    }

    /// Returns the address of the client, behind all proxies if they have named it.
    pub(crate) fn client(&self, peer: Option<SocketAddr>) -> Option<ClientAddress<'r>> {
        let named = self.forwarded_client().map(ClientAddress::Named);
        named.or_else(|| peer.map(|peer| ClientAddress::Peer(peer.ip())))
    }

    /// Returns the query without secrets.
    pub(crate) fn query(&self, settings: &HttpSettings) -> Option<Cow<'r, str>> {
        self.uri.query().map(|query| redacted_query(query, settings))
    }

    /// Returns the path without secrets.
    pub(crate) fn path(&self, settings: &HttpSettings) -> Cow<'r, str> {
        redacted_path(self.uri.path(), settings)
    }

    pub(crate) fn user_agent(&self) -> Option<&'r str> {
        text(self.headers, USER_AGENT)
    }
}

/// The address of a client: as a proxy has named it, or that of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ClientAddress<'r> {
    Named(&'r str),
    Peer(IpAddr),
}

impl fmt::Display for ClientAddress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Peer(address) => address.fmt(f),
        }
    }
}

/// The name of a method in spans and metrics.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct MethodName {
    /// The method, or `_OTHER`.
    pub(crate) name: Cow<'static, str>,
}

impl MethodName {
    /// Returns the name of a method. `known` is the list that replaces the built-in one.
    pub(crate) fn new(method: &Method, known: Option<&[String]>) -> Self {
        let name = match known {
            None => built_in(method).map_or(Cow::Borrowed(OTHER), Cow::Borrowed),
            Some(list) if list.iter().any(|name| name == method.as_str()) => {
                built_in(method).map_or_else(|| Cow::Owned(method.as_str().to_owned()), Cow::Borrowed)
            }
            Some(_) => Cow::Borrowed(OTHER),
        };
        Self { name }
    }

    /// Returns whether the method has a name of its own. Otherwise, its text belongs into another attribute.
    pub(crate) fn is_known(&self) -> bool {
        self.name != OTHER
    }

    /// Returns the method as the first word of a span's name.
    pub(crate) fn in_span_name(&self) -> &str {
        if self.is_known() { &self.name } else { "HTTP" }
    }
}

/// Returns the name of a method of RFC 9110, of PATCH or of QUERY.
fn built_in(method: &Method) -> Option<&'static str> {
    const NAMES: [&str; 10] = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "CONNECT", "QUERY", "TRACE"];
    NAMES.into_iter().find(|name| method.as_str() == *name)
}

/// Returns the version as the convention writes it.
pub(crate) fn protocol_version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_09 => Some("0.9"),
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}

/// Splits `host:port`. The host has no brackets and no credentials.
pub(crate) fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let text = text.rsplit_once('@').map_or(text, |(_, host)| host);
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, rest.strip_prefix(':'))
        }
        None => match text.rsplit_once(':') {
            // An IPv6 address without brackets has no port.
            Some((host, _)) if host.contains(':') && text.parse::<IpAddr>().is_ok() => (text, None),
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    (!host.is_empty()).then(|| (host, port.and_then(|port| port.parse().ok())))
}

/// Returns the port of a URL that names none.
pub(crate) fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().filter(|text| !text.is_empty())
}

/// Returns the first entry of a list, which the proxy next to the client has written.
fn first_of_list(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    let first = text(headers, name)?.split(',').next()?.trim();
    (!first.is_empty()).then_some(first)
}

/// Returns a parameter of the first entry of `Forwarded` (RFC 7239).
fn forwarded<'h>(headers: &'h HeaderMap, parameter: &str) -> Option<&'h str> {
    first_of_list(headers, FORWARDED)?.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case(parameter) && !value.is_empty()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn methods_that_nobody_knows_are_other() {
        let acl = Method::from_bytes(b"ACL").unwrap();
        let name = |method: &Method, known: Option<&[&str]>| {
            let known: Option<Vec<String>> = known.map(|list| list.iter().map(|name| (*name).to_owned()).collect());
            let name = MethodName::new(method, known.as_deref());
            (name.in_span_name().to_owned(), name.name.into_owned())
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(name(&Method::GET, None), pair("GET", "GET"));
        assert_eq!(name(&Method::from_bytes(b"QUERY").unwrap(), None), pair("QUERY", "QUERY"));
        assert_eq!(name(&acl, None), pair("HTTP", "_OTHER"));
        // Names are case-sensitive.
        assert_eq!(name(&Method::from_bytes(b"get").unwrap(), None), pair("HTTP", "_OTHER"));
        // A list replaces the built-in one.
        assert_eq!(name(&acl, Some(&["ACL"])), pair("ACL", "ACL"));
        assert_eq!(name(&Method::GET, Some(&["ACL"])), pair("HTTP", "_OTHER"));
    }

    #[test]
    fn hosts_and_ports_are_split() {
        for (text, expected) in [
            ("shop.example:8080", Some(("shop.example", Some(8080)))),
            ("shop.example", Some(("shop.example", None))),
            ("[2001:db8::1]:4711", Some(("2001:db8::1", Some(4711)))),
            ("[2001:db8::1]", Some(("2001:db8::1", None))),
            ("2001:db8::1", Some(("2001:db8::1", None))),
            ("192.0.2.1:80", Some(("192.0.2.1", Some(80)))),
            ("user:secret@shop.example:80", Some(("shop.example", Some(80)))),
            ("shop.example:http", Some(("shop.example", None))),
            ("shop.example:99999", Some(("shop.example", None))),
            ("", None),
            (":80", None),
            ("[::1", None),
        ] {
            assert_eq!(host_and_port(text), expected, "{text}");
        }
    }

    #[test]
    fn the_host_comes_from_the_first_source_that_the_convention_lists() {
        let host = |uri: &str, headers: &[(&str, &str)]| {
            let request = request(uri, headers);
            Head::of_request(&request).original_host().map(|(host, port)| (host.to_owned(), port))
        };
        let found = |host: &str, port| Some((host.to_owned(), port));
        let all = [
            ("host", "inner:3000"),
            ("x-forwarded-host", "middle:8443, inner"),
            ("forwarded", "for=192.0.2.1;host=\"outer:443\";proto=https, for=10.0.0.1;host=other"),
        ];
        assert_eq!(host("/", &all), found("outer", Some(443)));
        assert_eq!(host("/", &all[..2]), found("middle", Some(8443)));
        assert_eq!(host("https://authority/", &all[..1]), found("authority", None));
        assert_eq!(host("/", &all[..1]), found("inner", Some(3000)));
        assert_eq!(host("/", &[]), None);
    }

    #[test]
    fn scheme_and_client_are_those_before_the_proxies() {
        let facts = |headers: &[(&str, &str)]| {
            let request = request("/", headers);
            let head = Head::of_request(&request);
            (head.original_scheme(None).to_owned(), head.forwarded_client().map(str::to_owned))
        };
        assert_eq!(facts(&[]), ("http".to_owned(), None));
        assert_eq!(
            facts(&[("forwarded", "For=\"[2001:db8::1]:4711\"; Proto=https")]),
            ("https".to_owned(), Some("2001:db8::1".to_owned()))
        );
        assert_eq!(
            facts(&[("x-forwarded-proto", "https"), ("x-forwarded-for", "192.0.2.7, 10.0.0.1")]),
            ("https".to_owned(), Some("192.0.2.7".to_owned()))
        );
        assert_eq!(facts(&[("forwarded", "for=unknown")]), ("http".to_owned(), None));
        assert_eq!(facts(&[("forwarded", ";;=;for")]), ("http".to_owned(), None));
    }

    #[test]
    fn versions_and_ports_have_names() {
        assert_eq!(protocol_version(Version::HTTP_11), Some("1.1"));
        assert_eq!(protocol_version(Version::HTTP_2), Some("2"));
        assert_eq!(default_port("https"), Some(443));
        assert_eq!(default_port("ftp"), None);
    }
}
