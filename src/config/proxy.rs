//! The HTTP proxy for requests, chosen by curl's rules.
//!
//! Unlike curl, logbridge never uses a proxy for a loopback endpoint.

use std::fmt;
use std::net::IpAddr;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;

use super::endpoint::{Endpoint, redact_url};
use super::environment::Environment;
use super::resolver::Resolver;
use super::setting::SettingSource;
use crate::finding::kind;
use crate::signal::Signal;

/// An HTTP proxy.
#[derive(Clone, Eq, PartialEq)]
pub struct Proxy {
    /// Without credentials.
    pub(crate) uri: Uri,
    /// For the header `proxy-authorization`.
    pub(crate) authorization: Option<HeaderValue>,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(redact_url(&self.uri.to_string()).trim_end_matches('/'))
    }
}

impl fmt::Debug for Proxy {
    // Hides the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Resolver<'_> {
    /// Resolves the proxy for an endpoint.
    pub(super) fn proxy(&mut self, endpoint: &Endpoint, signal: Signal) -> Option<Proxy> {
        let variables: &[&'static str] = match endpoint.is_https() {
            true => &["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"],
            // In a CGI program, HTTP_PROXY holds the request header `Proxy`, which a client controls (httpoxy).
            false if self.environment.get("REQUEST_METHOD").is_some() => &["http_proxy", "ALL_PROXY", "all_proxy"],
            false => &["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"],
        };
        let (variable, value) = self.environment.first(variables)?;
        let source = SettingSource::Variable(variable);
        let name = match signal {
            Signal::Logs => "logs proxy",
            Signal::Traces => "spans proxy",
        };
        if endpoint.uri().host().is_some_and(is_loopback) {
            self.add_setting(name, "none: the endpoint is on this machine", source);
            return None;
        }
        let found = find(self.environment, value, endpoint);
        match found {
            Ok(Some(proxy)) => {
                self.add_setting(name, proxy.to_string(), source);
                Some(proxy)
            }
            Ok(None) => {
                self.add_setting(name, "none: NO_PROXY includes the endpoint", source);
                None
            }
            Err(problem) => {
                let problem = format!("{problem}; requests are sent directly");
                self.add_error(&kind::BAD_PROXY, variable, &problem, "write a URL such as http://proxy.example:3128");
                None
            }
        }
    }
}

/// Parses a proxy URL. Returns `None` if `NO_PROXY` includes the endpoint.
fn find(environment: &Environment, value: &str, endpoint: &Endpoint) -> Result<Option<Proxy>, String> {
    let shown = redact_url(value);
    // The matcher does not ignore a trailing dot in a host name.
    let uri = without_last_dot(endpoint.uri());
    let matcher = |no: &str| Matcher::builder().all(value).no(no).build().intercept(&uri);
    let Some(proxy) = matcher("") else { return Err(format!("`{shown}` is not a URL")) };
    match proxy.uri().scheme_str() {
        Some("http") => {}
        scheme => return Err(format!("`{shown}`: {} proxies are not supported", scheme.unwrap_or("such"))),
    }
    // The crate `http` accepts any text as a port, and the client would then use the scheme's default port.
    if has_port(proxy.uri()) && proxy.uri().port_u16().is_none_or(|port| port == 0) {
        return Err(format!("the port of `{shown}` is not a number from 1 to 65535"));
    }
    let exceptions = environment.first(&["NO_PROXY", "no_proxy"]).map_or("", |(_, exceptions)| exceptions);
    if matcher(&applicable(exceptions, endpoint.uri())).is_none() {
        return Ok(None);
    }
    let authorization = proxy.basic_auth().cloned().map(|mut value| {
        value.set_sensitive(true);
        value
    });
    Ok(Some(Proxy { uri: proxy.uri().clone(), authorization }))
}

/// Converts the exceptions for this endpoint to the form that the matcher understands.
///
/// The matcher does not know `host:port`, `*.example` and addresses in brackets, which other programs accept.
fn applicable(exceptions: &str, endpoint: &Uri) -> String {
    let default = if endpoint.scheme_str() == Some("https") { 443 } else { 80 };
    let port = endpoint.port_u16().unwrap_or(default).to_string();
    let exceptions = exceptions.split(',').map(str::trim).filter_map(|exception| {
        let exception = exception.strip_prefix("*.").unwrap_or(exception);
        let (host, only) = match exception.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, rest)) => (address, rest.strip_prefix(':')),
            None => match exception.split_once(':') {
                Some((host, only)) if !only.contains(':') => (host, Some(only)),
                _ => (exception, None),
            },
        };
        only.is_none_or(|only| only == port).then_some(host.strip_suffix('.').unwrap_or(host))
    });
    exceptions.collect::<Vec<_>>().join(",")
}

fn without_last_dot(uri: &Uri) -> Uri {
    let host = uri.host().and_then(|host| host.strip_suffix('.'));
    let port = uri.port().map_or_else(String::new, |port| format!(":{port}"));
    let authority = host.and_then(|host| format!("{host}{port}").parse().ok());
    let mut parts = uri.clone().into_parts();
    parts.authority = authority.or(parts.authority);
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

/// Returns whether the URL has a port, valid or not.
fn has_port(uri: &Uri) -> bool {
    let (authority, host) =
        (uri.authority().map_or("", |authority| authority.as_str()), uri.host().unwrap_or_default());
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    address.strip_prefix(host).is_some_and(|port| port.len() > 1)
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BuilderSettings;

    /// The proxy for an endpoint, the resolved setting and the names of the findings.
    fn resolve(endpoint: &str, vars: &[(&str, &str)]) -> (Option<Proxy>, Option<String>, Vec<&'static str>) {
        let all = vars.iter().copied().chain([("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]);
        let environment = all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let config = BuilderSettings::default().resolve(&environment).expect("a bad variable is never an error");
        let setting = config.settings.iter().find(|setting| setting.name == "logs proxy");
        let codes = config.findings.iter().map(|finding| finding.name).collect();
        (config.otlp.delivery.and_then(|logs| logs.route.proxy), setting.map(|setting| setting.value.clone()), codes)
    }

    fn proxy(endpoint: &str, vars: &[(&str, &str)]) -> Option<String> {
        resolve(endpoint, vars).0.map(|proxy| proxy.to_string())
    }

    #[test]
    fn the_scheme_of_the_endpoint_picks_the_variable() {
        let both = [("HTTP_PROXY", "http://a:1"), ("HTTPS_PROXY", "http://b:2")];
        assert_eq!(proxy("http://h:4318", &both).as_deref(), Some("http://a:1"));
        assert_eq!(proxy("https://h:4318", &both).as_deref(), Some("http://b:2"));
        assert_eq!(proxy("https://h", &[("https_proxy", "b:2")]).as_deref(), Some("http://b:2"), "curl's short form");
        assert_eq!(proxy("http://h", &[("ALL_PROXY", "http://c:3")]).as_deref(), Some("http://c:3"));
        assert_eq!(proxy("http://h", &[("HTTPS_PROXY", "http://b:2")]), None);
        assert_eq!(proxy("http://h", &[("HTTP_PROXY", "http://a:1"), ("REQUEST_METHOD", "GET")]), None, "httpoxy");
        assert_eq!(proxy("http://h", &[]), None);
    }

    #[test]
    fn no_proxy_for_loopback_endpoints() {
        for host in ["localhost", "LOCALHOST", "app.localhost", "127.0.0.1", "127.8.8.8", "[::1]", "[::ffff:127.0.0.1]"]
        {
            let (proxy, setting, codes) = resolve(&format!("http://{host}:4318"), &[("HTTP_PROXY", "http://a:1")]);
            assert_eq!((proxy, codes), (None, vec![]), "{host}");
            assert_eq!(setting.as_deref(), Some("none: the endpoint is on this machine"));
        }
    }

    #[test]
    fn exceptions_are_curls_and_more() {
        for (host, no, expected) in [
            ("h.example", "h.example", true),
            ("a.h.example", ".h.example", true),
            ("noth.example", "h.example", false),
            ("10.1.2.3", "10.0.0.0/8", true),
            ("h", "*", true),
            ("h", "x, h ,y", true),
            ("h", "x", false),
            // Forms that other programs accept.
            ("a.h.example", "*.h.example", true),
            ("h.example", "h.example:4318", true),
            ("h.example", "h.example:4317", false),
            ("h.example", "x, .h.example:4318", true),
            ("h.example.", "h.example", true),
            ("h.example", "h.example.", true),
            ("[2001:db8::1]", "[2001:db8::1]", true),
            ("[2001:db8::1]", "[2001:db8::1]:4318", true),
            ("[2001:db8::1]", "[2001:db8::1]:1", false),
            ("[2001:db8::1]", "2001:db8::1", true),
            ("[2001:db8::1]", "2001:db8::/32", true),
            ("h", "*:4318", true),
            ("h", ":", false),
            ("h", ",,", false),
        ] {
            let vars = [("HTTP_PROXY", "http://a:1"), ("no_proxy", no)];
            assert_eq!(proxy(&format!("http://{host}:4318"), &vars).is_none(), expected, "{host} {no}");
        }
    }

    #[test]
    fn a_password_is_sent_and_never_shown() {
        let (proxy, setting, _) = resolve("http://h:1", &[("HTTP_PROXY", "http://user:s3cret@p:3128")]);
        let proxy = proxy.expect("a proxy");
        assert_eq!(proxy.authorization.as_ref().map(HeaderValue::as_bytes), Some(&b"Basic dXNlcjpzM2NyZXQ="[..]));
        let shown = format!("{proxy:?} {proxy} {setting:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("dXNlcj"), "{shown}");
        assert!(!proxy.uri.to_string().contains("s3cret"));
    }

    #[test]
    fn an_invalid_proxy_is_reported_and_ignored() {
        for value in [
            "socks5://s3cret@p:1080",
            "https://p",
            "http://",
            "127.0.0.1:99999",
            "http://p:0",
            "http://u:s3cret@p:port",
            "http://[::1]:70000",
        ] {
            let (proxy, _, codes) = resolve("http://h:1", &[("HTTP_PROXY", value)]);
            assert_eq!((proxy, codes), (None, vec!["bad-proxy"]), "{value}");
        }
    }
}
