//! `logbridge listen`: its output, its responses, and its summary.

#![cfg(unix)]
#![allow(clippy::expect_used)] // A test may panic.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use log::Log as _;
use logbridge::testing::{Answer, Receiver};
use logbridge::{Bridge, Builder, Console, Error, LevelFilter, Otlp, Protocol};
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::logs::SdkLoggerProvider;

use crate::listening::{JSON, LONG, Listening, PROTOBUF, Reply, TRACE, ask, one_record, one_span};

fn bridge(endpoint: String, protocol: Protocol) -> Bridge {
    Builder::new()
        .service_name("shop")
        .filter_level(LevelFilter::Trace)
        .otlp(Otlp::to(endpoint).protocol(protocol).traces_off())
        .console(Console::off())
        .schedule_delay(Duration::from_millis(10))
        .build()
        .expect("builds")
}

/// Sends one record with logbridge and returns the result of the flush.
fn send(endpoint: String, protocol: Protocol, text: &str) -> Result<(), Error> {
    let bridge = bridge(endpoint, protocol);
    let record = &mut log::Record::builder();
    let key_values = [("user", log::kv::Value::from(42))];
    let record = record.level(log::Level::Warn).target("shop::cart").key_values(&key_values);
    bridge.logger().log(&record.args(format_args!("{text}")).build());
    bridge.flush(LONG)
}

#[test]
fn records_of_logbridge_are_shown_in_every_protocol() {
    let mut listening = Listening::start(&[]);
    for (protocol, name) in
        [(Protocol::HttpProtobuf, "protobuf"), (Protocol::HttpJson, "json"), (Protocol::Grpc, "grpc")]
    {
        let endpoint = if protocol == Protocol::Grpc { listening.grpc_endpoint() } else { listening.http_endpoint() };
        send(endpoint, protocol, &format!("by {name}")).expect("delivered");
        let line = listening.stdout.wait_for(&format!("by {name}"));
        assert!(line.contains("Z  WARN shop shop::cart by ") && line.contains("  user=42"), "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
    }
    let ended = listening.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("3 requests: 3 log records, 0 spans, 0 data points"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("received OTLP/"), "each was sent to its own port: {}", ended.stderr);
}

#[test]
fn records_of_the_stock_exporter_are_shown() {
    let mut listening = Listening::start(&[]);
    let endpoint = format!("{}/v1/logs", listening.http_endpoint());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let provider = {
        let _inside = runtime.enter();
        let exporter = opentelemetry_otlp::LogExporter::builder()
            .with_http()
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .build()
            .expect("an exporter");
        SdkLoggerProvider::builder().with_simple_exporter(exporter).build()
    };
    runtime.block_on(async {
        tokio::task::spawn_blocking(move || {
            let logger = provider.logger("stock");
            let mut record = logger.create_log_record();
            record.set_body(AnyValue::from("by the stock exporter"));
            record.set_severity_number(Severity::Info);
            logger.emit(record);
        })
        .await
        .expect("sent");
    });
    let line = listening.stdout.wait_for("by the stock exporter");
    assert!(line.contains(" INFO ") && line.contains(" stock by the stock exporter"), "{line}");
    let ended = listening.end();
    assert!(
        ended.stderr.contains("  1  item with the service.name `unknown_service`: set OTEL_SERVICE_NAME [LB096]"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("  1  log record with only an observed time: "), "{}", ended.stderr);
}

/// A gauge and a histogram in OTLP/JSON.
const METRIC: &str = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"depth","unit":"By","gauge":{"dataPoints":
    [{"asDouble":2.5,"timeUnixNano":"1700000000000000000"}]}},{"name":"took","histogram":{"dataPoints":[{"count":"3",
    "sum":1.5,"bucketCounts":["1","2"],"explicitBounds":[1.0],"timeUnixNano":"1700000000000000000"}],
    "aggregationTemporality":2}}]}]}]}"#;

#[test]
fn spans_and_metrics_are_shown_too() {
    let mut listening = Listening::start(&[]);
    assert_eq!(
        ask(listening.http, "POST", "/v1/traces", JSON, one_span("shop", "checkout", TRACE).as_bytes()).status,
        200
    );
    let span = listening.stdout.wait_for("SPAN");
    let expected = format!("2023-11-14T22:13:20.000000Z  SPAN shop checkout 1ms  trace={TRACE} span=00f067aa0ba902b7");
    assert_eq!(span, expected);
    assert_eq!(ask(listening.http, "POST", "/v1/metrics", JSON, METRIC.as_bytes()).status, 200);
    assert_eq!(listening.stdout.wait_for("depth"), "2023-11-14T22:13:20.000000Z METRIC (no service) depth 2.5 By");
    assert!(listening.stdout.wait_for("took").ends_with("took count=3 sum=1.5"));
    let ended = listening.end();
    assert!(
        ended.stderr.contains("  2  items without service.name: set OTEL_SERVICE_NAME [LB096]"),
        "{}",
        ended.stderr
    );
}

#[test]
fn invalid_requests_are_refused_as_by_a_collector_and_reported() {
    let mut listening = Listening::start(&[]);
    let http = listening.http;
    assert_eq!(ask(http, "POST", "/v1/log", PROTOBUF, b"").status, 404);
    assert_eq!(ask(http, "GET", "/v1/logs", PROTOBUF, b"").status, 405);
    assert_eq!(ask(http, "POST", "/v1/logs", "text/plain", b"x").status, 415);
    assert_eq!(ask(http, "POST", "/v1/logs", PROTOBUF, b"\xff").status, 400);
    assert_eq!(ask(http, "POST", "/v1/traces", JSON, b"[").status, 400);
    listening.stderr.wait_for("invalid  404 POST /v1/log: nothing at `/v1/log`");
    listening.stderr.wait_for("method `GET` is not allowed: use POST");
    listening.stderr.wait_for("content type `text/plain` is not supported");
    listening.stderr.wait_for("invalid  400 POST /v1/logs: not OTLP protobuf: ");
    listening.stderr.wait_for("invalid  400 POST /v1/traces: not OTLP/JSON: ");
    // The first bytes of TLS. The receiver responds in plain text.
    let tls = ask(http, "\u{16}\u{3}\u{1}", "/", PROTOBUF, b"");
    assert_eq!(tls.status, 400, "{tls:?}");
    listening.stderr.wait_for("connection  the client speaks TLS");
    let ended = listening.end();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""));
    let (_, summary) = ended.stderr.split_once("nothing received").expect("a summary");
    for row in ["  1  404: nothing at", "  1  405: ", "  1  415: ", "  1  the client speaks TLS"] {
        assert!(summary.contains(row), "{row}: {summary}");
    }
}

#[test]
fn the_wrong_port_is_served_and_reported() {
    let mut listening = Listening::start(&[]);
    send(listening.http_endpoint(), Protocol::Grpc, "crossed").expect("delivered");
    send(listening.http_endpoint(), Protocol::Grpc, "crossed again").expect("delivered");
    listening.stdout.wait_for("crossed again");
    let (http, grpc) = (listening.http, listening.grpc);
    listening
        .stderr
        .wait_for(&format!("received OTLP/gRPC on port {http}, which is for OTLP/HTTP; the port for gRPC is {grpc}"));
    assert_eq!(ask(grpc, "POST", "/v1/logs", JSON, one_record("a", "b", 9, "c", "").as_bytes()).status, 200);
    listening.stderr.wait_for(&format!("received OTLP/HTTP on port {grpc}"));
    let ended = listening.end();
    assert_eq!(ended.stderr.matches("received OTLP/gRPC on port").count(), 1, "said once: {}", ended.stderr);
}

#[test]
fn filters_choose_what_is_shown_but_everything_is_counted() {
    let records = [
        one_record("shop", "shop::cart", 9, "apples", TRACE),
        one_record("shop", "shop::db", 17, "apples are out", ""),
        one_record("mail", "mail", 13, "pears", "0af7651916cd43dd8448eb211c80319c"),
    ];
    for (arguments, shown) in [
        (&["--service", "mail"][..], &["pears"][..]),
        (&["--target", "shop::"], &["apples", "apples are out"]),
        (&["--level", "warn"], &["apples are out", "pears"]),
        (&["--trace", "5B8EFFF7"], &["apples"]),
        (&["--grep", "apples", "--level", "error"], &["apples are out"]),
    ] {
        let listening = Listening::start(arguments);
        for record in &records {
            assert_eq!(ask(listening.http, "POST", "/v1/logs", JSON, record.as_bytes()).status, 200);
        }
        let ended = listening.end();
        assert_eq!(ended.stdout.lines().count(), shown.len(), "{arguments:?}: {}", ended.stdout);
        assert!(shown.iter().all(|text| ended.stdout.contains(text)), "{arguments:?}: {}", ended.stdout);
        assert!(ended.stderr.contains("3 requests: 3 log records"), "{arguments:?}: {}", ended.stderr);
    }
}

#[test]
fn json_is_one_request_a_line_that_can_be_sent_again() {
    let listening = Listening::start(&["--json", "--level", "error"]);
    let both = format!("{}\n", one_record("shop", "shop", 17, "kept <&> \u{e9}", TRACE));
    for body in [both.as_str(), &one_record("shop", "shop", 9, "left out", "")] {
        assert_eq!(ask(listening.http, "POST", "/v1/logs", JSON, body.as_bytes()).status, 200);
    }
    assert_eq!(
        ask(listening.http, "POST", "/v1/traces", JSON, one_span("shop", "checkout", TRACE).as_bytes()).status,
        200
    );
    assert_eq!(ask(listening.http, "POST", "/v1/metrics", JSON, METRIC.as_bytes()).status, 200);
    let ended = listening.end();
    let lines: Vec<serde_json::Value> =
        ended.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 3, "{}", ended.stdout);
    let record = &lines[0]["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
    assert_eq!(record["body"]["stringValue"], "kept <&> \u{e9}");
    assert_eq!(record["timeUnixNano"], "1700000000000000000");
    // A receiver accepts the output.
    let receiver = Receiver::start().expect("a receiver");
    for (line, path) in ended.stdout.lines().zip(["/v1/logs", "/v1/traces"]) {
        assert_eq!(ask(receiver.port(), "POST", path, JSON, line.as_bytes()).status, 200, "{line}");
    }
    assert_eq!((receiver.logs()[0].trace_id.as_str(), receiver.logs().len()), (TRACE, 1));
    assert_eq!(receiver.spans()[0].name, "checkout");
    let again = Listening::start(&[]);
    let metrics = ended.stdout.lines().last().expect("metrics");
    assert_eq!(ask(again.http, "POST", "/v1/metrics", JSON, metrics.as_bytes()).status, 200, "{metrics}");
    assert!(again.end().stdout.contains("depth 2.5 By"));
}

#[test]
fn traces_are_printed_as_trees_with_their_logs() {
    let mut listening = Listening::start(&["--group-by-trace", "--quiet", "1ms"]);
    let post = |path: &str, body: String| {
        assert_eq!(ask(listening.http, "POST", path, JSON, body.as_bytes()).status, 200);
    };
    post("/v1/logs", one_record("shop", "shop::cart", 9, "alone", ""));
    post("/v1/traces", one_span("shop", "checkout", TRACE));
    // The record without a trace is printed at once.
    listening.stdout.wait_for(" INFO shop shop::cart alone");
    listening.stdout.wait_for(&format!("trace {TRACE}"));
    listening.stdout.wait_for("└─ shop checkout 1ms");
    drop(listening);

    let listening = Listening::start(&["--group-by-trace", "--quiet", "10m"]);
    let post = |path: &str, body: String| {
        assert_eq!(ask(listening.http, "POST", path, JSON, body.as_bytes()).status, 200);
    };
    post("/v1/logs", one_record("shop", "shop::cart", 9, "order placed", TRACE));
    post("/v1/traces", one_span("shop", "checkout", TRACE));
    let tree = format!("trace {TRACE}\n└─ shop checkout 1ms\n   └─ INFO  shop::cart order placed");
    // Waiting traces are printed at the end.
    assert_eq!(listening.end().stdout, tree);
}

#[test]
fn requests_and_responses_are_forwarded_unchanged() {
    let upstream = Receiver::start().expect("a receiver");
    let mut listening = Listening::start(&["--forward", &upstream.endpoint()]);
    send(listening.http_endpoint(), Protocol::HttpProtobuf, "by http").expect("delivered");
    send(listening.grpc_endpoint(), Protocol::Grpc, "by grpc").expect("delivered");
    listening.stderr.wait_for("upstream  200 accepted  log records in ");
    assert_eq!(upstream.logs().iter().map(|log| log.message()).collect::<Vec<_>>(), ["by http", "by grpc"]);

    // Headers of the client and unknown fields are forwarded unchanged.
    let odd = [one_record("odd", "odd", 9, "odd", "").trim_end_matches('}'), ",\"unknown\": [1]}"].concat();
    assert_eq!(ask(listening.http, "POST", "/v1/logs", "application/json; charset=utf-8", odd.as_bytes()).status, 200);
    let requests = upstream.requests();
    let last = requests.last().expect("a request");
    assert_eq!((last.body_bytes, last.content_type.as_str()), (odd.len(), "application/json; charset=utf-8"));

    upstream.answer_always(Answer::PartialSuccess { rejected: 1, message: "too old".to_owned() });
    for (protocol, endpoint) in
        [(Protocol::HttpProtobuf, listening.http_endpoint()), (Protocol::Grpc, listening.grpc_endpoint())]
    {
        let error = send(endpoint, protocol, "rejected").expect_err("rejected");
        assert!(format!("{error:?}{error}").contains("too old") || error.to_string().contains("reject"), "{error}");
    }
    listening.stderr.wait_for("upstream  partial success: 1 rejected: \"too old\"");
    upstream.answer_always(Answer::Status { code: 403, retry_after: None, body: "no such key".to_owned() });
    let body = one_record("a", "b", 9, "c", "");
    let reply = ask(listening.http, "POST", "/v1/logs", JSON, body.as_bytes());
    assert_eq!(reply.status, 403);
    assert!(reply.text.ends_with("no such key"), "{reply:?}");
    listening.stderr.wait_for("it answered 403 Forbidden (it refused the credentials): \"no such key\"");
    send(listening.grpc_endpoint(), Protocol::Grpc, "refused").expect_err("refused");
    listening.stderr.wait_for("it answered PERMISSION_DENIED");
    let ended = listening.end();
    assert!(ended.stderr.contains("responses of the upstream endpoint"), "{}", ended.stderr);
}

#[test]
fn an_unreachable_upstream_is_reported_once_and_the_client_can_retry() {
    // Nothing listens on port 1, and the system never assigns it.
    let dead = "127.0.0.1:1";
    let mut listening = Listening::start(&["--forward", &format!("http://{dead}/v1/logs")]);
    for _ in 0..3 {
        let body = one_record("a", "b", 9, "c", "");
        let reply = ask(listening.http, "POST", "/v1/logs", JSON, body.as_bytes());
        assert_eq!(reply.status, 503, "{reply:?}");
        assert!(reply.text.contains("logbridge could not forward this request: "), "{reply:?}");
    }
    listening.stderr.wait_for("upstream  ");
    listening.stdout.wait_for(" b c");
    let grpc = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
        let mut client = tonic_like(listening.grpc).await;
        client.export(b"").await
    });
    assert_eq!(grpc.as_deref(), Some("14"), "UNAVAILABLE");
    let ended = listening.end();
    assert_eq!(ended.stderr.matches("\nupstream  ").count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("choose another endpoint with --forward\n"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("OTEL_EXPORTER_OTLP_ENDPOINT, or"), "{}", ended.stderr);
    assert!(ended.stderr.contains("  4  "), "all four are counted: {}", ended.stderr);
}

/// A gRPC client that returns the status of each response.
struct Grpc(hyper::client::conn::http2::SendRequest<http_body_util::Full<bytes::Bytes>>);

async fn tonic_like(port: u16) -> Grpc {
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
    let (sender, connection) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    )
    .await
    .expect("HTTP/2");
    tokio::spawn(connection);
    Grpc(sender)
}

impl Grpc {
    /// Exports a message and returns its `grpc-status`.
    async fn export(&mut self, message: &[u8]) -> Option<String> {
        self.export_to("localhost", message).await
    }

    /// Exports a message with this host in the request.
    async fn export_to(&mut self, host: &str, message: &[u8]) -> Option<String> {
        use http_body_util::BodyExt as _;
        let mut framed = vec![0];
        framed.extend((message.len() as u32).to_be_bytes());
        framed.extend(message);
        let method = "opentelemetry.proto.collector.logs.v1.LogsService/Export";
        let request = http::Request::post(format!("http://{host}/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(http_body_util::Full::new(bytes::Bytes::from(framed)))
            .expect("a request");
        let (head, body) = self.0.send_request(request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a body");
        let status =
            body.trailers().and_then(|trailers| trailers.get("grpc-status")).or(head.headers.get("grpc-status"));
        status.map(|status| status.to_str().expect("text").to_owned())
    }
}

#[test]
fn invalid_grpc_is_refused_and_reported() {
    let mut listening = Listening::start(&[]);
    let status =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
            let mut client = tonic_like(listening.grpc).await;
            [client.export(b"\xff").await, client.export(b"").await]
        });
    assert_eq!(status, [Some("3".to_owned()), Some("0".to_owned())]);
    // Too many records of two bytes: RESOURCE_EXHAUSTED makes clients send fewer.
    let field = |inside: Vec<u8>, number: u8| {
        let length = inside.len();
        let length = [length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8];
        [&[number << 3 | 2][..], &length, &inside].concat()
    };
    let many = field(field([0x12, 0].repeat(200_000), 2), 1);
    let status =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
            let mut client = tonic_like(listening.grpc).await;
            [client.export(&many).await, client.export(b"").await]
        });
    assert_eq!(status, [Some("8".to_owned()), Some("0".to_owned())]);
    listening
        .stderr
        .wait_for("invalid  400 POST /opentelemetry.proto.collector.logs.v1.LogsService/Export: not OTLP protobuf: ");
}

#[test]
fn each_fault_is_answered_as_planned() {
    let body = one_record("shop", "shop", 9, "a poisoned apple", "");
    for (plan, answers) in [
        ("503*2,ok", &[503, 503, 200, 200][..]),
        ("401", &[401, 401]),
        ("reset", &[0]),
        ("drop", &[0]),
        ("html", &[200]),
        ("redirect=/login", &[307]),
        ("max-bytes=20", &[413]),
        ("max-bytes=20000", &[200]),
        ("poison=apple", &[400]),
        ("poison=pear", &[200]),
        ("hang=1ms,ok", &[200]),
    ] {
        let listening = Listening::start(&["--fault", plan]);
        for expected in answers {
            let reply = ask(listening.http, "POST", "/v1/logs", JSON, body.as_bytes());
            assert_eq!(reply.status, *expected, "{plan}: {reply:?}");
        }
        let ended = listening.end();
        assert_eq!(ended.stdout.lines().count(), answers.len(), "all of it is shown: {plan}");
        assert!(plan.starts_with("ok") || ended.stderr.contains("fault  "), "{plan}: {}", ended.stderr);
    }
    let said = |plan: &str| {
        let listening = Listening::start(&["--fault", plan]);
        ask(listening.http, "POST", "/v1/logs", JSON, body.as_bytes()).text
    };
    assert!(said("429:retry=1s").contains("retry-after: 1\r\n"));
    assert!(said("html").contains("<form"));
    assert!(said("redirect=/login").contains("location: /login\r\n"));
    assert!(
        said("partial=2:no room").contains(r#"{"partialSuccess":{"errorMessage":"no room","rejectedLogRecords":"2"}}"#)
    );
}

#[test]
fn a_waiting_client_does_not_delay_the_end() {
    let mut listening = Listening::start(&["--fault", "hang"]);
    let port = listening.http;
    let waiting = std::thread::spawn(move || {
        ask(port, "POST", "/v1/logs", JSON, one_record("a", "b", 9, "c", "").as_bytes()).status
    });
    listening.stderr.wait_for("fault  hang");
    assert_eq!(listening.end().code, Some(0));
    assert_eq!(waiting.join().expect("ended"), 0);
}

#[test]
fn a_closed_pipe_ends_the_command_quietly() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logbridge"));
    command.env_clear().args(["listen", "--http-port", "0", "--grpc-port", "0"]);
    let mut listening = Listening::spawn(command);
    let body = one_record("a", "b", 9, &"x".repeat(100), "");
    assert_eq!(ask(listening.http, "POST", "/v1/logs", JSON, body.as_bytes()).status, 200);
    listening.stdout.wait_for("xxx");
    listening.close_stdout();
    // The pipe is closed after the first record; writing the next one fails.
    let http = listening.http;
    let sending = std::thread::spawn(move || {
        while let Ok(stream) = TcpStream::connect(("127.0.0.1", http)) {
            drop(stream);
            ask(http, "POST", "/v1/logs", JSON, body.as_bytes());
        }
    });
    let (code, stderr) = listening.wait();
    assert_eq!(code, Some(0), "{stderr}");
    // It fails to connect, or its connection breaks.
    let _ended = sending.join();
    assert!(!stderr.contains("panicked") && !stderr.contains("error:"), "{stderr}");
}

#[test]
fn a_port_in_use_is_reported_with_its_option() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    for option in ["--http-port", "--grpc-port"] {
        let other = if option == "--http-port" { "--grpc-port" } else { "--http-port" };
        let mut command = Command::new(env!("CARGO_BIN_EXE_logbridge"));
        let output = command.env_clear().args(["listen", option, &port, other, "0"]).output().expect("the command");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with(&format!("error: port {port} is in use")), "{stderr}");
        assert!(stderr.contains(&format!("choose another port with {option}")), "{stderr}");
    }
}

#[test]
fn the_command_does_not_forward_to_itself() {
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        free.local_addr().expect("an address").port().to_string()
    };
    let url = format!("http://localhost:{port}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_logbridge"));
    command.env_clear().args(["listen", "--grpc-port", "0", "--http-port", &port, "--forward", &url]);
    let output = command.output().expect("the command");
    let stderr = String::from_utf8_lossy(&output.stderr);
    // Another program may have taken the port in the meantime.
    let is_taken = stderr.starts_with("error: port ") && output.status.code() == Some(1);
    let is_told = stderr.contains("this command listens there itself") && output.status.code() == Some(2);
    assert!(is_told || is_taken, "{:?}: {stderr}", output.status);
}

#[test]
fn incorrect_usage_is_reported() {
    for (arguments, said) in [
        (&["--fault", "503,nope"][..], "  503,nope\n      ^^^^"),
        (&["--host", "nowhere"], "expected an IP address such as 127.0.0.1"),
        (&["--forward", "nope"], "error: --forward: `nope` does not start with http:// or https://"),
        (&["--level", "loud"], "error, warn, info, debug or trace"),
        (&["--json", "--group-by-trace"], "cannot be used with"),
        (&["--quiet", "5"], "missing unit: write 5s for seconds or 5ms for milliseconds"),
        (&["--fault", "429:retry=1"], "write 1s for seconds or 1ms for milliseconds"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logbridge"));
        command.env_clear().args(["listen", "--http-port", "0", "--grpc-port", "0"]).args(arguments);
        let output = command.output().expect("the command");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}

/// Sends a request with these headers on a new connection.
#[track_caller]
fn ask_with(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    stream.set_read_timeout(Some(LONG)).expect("a timeout");
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).expect("sent");
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Reply { status, text }
}

#[test]
fn empty_requests_are_reported_with_the_reason() {
    let mut listening = Listening::start(&[]);
    let record = one_record("shop", "shop", 9, "order placed", "");
    let snake = record.replace("resourceLogs", "resource_logs");
    let inner = record.replace("severityNumber", "severity_number");
    let spans = one_span("shop", "checkout", TRACE);
    for body in [snake.as_str(), &snake, &spans, "{}", &inner] {
        assert_eq!(ask(listening.http, "POST", "/v1/logs", JSON, body.as_bytes()).status, 200, "{body}");
    }
    for line in [
        "empty  POST /v1/logs: request without records: unknown key `resource_logs`: use `resourceLogs` (OTLP/JSON keys are in lowerCamelCase)",
        "empty  POST /v1/logs: request without records: unknown key `resourceSpans`: spans go to `/v1/traces`",
        "empty  POST /v1/logs: request without records",
        "ignored  POST /v1/logs: unknown key `resourceLogs[0].scopeLogs[0].logRecords[0].severity_number`",
    ] {
        listening.stderr.wait_for(line);
    }
    listening.stdout.wait_for("order placed");
    let ended = listening.end();
    assert!(
        ended
            .stderr
            .contains("empty requests and unknown keys\n  2  request without records: unknown key `resource_logs`"),
        "{}",
        ended.stderr
    );
}

#[test]
fn only_names_of_this_machine_are_accepted() {
    let body = one_record("shop", "shop", 9, "order placed", "");
    let mut listening = Listening::start(&["--allow-host", "box.internal"]);
    let post =
        |host: &str| ask_with(listening.http, "POST", "/v1/logs", &[("host", host), ("content-type", JSON)], &body);
    for host in ["localhost", "127.0.0.1:4318", "[::1]:4318", "box.internal:4318"] {
        assert_eq!(post(host).status, 200, "{host}");
    }
    let refused = post("evil.example:4318");
    assert_eq!(refused.status, 421, "{refused:?}");
    assert!(refused.text.contains("allow it with --allow-host evil.example"), "{refused:?}");
    let grpc = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
        let mut client = tonic_like(listening.grpc).await;
        [client.export_to("localhost", b"").await, client.export_to("evil.example", b"").await]
    });
    assert_eq!(grpc, [Some("0".to_owned()), Some("7".to_owned())], "PERMISSION_DENIED");
    listening.stderr.wait_for("invalid  421 POST /v1/logs: host `evil.example:4318` is not a name of this receiver");
    let ended = listening.end();
    assert_eq!(ended.stdout.matches("order placed").count(), 4, "{}", ended.stdout);
}

#[test]
fn long_values_of_requests_are_shortened_and_their_rows_are_limited() {
    let listening = Listening::start(&[]);
    let long = "e".repeat(50_000);
    let (place, answers) = (format!("/{long}"), |headers: &[(&str, &str)], path: &str| {
        let reply = ask_with(listening.http, "POST", path, headers, "{}");
        assert!(reply.text.len() < 1_000, "{}", reply.text.len());
        reply.status
    });
    assert_eq!(answers(&[("host", &long), ("content-type", JSON)], "/v1/logs"), 421);
    assert_eq!(answers(&[("host", "localhost"), ("origin", &long), ("content-type", JSON)], "/v1/logs"), 403);
    assert_eq!(answers(&[("host", "localhost"), ("content-type", &long)], "/v1/logs"), 415);
    assert_eq!(answers(&[("host", "localhost"), ("content-type", JSON)], &place), 404);
    for number in 0..40 {
        assert_eq!(answers(&[("host", "localhost"), ("content-type", JSON)], &format!("/v{number}")), 404);
    }
    let ended = listening.end();
    let (_, summary) = ended.stderr.split_once("nothing received").expect("a summary");
    assert!(ended.stderr.lines().all(|line| line.chars().count() < 700), "{}", ended.stderr);
    assert_eq!(summary.lines().filter(|line| line.starts_with("  1  ")).count(), 20, "{summary}");
    assert!(summary.trim_end().ends_with("\n  and 24 others"), "{summary}");
}

#[test]
fn only_pages_of_this_machine_may_send() {
    let upstream = Receiver::start().expect("a receiver");
    let listening = Listening::start(&["--forward", &upstream.endpoint(), "--allow-origin", "https://shop.example"]);
    let body = one_record("shop", "shop", 9, "order placed", "");
    let asked = |method: &str, origin: &str, kind: &str| {
        let headers = [
            ("host", "localhost"),
            ("origin", origin),
            ("content-type", kind),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type"),
        ];
        let headers = if method == "OPTIONS" { &headers[..] } else { &headers[..3] };
        ask_with(listening.http, method, "/v1/logs", headers, if method == "OPTIONS" { "" } else { &body })
    };
    for origin in ["http://localhost:3000", "http://127.0.0.1", "https://shop.example"] {
        let preflight = asked("OPTIONS", origin, JSON);
        assert_eq!(preflight.status, 204, "{preflight:?}");
        assert!(preflight.text.contains("access-control-allow-methods: POST\r\n"), "{preflight:?}");
        assert!(preflight.text.contains("access-control-allow-headers: content-type\r\n"), "{preflight:?}");
        let posted = asked("POST", origin, JSON);
        assert_eq!(posted.status, 200, "{posted:?}");
        assert!(posted.text.contains(&format!("access-control-allow-origin: {origin}\r\n")), "{posted:?}");
        // The page gets to read why, too.
        let wrong = asked("POST", origin, "text/plain");
        assert!(wrong.status == 415 && wrong.text.contains("access-control-allow-origin"), "{wrong:?}");
    }
    for origin in ["https://evil.example", "null"] {
        assert_eq!(asked("OPTIONS", origin, JSON).status, 403);
        // What a browser sends without asking first.
        let simple = asked("POST", origin, "text/plain");
        assert_eq!(simple.status, 403, "{simple:?}");
        assert!(!simple.text.contains("access-control-allow-origin:"), "{simple:?}");
        assert!(simple.text.contains(&format!("allow it with --allow-origin {origin}")), "{simple:?}");
    }
    assert_eq!(upstream.logs().len(), 3, "nothing of the others was passed on");
    assert_eq!(listening.end().stdout.matches("order placed").count(), 3);
}

#[test]
fn hop_by_hop_headers_are_not_forwarded() {
    let upstream = Receiver::start().expect("a receiver");
    let listening = Listening::start(&["--forward", &upstream.endpoint()]);
    let headers = [
        ("host", "localhost"),
        ("content-type", JSON),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("proxy-authorization", "Basic c2VjcmV0"),
        ("cookie", "session=1"),
        ("x-key", "kept"),
    ];
    let body = one_record("shop", "shop", 9, "order placed", "");
    assert_eq!(ask_with(listening.http, "POST", "/v1/logs", &headers, &body).status, 200);
    let requests = upstream.requests();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    for gone in ["x-hop", "proxy-authorization", "cookie"] {
        assert_eq!(request.header(gone), None, "{gone}");
    }
    assert_eq!(request.header("x-key"), Some("kept"));
}

#[test]
fn source_locations_are_shown_with_all() {
    let send = |listening: &Listening| {
        let body = one_record("shop", "shop", 9, "order placed", "").replace(
            "\"severityNumber\"",
            "\"attributes\":[{\"key\":\"user\",\"value\":{\"intValue\":\"42\"}},{\"key\":\"code.file.path\",\"value\":{\"stringValue\":\"/src/main.rs\"}},\
             {\"key\":\"thread.name\",\"value\":{\"stringValue\":\"main\"}}],\"severityNumber\"",
        );
        assert_eq!(ask(listening.http, "POST", "/v1/logs", JSON, body.as_bytes()).status, 200);
    };
    let mut short = Listening::start(&[]);
    send(&short);
    assert!(short.stdout.wait_for("order placed").ends_with("order placed  user=42"));
    let mut long = Listening::start(&["--all"]);
    send(&long);
    assert!(long.stdout.wait_for("order placed").ends_with("user=42 code.file.path=/src/main.rs thread.name=main"));
}

#[test]
fn received_text_cannot_control_a_terminal() {
    // C0, DEL, C1, line separators and direction marks in every text field.
    let hostile = "a\u{1b}[2J\u{7f}\u{9b}1m\n\u{2028}\u{2029}\u{202e}\u{2066}\u{61c}\u{200f}b";
    let is_unsafe = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let attribute = serde_json::json!({"key": hostile, "value": {"kvlistValue": {"values": [{"key": hostile, "value": {"stringValue": hostile}}]}}});
    let resource =
        serde_json::json!({"attributes": [{"key": "service.name", "value": {"stringValue": hostile}}, attribute]});
    let scope = serde_json::json!({"name": hostile, "version": hostile, "attributes": [attribute]});
    let logs = serde_json::json!({"resourceLogs": [{"resource": resource, "schemaUrl": hostile, "scopeLogs": [{"scope": scope, "schemaUrl": hostile,
        "logRecords": [{"severityText": hostile, "body": {"stringValue": hostile}, "attributes": [attribute], "eventName": hostile}]}]}]});
    let spans = serde_json::json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": [{"traceId": TRACE,
        "spanId": "00f067aa0ba902b7", "name": hostile, "traceState": hostile, "attributes": [attribute],
        "status": {"code": 2, "message": hostile}, "events": [{"name": hostile, "attributes": [attribute]}]}]}]}]});
    let metrics = serde_json::json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"scope": scope, "metrics": [{"name": hostile,
        "unit": hostile, "description": hostile, "gauge": {"dataPoints": [{"asInt": "1", "attributes": [attribute]}]}}]}]}]});
    for arguments in [&[][..], &["--json"], &["--group-by-trace"], &["--all", "--full-ids"]] {
        let listening = Listening::start(arguments);
        for (path, body) in [("/v1/logs", &logs), ("/v1/traces", &spans), ("/v1/metrics", &metrics)] {
            let reply = ask(listening.http, "POST", path, JSON, body.to_string().as_bytes());
            assert_eq!(reply.status, 200, "{reply:?}");
        }
        // Also in invalid requests.
        let odd = serde_json::json!({ hostile: 1 }).to_string();
        assert_eq!(ask(listening.http, "POST", "/v1/logs", JSON, odd.as_bytes()).status, 200);
        assert_eq!(ask(listening.http, "POST", "/\u{9b}\u{202e}", JSON, b"").status, 404);
        let ended = listening.end();
        for shown in [&ended.stdout, &ended.stderr] {
            assert!(!shown.contains(is_unsafe), "{arguments:?}: {shown:?}");
        }
        let records = if arguments.contains(&"--json") { 3 } else { 0 };
        for line in ended.stdout.lines().take(records) {
            let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert!(value.to_string().contains("\u{202e}"), "it is what it was: {line}");
        }
    }
}
