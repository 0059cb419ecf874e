//! Causes of stage F, and those of stage G that are visible at the endpoint: each server has one fault.

use std::time::{Duration, Instant};

use logbridge::testing::{Answer, Receiver};

use crate::cargo::{Said, doctor, said};
use crate::row::{Case, Codes, Row, impossible, named};
use crate::server::{Identity, Reply, Server};
use crate::stock;

/// The findings of the doctor about this endpoint, with these variables.
fn asked(endpoint: &str, variables: &[(&str, &str)]) -> Said {
    let mut command = doctor(&["endpoint", "--endpoint", endpoint]);
    command.envs(variables.iter().copied());
    let begun = Instant::now();
    let said = said(command);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}: {}", begun.elapsed(), said.text);
    said
}

fn codes(endpoint: &str, variables: &[(&str, &str)]) -> Codes {
    asked(endpoint, variables).codes
}

/// A receiver that gives this answer to logs; in the healthy case, it accepts them.
fn answering(case: Case, answer: Answer) -> Codes {
    let receiver = Receiver::start().expect("a receiver");
    receiver.answer_always(case.pick(answer, Answer::Ok));
    let said = asked(&receiver.endpoint(), &[]);
    assert!(case == Case::Faulty || said.grave.is_empty(), "{}", said.text);
    said.codes
}

/// A raw server with this answer; in the healthy case, it accepts everything.
fn raw(case: Case, reply: fn(&str) -> Reply, variables: &[(&str, &str)]) -> Codes {
    let server = match case {
        Case::Faulty => Server::raw(reply),
        Case::Healthy => Server::raw(|_| Reply::taken()),
    };
    codes(&server.url(), variables)
}

const GRPC: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");

/// A port on which nothing listens.
fn closed() -> String {
    Server::raw(|_| Reply::Nothing).url()
}

/// An empty SETTINGS frame, the first frame of every HTTP/2 server.
fn http2_only(asked: &str) -> Reply {
    match asked.starts_with("PRI ") {
        true => Reply::Bytes(b"\0\0\0\x04\0\0\0\0\0".to_vec()),
        false => Reply::Bytes(Vec::new()),
    }
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = ports();
    rows.extend(answers());
    rows.extend(certificates());
    rows
}

fn doctored(id: &'static str, cause: &'static str, code: &'static str, play: fn(Case) -> Codes) -> Row {
    named(id, cause, "doctor", code, play)
}

fn ports() -> Vec<Row> {
    vec![
        doctored("F1", "nothing listens there", "LB064", |case| match case {
            Case::Faulty => codes(&closed(), &[]),
            Case::Healthy => answering(Case::Healthy, Answer::Ok),
        }),
        doctored("G1", "ClickStack without an ingestion key, or a collector on its own localhost", "LB064", |case| {
            match case {
                Case::Faulty => {
                    let said = asked(&closed(), &[("HYPERDX_API_KEY", "s3cret-key")]);
                    assert!(said.text.contains("ingestion key"), "{}", said.text);
                    said.codes
                }
                Case::Healthy => answering(Case::Healthy, Answer::Ok),
            }
        }),
        doctored("F1b", "…with the endpoint set in code", "LB064", |case| {
            let receiver = Receiver::start().expect("a receiver");
            let url = case.pick(closed(), receiver.endpoint());
            let call = format!(".with_http().with_endpoint(\"{url}/v1/logs\")");
            stock::with_code(".with_http()", &call).examined(&["endpoint"]).codes
        }),
        doctored("E3b", "a general endpoint with a path, if only the endpoint is checked", "LB024", |case| {
            let receiver = Receiver::start().expect("a receiver");
            let mut command = doctor(&["endpoint"]);
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("{}{}", receiver.endpoint(), case.pick("/v1/logs", "")));
            said(command).codes
        }),
        impossible("F16b", "a whole URL with a query gets its path twice", || {
            let receiver = Receiver::start().expect("a receiver");
            let said = asked(&format!("{}/v1/logs?token=s3cret", receiver.endpoint()), &[]);
            assert!(said.grave.is_empty() && !said.text.contains("s3cret"), "{}", said.text);
        }),
        doctored("F2", "the host has no address", "LB063", |case| match case {
            // The name is too long to be resolved, so no resolver is contacted.
            Case::Faulty => codes(&format!("http://{}:4318", "a".repeat(64)), &[]),
            Case::Healthy => answering(Case::Healthy, Answer::Ok),
        }),
        doctored("F3", "HTTP to a port of gRPC", "LB065", |case| raw(case, http2_only, &[])),
        doctored("F4", "gRPC to a port of HTTP", "LB065", |case| {
            let receiver = Receiver::start().expect("a receiver");
            let http = Server::raw(|_| Reply::http("400 Bad Request", "", ""));
            codes(&case.pick(http.url(), receiver.endpoint()), &[GRPC])
        }),
        doctored("F15", "gRPC through a proxy that speaks HTTP/1.1 only", "LB065", |case| {
            let receiver = Receiver::start().expect("a receiver");
            let proxy = Server::raw(|_| Reply::http("502 Bad Gateway", "server: proxy\r\n", "<html>"));
            codes(&case.pick(proxy.url(), receiver.endpoint()), &[GRPC])
        }),
        doctored("F21", "something else listens there", "LB071", |case| {
            raw(case, |_| Reply::Bytes(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()), &[])
        }),
        doctored("F20", "the endpoint accepts the connection but does not answer", "LB072", |case| {
            raw(case, |_| Reply::Nothing, &[])
        }),
        doctored("F17", "the connection ends without an answer", "LB074", |case| answering(case, Answer::Reset)),
        doctored("F22", "plain text to a port with TLS", "LB066", |case| {
            let receiver = Receiver::start().expect("a receiver");
            let front = Server::tls(&Identity::new("localhost", 4096), receiver.port(), None);
            codes(&case.pick(front.url(), receiver.endpoint()), &[])
        }),
        doctored("F23", "TLS to a plain port", "LB066", |case| {
            let receiver = Receiver::start().expect("a receiver");
            codes(&case.pick(receiver.endpoint().replace("http:", "https:"), receiver.endpoint()), &[])
        }),
        doctored("F24", "a proxy that does not answer", "LB040", |case| {
            let proxy = Server::raw(|_| Reply::taken());
            let proxy = case.pick(closed(), proxy.url());
            codes("http://collector.invalid:4318", &[("HTTP_PROXY", &proxy)])
        }),
    ]
}

fn answers() -> Vec<Row> {
    vec![
        doctored("F5", "the key is rejected", "LB068", |case| {
            let server =
                Server::raw(|asked| match asked.contains("authorization: right-key") || asked.starts_with("GET") {
                    true => Reply::taken(),
                    false => Reply::http("401 Unauthorized", "", "no such key"),
                });
            codes(
                &server.url(),
                &[("OTEL_EXPORTER_OTLP_HEADERS", case.pick("authorization=wrong-key", "authorization=right-key"))],
            )
        }),
        doctored("F5b", "no key is sent", "LB068", |case| answering(case, Answer::status(403))),
        doctored("F6", "logs are accepted at another path", "LB069", |case| {
            let server = Server::raw(|asked| match asked.starts_with("POST /otlp/v1/logs ") {
                true => Reply::taken(),
                false => Reply::http("404 Not Found", "", ""),
            });
            let said = asked(&format!("{}{}", server.url(), case.pick("", "/otlp")), &[]);
            assert!(
                case == Case::Healthy || said.text.contains("the endpoint accepts logs at `/otlp/v1/logs`"),
                "{}",
                said.text
            );
            said.codes
        }),
        doctored("G2", "spans are accepted, but no logs", "LB070", |case| answering(case, Answer::status(404))),
        doctored("G2b", "…over gRPC", "LB070", |case| {
            let receiver = Receiver::start().expect("a receiver");
            receiver.answer_always(case.pick(Answer::status(404), Answer::Ok));
            codes(&receiver.endpoint(), &[GRPC])
        }),
        doctored("G10", "requests are rejected, for example because of a wrong tenant", "LB074", |case| {
            answering(case, Answer::status(422))
        }),
        doctored("G14", "not ready yet: 503", "LB074", |case| answering(case, Answer::status(503))),
        doctored("F7", "a request of 1 MiB is rejected", "LB073", |case| answering(case, Answer::MaxBytes(500_000))),
        doctored("F7b", "…or a compressed request", "LB073", |case| {
            let server = match case {
                Case::Faulty => Server::raw(|asked| match asked.contains("content-encoding: gzip") {
                    true => Reply::http("415 Unsupported Media Type", "", ""),
                    false => Reply::taken(),
                }),
                Case::Healthy => Server::raw(|_| Reply::taken()),
            };
            codes(&server.url(), &[("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")])
        }),
        doctored("F8", "too many requests: 429", "LB074", |case| answering(case, Answer::status(429))),
        doctored("F10", "200 with a login page", "LB071", |case| answering(case, Answer::Html)),
        doctored("F11", "a redirect", "LB069", |case| {
            answering(case, Answer::Redirect { code: 302, location: "http://127.0.0.1:1/login".to_owned() })
        }),
        doctored("F12", "a record is rejected in a success", "LB074", |case| {
            answering(case, Answer::PartialSuccess { rejected: 1, message: "timestamp too old".to_owned() })
        }),
        doctored("F13", "500", "LB074", |case| answering(case, Answer::status(500))),
        doctored("F19", "an answer that does not end", "LB071", |case| answering(case, Answer::Oversized(5 << 20))),
        doctored("G5", "the clocks differ", "LB089", |case| {
            let server = match case {
                Case::Faulty => Server::raw(|_| {
                    Reply::http("200 OK", "date: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-type: text/plain\r\n", "OK")
                }),
                Case::Healthy => Server::raw(|_| Reply::taken()),
            };
            codes(&server.url(), &[])
        }),
        impossible("0k", "a key that a server repeats is not in the output", no_key_is_shown),
        impossible(
            "0n",
            "nothing but a look is sent without --send to another machine, and nothing with --offline",
            nothing_is_sent,
        ),
    ]
}

fn no_key_is_shown() {
    let server = Server::raw(|asked| {
        let key = asked.lines().find(|line| line.starts_with("authorization")).unwrap_or("none");
        Reply::http("401 Unauthorized", "content-type: text/plain\r\n", &format!("bad key in {key}"))
    });
    let said = asked(
        &format!("http://user:s3cret@127.0.0.1:{}", server.port),
        &[("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer s3cret")],
    );
    assert!(said.codes.contains("LB068") && !said.text.contains("s3cret"), "{}", said.text);
}

fn nothing_is_sent() {
    let receiver = Receiver::start().expect("a receiver");
    let mut command = doctor(&["endpoint", "--offline", "--endpoint", &receiver.endpoint()]);
    command.env("OTEL_SERVICE_NAME", "shop");
    assert!(said(command).codes.is_empty() && receiver.requests().is_empty());
    // An endpoint on this machine receives a record.
    assert!(asked(&receiver.endpoint(), &[]).codes.is_empty());
    let logs = receiver.logs();
    assert_eq!(logs.len(), 1, "{logs:?}");
    assert!(logs[0].message().contains("logbridge doctor"), "{logs:?}");
    // Behind a proxy, the endpoint counts as another machine.
    let records = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = records.clone();
    let proxy = Server::raw(move |asked| {
        seen.fetch_add(asked.matches("logbridge doctor:").count(), std::sync::atomic::Ordering::SeqCst);
        Reply::taken()
    });
    assert!(codes("http://collector.invalid:4318", &[("HTTP_PROXY", &proxy.url())]).is_empty());
    assert_eq!(records.load(std::sync::atomic::Ordering::SeqCst), 0);
    let mut command = doctor(&["endpoint", "--send", "--endpoint", "http://collector.invalid:4318"]);
    command.env("HTTP_PROXY", proxy.url());
    assert!(said(command).codes.is_empty());
    assert_eq!(records.load(std::sync::atomic::Ordering::SeqCst), 1);
}

/// Runs the doctor against a server with the first of these identities.
fn over_tls(identity: &Identity, roots: &Identity, clients: Option<&Identity>, own: Option<&Identity>) -> Codes {
    let receiver = Receiver::start().expect("a receiver");
    let front = Server::tls(identity, receiver.port(), clients);
    let roots = roots.file("certificate");
    let mut variables = vec![("OTEL_EXPORTER_OTLP_CERTIFICATE", roots.as_str())];
    let files = own.map(|own| [own.file("certificate"), own.file("key")]);
    if let Some([certificate, key]) = &files {
        variables.push(("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", certificate));
        variables.push(("OTEL_EXPORTER_OTLP_CLIENT_KEY", key));
    }
    codes(&format!("https://localhost:{}", front.port), &variables)
}

fn certificates() -> Vec<Row> {
    vec![
        doctored("F14", "an expired certificate", "LB067", |case| {
            let identity = Identity::new("localhost", case.pick(2020, 4096));
            over_tls(&identity, &identity, None, None)
        }),
        doctored("F14b", "a certificate for another name", "LB067", |case| {
            let identity = Identity::new(case.pick("elsewhere.example", "localhost"), 4096);
            over_tls(&identity, &identity, None, None)
        }),
        doctored("F14c", "an issuer that is not trusted", "LB067", |case| {
            let (identity, other) = (Identity::new("localhost", 4096), Identity::new("localhost", 4096));
            over_tls(&identity, case.pick(&other, &identity), None, None)
        }),
        doctored("F14d", "a client certificate is required", "LB067", |case| {
            let (identity, client) = (Identity::new("localhost", 4096), Identity::new("client.example", 4096));
            over_tls(&identity, &identity, Some(&client), case.pick(None, Some(&client)))
        }),
    ]
}
