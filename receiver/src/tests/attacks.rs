//! Malicious and broken clients: they cost few resources and do not block others.

use std::net::Shutdown;
use std::time::Instant;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use super::super::Limits;
use super::*;

/// A limit short enough for a test to wait for, but much longer than a local client needs.
const SHORT: Duration = Duration::from_secs(1);

fn limited(limits: Limits) -> Receiver {
    let mut builder = Receiver::builder();
    builder.limits = limits;
    builder.start().unwrap()
}

/// Encodes a message field.
fn nested(number: u8, inside: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    prost::encoding::encode_varint(inside.len() as u64, &mut out);
    out.extend_from_slice(inside);
    out
}

/// Encodes a request with this number of empty records, which have two bytes each.
fn empty_records(number: usize) -> Vec<u8> {
    nested(1, &nested(2, &[0x12, 0].repeat(number)))
}

#[cfg(feature = "gzip")]
fn gzip(body: &[u8], level: flate2::Compression) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[cfg(feature = "gzip")]
#[test]
fn compression_bombs_are_refused_and_block_nobody() {
    let receiver = Receiver::start().unwrap();
    let bomb = gzip(&empty_records(2_000_000), flate2::Compression::best());
    assert!(bomb.len() < 20_000, "{}", bomb.len());
    let mut attackers: Vec<Client> = (0..5).map(|_| Client::connect(&receiver)).collect();
    let headers = format!("content-type: {PROTOBUF}\r\ncontent-encoding: gzip\r\n");
    for attacker in &mut attackers {
        attacker.send("POST", "/v1/logs", &headers, &bomb).unwrap();
    }
    let begin = Instant::now();
    assert_eq!(Client::connect(&receiver).post(PROTOBUF, &request("another")).unwrap().status, 200);
    assert!(begin.elapsed() < LONG / 4, "{:?}", begin.elapsed());
    for mut attacker in attackers {
        let refused = attacker.receive().unwrap();
        assert_eq!(refused.status, 413);
        assert_eq!(refused.text(), "the items need more than 128 MiB of memory: send smaller requests");
    }
    assert_eq!(receiver.logs().len(), 1);
}

#[cfg(feature = "gzip")]
#[test]
fn long_decompressed_bodies_are_refused() {
    let receiver = Receiver::start().unwrap();
    let mut client = Client::connect(&receiver);
    let headers = format!("content-type: {PROTOBUF}\r\ncontent-encoding: gzip\r\n");
    client.send("POST", "/v1/logs", &headers, &gzip(&vec![0; 65 << 20], flate2::Compression::fast())).unwrap();
    let refused = client.receive().unwrap();
    assert_eq!((refused.status, refused.text()), (413, "the decompressed body is longer than 64 MiB"));
}

#[test]
fn too_many_items_are_refused_but_full_requests_of_4_mib_are_not() {
    let receiver = Receiver::start().unwrap();
    let mut client = Client::connect(&receiver);
    assert_eq!(client.post(PROTOBUF, &empty_records(200_000)).unwrap().status, 413);
    assert_eq!(
        client.post(JSON, format!(r#"{{"resourceLogs":[{}{{}}]}}"#, "{},".repeat(600_000)).as_bytes()).unwrap().status,
        413
    );
    // As many minimal records as fit in 4 MiB.
    let record = LogRecord {
        time_unix_nano: 1,
        observed_time_unix_nano: 1,
        severity_number: 9,
        body: text("x"),
        ..LogRecord::default()
    };
    let mut many = message(record.clone());
    many.resource_logs[0].scope_logs[0].log_records = vec![record; 4_000_000 / 32];
    let many = many.encode_to_vec();
    assert!(many.len() > 3_000_000, "{}", many.len());
    assert_eq!(client.post(PROTOBUF, &many).unwrap().status, 200);
}

#[test]
fn long_scope_names_for_many_records_are_refused() {
    let receiver = Receiver::start().unwrap();
    let mut client = Client::connect(&receiver);
    let mut long = message(LogRecord::default());
    let scope = &mut long.resource_logs[0].scope_logs[0];
    scope.scope.as_mut().unwrap().name = "x".repeat(1 << 20);
    scope.log_records = vec![LogRecord::default(); 1_000];
    assert_eq!(client.post(PROTOBUF, &long.encode_to_vec()).unwrap().status, 413);
    long.resource_logs[0].scope_logs[0].log_records.truncate(10);
    assert_eq!(client.post(PROTOBUF, &long.encode_to_vec()).unwrap().status, 200);
}

#[test]
fn incomplete_requests_block_nobody() {
    let receiver = limited(Limits { connections: 16, ..Limits::default() });
    let mut half_open: Vec<Client> = Vec::new();
    for number in 0..200 {
        let mut client = Client::connect(&receiver);
        let part = [
            "",
            "P",
            "PRI * HT",
            "POST /v1/logs HTTP/1.1\r\nhost: test\r\n",
            "POST /v1/logs HTTP/1.1\r\ncontent-length: 9\r\n\r\nx",
        ];
        // Fails if the receiver has closed the connection.
        let _sent = client.stream.get_mut().write_all(part[number % part.len()].as_bytes());
        half_open.push(client);
    }
    for _ in 0..20 {
        assert_eq!(Client::connect(&receiver).post(PROTOBUF, &request("a")).unwrap().status, 200);
    }
    assert_eq!(receiver.logs().len(), 20);
    drop(half_open);
}

#[test]
fn clients_are_refused_while_all_connections_wait_for_answers() {
    let receiver = limited(Limits { connections: 2, ..Limits::default() });
    receiver.answer_always(super::super::Answer::Hang(LONG * 10));
    let mut hanging: Vec<Client> = (0..2).map(|_| Client::connect(&receiver)).collect();
    for client in &mut hanging {
        client.send("POST", "/v1/logs", &format!("content-type: {PROTOBUF}\r\n"), &request("a")).unwrap();
    }
    assert_eq!(receiver.wait_for_requests(2, LONG).len(), 2);
    let refused = Client::connect(&receiver).receive().unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    // A client that disconnects makes room for another.
    hanging.pop().unwrap().stream.into_inner().shutdown(Shutdown::Both).unwrap();
    receiver.answer_always(super::super::Answer::Ok);
    let until = Instant::now() + LONG;
    while Client::connect(&receiver).post(PROTOBUF, &request("b")).ok().is_none_or(|reply| reply.status != 200) {
        assert!(Instant::now() < until, "no room");
        std::thread::yield_now();
    }
}

#[test]
fn slow_heads_and_bodies_time_out() {
    let receiver = limited(Limits { idle: SHORT, body: SHORT, ..Limits::default() });
    let mut slow = Client::connect(&receiver);
    slow.stream.get_mut().write_all(b"POST /v1/logs HTTP/1.1\r\nhost: test\r\nx-slow: ").unwrap();
    assert!(slow.receive().is_err(), "it ends without an answer");
    let mut silent = Client::connect(&receiver);
    assert!(silent.receive().is_err());
    let mut half = Client::connect(&receiver);
    let head =
        format!("POST /v1/logs HTTP/1.1\r\nhost: test\r\ncontent-type: {PROTOBUF}\r\ncontent-length: 100\r\n\r\nhalf");
    half.stream.get_mut().write_all(head.as_bytes()).unwrap();
    let refused = half.receive().unwrap();
    assert_eq!((refused.status, refused.text()), (408, "the body did not arrive within 1s"));
    assert_eq!(Client::connect(&receiver).post(PROTOBUF, &request("a")).unwrap().status, 200);
}

#[test]
fn connections_that_wait_for_an_answer_do_not_time_out() {
    let receiver = limited(Limits { idle: SHORT, ..Limits::default() });
    receiver.answer_with([super::super::Answer::Hang(SHORT * 2), super::super::Answer::Ok]);
    let mut client = Client::connect(&receiver);
    assert_eq!(client.post(PROTOBUF, &request("a")).unwrap().status, 200);
    assert_eq!(client.post(PROTOBUF, &request("b")).unwrap().status, 200);
}

#[test]
fn bodies_share_a_limited_memory() {
    let receiver = limited(Limits { body_memory: 1 << 20, ..Limits::default() });
    let head = |length: usize| {
        format!("POST /v1/logs HTTP/1.1\r\nhost: test\r\ncontent-type: {PROTOBUF}\r\ncontent-length: {length}\r\n\r\n")
    };
    let mut whole = Client::connect(&receiver);
    whole.stream.get_mut().write_all(head(4 << 20).as_bytes()).unwrap();
    // It is refused before it has arrived, perhaps before all of it was sent.
    let _sent = whole.stream.get_mut().write_all(&vec![0; 2 << 20]);
    assert_eq!(whole.receive().unwrap().status, 503);
    assert_eq!(Client::connect(&receiver).post(PROTOBUF, &request("a")).unwrap().status, 200);
    let large = message(LogRecord { body: text(&"x".repeat(900 << 10)), ..LogRecord::default() }).encode_to_vec();
    let mut client = Client::connect(&receiver);
    for _ in 0..3 {
        assert_eq!(client.post(PROTOBUF, &large).unwrap().status, 200, "memory is released");
    }
}

#[test]
fn many_short_connections_leave_nothing_behind() {
    let receiver = limited(Limits { connections: 32, ..Limits::default() });
    let mut open = std::collections::VecDeque::new();
    // Ten thousand would take most of a minute, in the kernel.
    for _ in 0..1_000 {
        open.push_back(Client::connect(&receiver));
        if open.len() > 100 {
            open.pop_front();
        }
    }
    assert_eq!(Client::connect(&receiver).post(PROTOBUF, &request("a")).unwrap().status, 200);
}

#[test]
fn json_errors_name_the_path() {
    let receiver = Receiver::start().unwrap();
    let mut client = Client::connect(&receiver);
    let mut refused = |body: &str| {
        let reply = client.post(JSON, body.as_bytes()).unwrap();
        assert_eq!(reply.status, 400, "{body}");
        reply.text().to_owned()
    };
    let base64 =
        refused(r#"{"resourceLogs":[{"scopeLogs":[{},{"logRecords":[{},{"traceId":"W47/+XmAOBA9Jpsmgz/GDA=="}]}]}]}"#);
    assert!(base64.starts_with("not OTLP/JSON: `resourceLogs[0].scopeLogs[1].logRecords[1].traceId`: "), "{base64}");
    assert!(base64.ends_with(" (ids are hex in OTLP/JSON, not base64)"), "{base64}");
    let severity = refused(r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":"INFO"}]}]}]}"#);
    assert!(severity.contains("`resourceLogs[0].scopeLogs[0].logRecords[0].severityNumber`: "), "{severity}");
    let list = refused(r#"{"resourceLogs":{"scopeLogs":[]}}"#);
    assert!(list.contains("`resourceLogs`: "), "{list}");
}

#[test]
fn spans_sent_to_the_path_of_logs_are_recognized() {
    let receiver = Receiver::start().unwrap();
    let mut client = Client::connect(&receiver);
    let span = Span { trace_id: vec![1; 16], span_id: vec![2; 8], name: "checkout".to_owned(), ..Span::default() };
    let spans = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    };
    let refused = client.post(PROTOBUF, &spans.encode_to_vec()).unwrap();
    assert_eq!(refused.status, 400);
    assert!(refused.text().ends_with(" (the body contains spans: send them to `/v1/traces`)"), "{}", refused.text());
}
