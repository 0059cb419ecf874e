//! Decides who may send: programs, and web pages of this machine, but not web pages of other sites.
//!
//! A web page of another site runs in a browser on this machine, so it can reach the receiver in two ways:
//!
//! * By DNS rebinding: the name of the site resolves to this machine. The `Host` header then contains that name.
//! * By a request to this address, if the browser sends it without asking first. The `Origin` header then contains the
//!   site.

use std::net::IpAddr;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD,
    HOST, ORIGIN, VARY,
};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};

use super::decode::Refusal;
use crate::escape::{EXCERPT_CHARS, excerpt};

// The headers by which browsers ask whether a public page may send to a private address.
const REQUEST_PRIVATE: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// The time, in seconds, for which a browser caches the answer to its question.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The hosts and web pages whose requests are accepted.
#[derive(Debug)]
pub struct Guard {
    hosts: Hosts,
    origins: Vec<String>,
}

#[derive(Debug)]
enum Hosts {
    /// All names: the receiver is open to other machines anyway.
    Any,
    /// Loopback names and addresses, and these names.
    Loopback(Vec<String>),
    /// All IP addresses (which DNS rebinding cannot forge), loopback names, and these names.
    Named(Vec<String>),
}

/// The decision about a request, by its head.
#[derive(Debug)]
pub(super) enum Admission {
    /// The request is accepted. Its answer needs these headers.
    Allowed(HeaderMap),
    /// A browser asks whether a web page may send. This is the answer.
    Preflight(Response<()>),
}

impl Guard {
    /// Returns the guard of a server that listens on `address`.
    ///
    /// `hosts` are further names of this machine, `origins` the web pages that may send. The origin `*` allows all pages.
    pub fn new(address: IpAddr, hosts: &[String], origins: &[String]) -> Self {
        let hosts: Vec<String> = hosts.iter().map(|host| host_name(host).to_ascii_lowercase()).collect();
        let hosts = match (address.is_loopback(), hosts.is_empty()) {
            (true, _) => Hosts::Loopback(hosts),
            (false, false) => Hosts::Named(hosts),
            (false, true) => Hosts::Any,
        };
        let origins = origins.iter().map(|origin| origin.trim_end_matches('/').to_ascii_lowercase()).collect();
        Self { hosts, origins }
    }

    /// Decides whether a request is accepted.
    ///
    /// # Errors
    ///
    /// Returns the status and the reason to answer if it is not.
    pub(super) fn admit(&self, head: &Parts) -> Result<Admission, Refusal> {
        let headers = head.headers.get_all(HOST).iter().map(|host| host.to_str().unwrap_or("(not ASCII)"));
        for host in head.uri.authority().map(Authority::as_str).into_iter().chain(headers) {
            if !self.allows_host(host) {
                return Err(Refusal { status: StatusCode::MISDIRECTED_REQUEST, why: misdirected(host) });
            }
        }
        let Some(origin) = head.headers.get(ORIGIN) else { return Ok(Admission::Allowed(HeaderMap::new())) };
        let page = origin.to_str().unwrap_or("(not ASCII)");
        if !self.allows_origin(page) {
            let help = if is_plain(page) { format!(": allow it with --allow-origin {page}") } else { String::new() };
            let why = format!("web page `{}` is not allowed to send to this receiver{help}", excerpt(page));
            return Err(Refusal { status: StatusCode::FORBIDDEN, why });
        }
        Ok(allow_page(head, origin))
    }

    fn allows_host(&self, host: &str) -> bool {
        let name = host_name(host);
        let is_one_of = |hosts: &[String]| hosts.iter().any(|known| known.eq_ignore_ascii_case(name));
        match &self.hosts {
            Hosts::Any => true,
            Hosts::Loopback(hosts) => is_loopback(name) || is_one_of(hosts),
            Hosts::Named(hosts) => is_loopback(name) || address(name).is_some() || is_one_of(hosts),
        }
    }

    fn allows_origin(&self, page: &str) -> bool {
        let is_here = || {
            let page = page.parse::<Uri>().ok();
            page.is_some_and(|page| {
                matches!(page.scheme_str(), Some("http" | "https")) && page.host().is_some_and(is_loopback)
            })
        };
        self.origins.iter().any(|known| known == "*" || known.eq_ignore_ascii_case(page)) || is_here()
    }
}

/// Returns why a request to this host is refused.
fn misdirected(host: &str) -> String {
    let name = host_name(host);
    let help = if is_plain(name) { format!(": allow it with --allow-host {name}") } else { String::new() };
    match host {
        "" => "the Host header is empty".to_owned(),
        host => {
            let host = excerpt(host);
            format!("host `{host}` is not a name of this receiver and may belong to a web page{help}")
        }
    }
}

/// Returns whether a name can be shown as the value of an option, without quotes and uncut.
fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/[]".contains(&byte);
    !name.is_empty() && name.len() <= EXCERPT_CHARS && name.bytes().all(is_plain)
}

/// Returns the headers that let a web page send and read the answer. If the browser only asks, returns the whole
/// answer.
fn allow_page(head: &Parts, origin: &HeaderValue) -> Admission {
    let mut headers = HeaderMap::new();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    // `sendBeacon` always sends with credentials, even if there are none.
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(VARY, HeaderValue::from_static("origin"));
    if head.method != Method::OPTIONS || !head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return Admission::Allowed(headers);
    }
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    if let Some(wanted) = head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    if head.headers.contains_key(REQUEST_PRIVATE) {
        headers.insert(ALLOW_PRIVATE, HeaderValue::from_static("true"));
    }
    let mut answer = Response::new(());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    *answer.headers_mut() = headers;
    Admission::Preflight(answer)
}

/// Returns a host without user name, port and trailing dots.
fn host_name(host: &str) -> &str {
    let host = host.rsplit('@').next().unwrap_or(host);
    let end = match host.strip_prefix('[') {
        Some(_) => host.find(']').map(|at| at + 1),
        // An IPv6 address without brackets.
        None if host.matches(':').count() > 1 => None,
        None => host.find(':'),
    };
    host.get(..end.unwrap_or(host.len())).unwrap_or(host).trim_end_matches('.')
}

fn address(name: &str) -> Option<IpAddr> {
    name.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Returns whether this name always means this machine.
fn is_loopback(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || address(&name).is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(method: &str, headers: &[(&str, &str)]) -> Parts {
        let request =
            headers.iter().fold(Request::builder().method(method).uri("/v1/logs"), |request, (name, value)| {
                request.header(*name, *value)
            });
        request.body(()).expect("a request").into_parts().0
    }

    fn guard(hosts: &[&str], origins: &[&str]) -> Guard {
        let own = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        Guard::new(IpAddr::from([127, 0, 0, 1]), &own(hosts), &own(origins))
    }

    #[test]
    fn only_names_of_this_machine_are_allowed() {
        let status = |guard: &Guard, host: &str| {
            guard.admit(&head("POST", &[("host", host)])).err().map(|refusal| refusal.status.as_u16())
        };
        let plain = guard(&[], &[]);
        for host in [
            "localhost",
            "LOCALHOST:4318",
            "localhost.",
            "app.localhost:1",
            "127.0.0.1:4318",
            "127.9.9.9",
            "[::1]:4318",
            "[::1]",
        ] {
            assert_eq!(status(&plain, host), None, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:4318",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "[::2]:1",
            "",
        ] {
            assert_eq!(status(&plain, host), Some(421), "{host}");
        }
        assert_eq!(status(&guard(&["Box.internal:9"], &[]), "box.INTERNAL:4318"), None);
        let refused = plain.admit(&head("POST", &[("host", "evil.example:80")])).expect_err("refused");
        assert!(refused.why.ends_with(": allow it with --allow-host evil.example"), "{}", refused.why);
        let why = |host: &str| plain.admit(&head("POST", &[("host", host)])).expect_err("refused").why;
        assert_eq!(why(""), "the Host header is empty");
        for host in [":80", "a b", "$(id)", &"e".repeat(100_000)] {
            let why = why(host);
            assert!(why.ends_with(" may belong to a web page") && why.len() < 400, "{why}");
        }
        // The host of the request line counts too.
        let mut two = head("POST", &[("host", "localhost")]);
        two.uri = Uri::from_static("http://evil.example/v1/logs");
        assert!(plain.admit(&two).is_err());
        assert!(plain.admit(&head("POST", &[("host", "localhost"), ("host", "evil.example")])).is_err());
        // If other machines may connect, all names are allowed unless some are listed.
        let everywhere = |hosts: &[String]| Guard::new(IpAddr::from([0, 0, 0, 0]), hosts, &[]);
        assert_eq!(status(&everywhere(&[]), "evil.example"), None);
        let named = everywhere(&["box".to_owned()]);
        assert_eq!([status(&named, "evil.example"), status(&named, "10.0.0.1:4318")], [Some(421), None]);
    }

    #[test]
    fn only_local_and_listed_pages_may_send() {
        let admit = |guard: &Guard, origin: &str| guard.admit(&head("POST", &[("origin", origin)]));
        let plain = guard(&[], &["https://App.example/"]);
        for origin in ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:5173", "https://app.example"] {
            let Ok(Admission::Allowed(headers)) = admit(&plain, origin) else { panic!("{origin}") };
            assert_eq!(headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).expect("a page"), origin);
        }
        for origin in
            ["null", "https://evil.example", "https://app.example.evil", "http://localhost.evil", "file://", ""]
        {
            assert_eq!(admit(&plain, origin).expect_err(origin).status, StatusCode::FORBIDDEN, "{origin}");
        }
        assert!(
            admit(&plain, "https://a.example")
                .expect_err("refused")
                .why
                .ends_with(": allow it with --allow-origin https://a.example")
        );
        for origin in ["", "$(id)", &"e".repeat(100_000)] {
            let why = admit(&plain, origin).expect_err("refused").why;
            assert!(why.ends_with("` is not allowed to send to this receiver") && why.len() < 400, "{why}");
        }
        assert!(admit(&guard(&[], &["*"]), "https://evil.example").is_ok());
        assert!(admit(&guard(&[], &["null"]), "null").is_ok());
    }

    #[test]
    fn preflight_requests_are_answered() {
        let asked = [
            ("origin", "http://localhost:3000"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type,x-key"),
            ("access-control-request-private-network", "true"),
        ];
        let Ok(Admission::Preflight(answer)) = guard(&[], &[]).admit(&head("OPTIONS", &asked)) else {
            panic!("no preflight")
        };
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert_eq!(answer.headers()["access-control-allow-headers"], "content-type,x-key");
        assert_eq!(answer.headers()["access-control-allow-private-network"], "true");
        let foreign = [("origin", "https://evil.example"), ("access-control-request-method", "POST")];
        assert!(guard(&[], &[]).admit(&head("OPTIONS", &foreign)).is_err());
    }
}
