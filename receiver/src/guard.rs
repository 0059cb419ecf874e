//! Who may send: a web page of somebody else's must not, though the browser that shows it is on this machine.
//!
//! * A page may have a name that leads here (DNS rebinding): then the `Host` of its requests is that name.
//! * A page may post to any address without asking first: then its `Origin` says where it is from.

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
use crate::escape::{WORDS, words};

/// Browsers ask whether a public page may send to a private address.
const REQUEST_PRIVATE: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// How long a browser need not ask again, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Who may send.
#[derive(Debug)]
pub struct Guard {
    hosts: Hosts,
    origins: Vec<String>,
}

#[derive(Debug)]
enum Hosts {
    /// It can be reached by other machines anyway.
    Any,
    /// Those of this machine, and these.
    Loopback(Vec<String>),
    /// Addresses in digits, to which no other name leads, names of this machine, and these.
    Named(Vec<String>),
}

/// What is done about a request, by its head.
#[derive(Debug)]
pub(super) enum Admission {
    /// It may come in; the answer has these headers too.
    Welcome(HeaderMap),
    /// A browser asks whether it may send; this is the answer.
    Asked(Response<()>),
}

impl Guard {
    /// For what listens at this address; with names that lead here, and pages that may send.
    pub fn new(address: IpAddr, hosts: &[String], origins: &[String]) -> Self {
        let hosts: Vec<String> = hosts.iter().map(|host| name_in(host).to_ascii_lowercase()).collect();
        let hosts = match (address.is_loopback(), hosts.is_empty()) {
            (true, _) => Hosts::Loopback(hosts),
            (false, false) => Hosts::Named(hosts),
            (false, true) => Hosts::Any,
        };
        let origins = origins.iter().map(|origin| origin.trim_end_matches('/').to_ascii_lowercase()).collect();
        Self { hosts, origins }
    }

    pub(super) fn admit(&self, head: &Parts) -> Result<Admission, Refusal> {
        let of_headers = head.headers.get_all(HOST).iter().map(|host| host.to_str().unwrap_or("(no text)"));
        for host in head.uri.authority().map(Authority::as_str).into_iter().chain(of_headers) {
            if !self.knows(host) {
                return Err(Refusal { status: StatusCode::MISDIRECTED_REQUEST, why: misdirected(host) });
            }
        }
        let Some(origin) = head.headers.get(ORIGIN) else { return Ok(Admission::Welcome(HeaderMap::new())) };
        let page = origin.to_str().unwrap_or("(no text)");
        if !self.lets_send(page) {
            let help = if can_be_given(page) { format!("; --allow-origin {page} lets it") } else { String::new() };
            let why = format!("the web page `{}` may not send here{help}", words(page));
            return Err(Refusal { status: StatusCode::FORBIDDEN, why });
        }
        Ok(answer(head, origin))
    }

    fn knows(&self, host: &str) -> bool {
        let name = name_in(host);
        let is_one_of = |hosts: &[String]| hosts.iter().any(|known| known.eq_ignore_ascii_case(name));
        match &self.hosts {
            Hosts::Any => true,
            Hosts::Loopback(hosts) => is_loopback(name) || is_one_of(hosts),
            Hosts::Named(hosts) => is_loopback(name) || address(name).is_some() || is_one_of(hosts),
        }
    }

    fn lets_send(&self, page: &str) -> bool {
        let is_here = || {
            let page = page.parse::<Uri>().ok();
            page.is_some_and(|page| {
                matches!(page.scheme_str(), Some("http" | "https")) && page.host().is_some_and(is_loopback)
            })
        };
        self.origins.iter().any(|known| known == "*" || known.eq_ignore_ascii_case(page)) || is_here()
    }
}

/// Why a request to this host is not let in.
fn misdirected(host: &str) -> String {
    let name = name_in(host);
    let help = if can_be_given(name) { format!("; --allow-host {name} lets it in") } else { String::new() };
    match host {
        "" => "its Host is empty, which is not a name that this receiver answers to".to_owned(),
        host => {
            let host = words(host);
            format!("`{host}` is not a name that this receiver answers to: a web page may have taken it{help}")
        }
    }
}

/// Whether it can be written behind an option as it is.
fn can_be_given(word: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/[]".contains(&byte);
    !word.is_empty() && word.len() <= WORDS && word.bytes().all(is_plain)
}

/// What a page has to know in order to send, and to read the answer.
fn answer(head: &Parts, origin: &HeaderValue) -> Admission {
    let mut headers = HeaderMap::new();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    // `sendBeacon` always sends them, though there are none.
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(VARY, HeaderValue::from_static("origin"));
    if head.method != Method::OPTIONS || !head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return Admission::Welcome(headers);
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
    Admission::Asked(answer)
}

/// Without port and without what else may stand around it.
fn name_in(host: &str) -> &str {
    let host = host.rsplit('@').next().unwrap_or(host);
    let end = match host.strip_prefix('[') {
        Some(_) => host.find(']').map(|at| at + 1),
        // An address of the sixth version, without its brackets, has more than one.
        None if host.matches(':').count() > 1 => None,
        None => host.find(':'),
    };
    host.get(..end.unwrap_or(host.len())).unwrap_or(host).trim_end_matches('.')
}

fn address(name: &str) -> Option<IpAddr> {
    name.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether this name always means the machine itself.
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
    fn only_names_of_this_machine_lead_here() {
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
        assert!(refused.why.ends_with("--allow-host evil.example lets it in"), "{}", refused.why);
        let why = |host: &str| plain.admit(&head("POST", &[("host", host)])).expect_err("refused").why;
        assert_eq!(why(""), "its Host is empty, which is not a name that this receiver answers to");
        for host in [":80", "a b", "$(id)", &"e".repeat(100_000)] {
            let why = why(host);
            assert!(why.ends_with(" a web page may have taken it") && why.len() < 400, "{why}");
        }
        // A request line may name it too.
        let mut two = head("POST", &[("host", "localhost")]);
        two.uri = Uri::from_static("http://evil.example/v1/logs");
        assert!(plain.admit(&two).is_err());
        assert!(plain.admit(&head("POST", &[("host", "localhost"), ("host", "evil.example")])).is_err());
        // Other machines are let in: who is named in the request says nothing then, unless names were given.
        let everywhere = |hosts: &[String]| Guard::new(IpAddr::from([0, 0, 0, 0]), hosts, &[]);
        assert_eq!(status(&everywhere(&[]), "evil.example"), None);
        let named = everywhere(&["box".to_owned()]);
        assert_eq!([status(&named, "evil.example"), status(&named, "10.0.0.1:4318")], [Some(421), None]);
    }

    #[test]
    fn only_pages_of_this_machine_and_those_that_were_named_may_send() {
        let admit = |guard: &Guard, origin: &str| guard.admit(&head("POST", &[("origin", origin)]));
        let plain = guard(&[], &["https://App.example/"]);
        for origin in ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:5173", "https://app.example"] {
            let Ok(Admission::Welcome(headers)) = admit(&plain, origin) else { panic!("{origin}") };
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
                .ends_with("--allow-origin https://a.example lets it")
        );
        for origin in ["", "$(id)", &"e".repeat(100_000)] {
            let why = admit(&plain, origin).expect_err("refused").why;
            assert!(why.ends_with("` may not send here") && why.len() < 400, "{why}");
        }
        assert!(admit(&guard(&[], &["*"]), "https://evil.example").is_ok());
        assert!(admit(&guard(&[], &["null"]), "null").is_ok());
    }

    #[test]
    fn a_browser_that_asks_is_told_what_it_may_send() {
        let asked = [
            ("origin", "http://localhost:3000"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type,x-key"),
            ("access-control-request-private-network", "true"),
        ];
        let Ok(Admission::Asked(answer)) = guard(&[], &[]).admit(&head("OPTIONS", &asked)) else { panic!("not asked") };
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert_eq!(answer.headers()["access-control-allow-headers"], "content-type,x-key");
        assert_eq!(answer.headers()["access-control-allow-private-network"], "true");
        let foreign = [("origin", "https://evil.example"), ("access-control-request-method", "POST")];
        assert!(guard(&[], &[]).admit(&head("OPTIONS", &foreign)).is_err());
    }
}
