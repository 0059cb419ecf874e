use super::super::connect::Connections;
use super::super::http1::Head;
use super::super::observations::observations;
use super::super::plaintext::PlainProtocols;
use super::super::requests::RequestOutcomes;
use super::super::tls::{Certificate, Handshake};
use super::*;
use logbridge::internals::config::Compression;
use logbridge::internals::ledger::RejectReason;
use logbridge::internals::transport::Cause;

fn target(url: &str, port: u16) -> ProbeTarget {
    ProbeTarget {
        shown: format!("{url}/v1/logs"),
        host: "collector".to_owned(),
        port,
        is_https: url.starts_with("https"),
        protocol: Protocol::default(),
        has_key: false,
        proxy: None,
        names_hyperdx: false,
        has_stock: false,
        compression: Compression::None,
        has_identity: false,
        is_default: false,
    }
}

fn http() -> PlainProtocols {
    PlainProtocols { http1: Some(Head { status: 404, server: None, date: None }), ..PlainProtocols::default() }
}

/// The last addresses fail, the first ones accept connections.
fn connections(addresses: &[&str], failures: &[ConnectFailure]) -> Connections {
    let results =
        std::iter::repeat_n(Ok(()), addresses.len() - failures.len()).chain(failures.iter().cloned().map(Err));
    let addresses = addresses.iter().map(|address| address.parse().expect("an address")).zip(results).collect();
    Connections { unresolved: None, addresses, other_open_port: None }
}

fn answers(empty: Outcome) -> ProbeResults {
    ProbeResults {
        connections: connections(&["127.0.0.1:4318"], &[]),
        tls: Some(Handshake::default()),
        plaintext: Some(http()),
        requests: RequestOutcomes { empty: Some(empty), ..RequestOutcomes::default() },
    }
}

fn failed(kind: CauseKind) -> Outcome {
    let cause = Cause::new(kind, "it says so");
    match kind {
        CauseKind::NotOtlp => Outcome::Unconfirmed { cause },
        CauseKind::Timeout | CauseKind::Interrupted | CauseKind::Busy => Outcome::Retry { cause, after: None },
        _ => Outcome::Rejected { reason: RejectReason::OtherStatus, cause },
    }
}

fn names(target: &ProbeTarget, answers: &ProbeResults) -> Vec<(&'static str, Severity)> {
    findings(target, answers).iter().map(|finding| (finding.name, finding.severity)).collect()
}

#[test]
fn each_failure_has_its_kind() {
    use Severity::{Error, Warning};
    let target = target("http://collector:4318", 4318);
    assert_eq!(names(&target, &answers(Outcome::Delivered)), []);
    for (kind, name, severity) in [
        (CauseKind::Auth, "credentials-refused", Error),
        (CauseKind::Busy, "not-taken", Warning),
        (CauseKind::Rejected, "not-taken", Error),
        (CauseKind::Interrupted, "not-taken", Error),
        (CauseKind::NotFound, "wrong-path", Error),
        (CauseKind::NotOtlp, "not-otlp", Error),
        (CauseKind::Redirect, "wrong-path", Error),
        (CauseKind::Timeout, "no-answer", Error),
        (CauseKind::TlsSetup, "bad-certificate", Error),
    ] {
        assert_eq!(names(&target, &answers(failed(kind))), [(name, severity)], "{kind:?}");
    }
}

#[test]
fn a_closed_address_is_a_note_and_all_closed_is_an_error() {
    let target = target("http://collector:4318", 4318);
    let mut some = answers(Outcome::Delivered);
    some.connections = connections(&["127.0.0.1:4318", "[::1]:4318"], &[ConnectFailure::Refused]);
    assert_eq!(names(&target, &some), [("unreachable", Severity::Note)]);
    some.connections =
        connections(&["127.0.0.1:4318", "[::1]:4318"], &[ConnectFailure::Refused, ConnectFailure::TimedOut]);
    some.connections.other_open_port = Some(4317);
    let found = findings(&target, &some);
    let help = found.first().and_then(|finding| finding.help.clone()).unwrap_or_default();
    assert_eq!(found.len(), 1);
    assert!(
        help.contains("port 4317, the default for gRPC, is open")
            && help.contains("=grpc")
            && help.contains("ingestion key"),
        "{help}"
    );
}

#[test]
fn a_receiver_may_reject_empty_requests_if_it_accepts_records() {
    let target = target("http://collector:4318", 4318);
    let mut seen = answers(failed(CauseKind::Rejected));
    seen.requests.record = Some(Outcome::Delivered);
    assert_eq!(names(&target, &seen), []);
}

#[test]
fn a_rejected_key_is_distinguished_from_a_key_that_is_not_needed() {
    let target = ProbeTarget { has_key: true, ..target("http://collector:4318", 4318) };
    let mut seen = answers(failed(CauseKind::Auth));
    for (without, words) in
        [(failed(CauseKind::Auth), "rejects this key: "), (Outcome::Delivered, "accepts requests without one")]
    {
        seen.requests.without_key = Some(without);
        let found = findings(&target, &seen);
        assert!(found.iter().any(|finding| finding.text.contains(words)), "{found:?}");
    }
}

#[test]
fn a_certificate_is_judged_before_what_follows_from_it() {
    let target = target("https://collector:4318", 4318);
    let certificate = Certificate {
        subject: "CN=x".to_owned(),
        issuer: "CN=ca".to_owned(),
        names: vec!["elsewhere.example".to_owned()],
        valid_from: 0,
        valid_until: i64::MAX,
        shown_from: String::new(),
        shown_until: "once".to_owned(),
    };
    let handshake = |certificate: &Certificate| Handshake {
        is_tls: true,
        certificate: Some(certificate.clone()),
        ..Handshake::default()
    };
    let mut seen = answers(Outcome::Delivered);
    seen.plaintext = Some(PlainProtocols::default());
    seen.tls = Some(handshake(&certificate));
    assert_eq!(names(&target, &seen), []);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    seen.tls = Some(handshake(&Certificate { valid_until: now + 3600, ..certificate.clone() }));
    assert_eq!(names(&target, &seen), [("bad-certificate", Severity::Warning)], "soon");
    let cause = |text: &str| Outcome::Retry { cause: Cause::new(CauseKind::Tls, text), after: None };
    for (text, until, words) in [
        ("TLS: invalid peer certificate: UnknownIssuer", i64::MAX, "issued by `CN=ca`"),
        ("TLS: invalid peer certificate: certificate not valid for name", i64::MAX, "only for elsewhere.example"),
        ("TLS: whatever", now - 1, "it expired on once"),
        ("TLS: whatever", i64::MAX, "TLS fails: TLS: whatever"),
    ] {
        seen.requests.empty = Some(cause(text));
        seen.tls = Some(handshake(&Certificate { valid_until: until, ..certificate.clone() }));
        let found = findings(&target, &seen);
        assert!(found.len() == 1 && found.iter().all(|finding| finding.text.contains(words)), "{words}: {found:?}");
    }
}

#[test]
fn a_limit_of_five_mebibytes_matters_only_with_the_stock_sdk() {
    for (has_stock, severity) in [(false, Severity::Note), (true, Severity::Warning)] {
        let target = ProbeTarget { has_stock, ..target("http://collector:4318", 4318) };
        let mut seen = answers(Outcome::Delivered);
        seen.requests.large = Some([Outcome::Delivered, failed(CauseKind::TooLarge)]);
        assert_eq!(names(&target, &seen), [("endpoint-limits", severity)]);
    }
}

#[test]
fn a_closed_default_endpoint_is_a_note() {
    let closed = ProbeResults {
        connections: connections(&["127.0.0.1:4318"], &[ConnectFailure::Refused]),
        ..ProbeResults::default()
    };
    let mut target = target("http://localhost:4318", 4318);
    assert_eq!(names(&target, &closed), [("unreachable", Severity::Error)]);
    target.is_default = true;
    assert_eq!(names(&target, &closed), [("unreachable", Severity::Note)]);
    assert!(observations(&target, &closed)[0].contains("the default"));
}
