//! gRPC on the wire, and failures of gRPC endpoints, compression and proxies. The package `interop` tests every
//! protocol and compression with other receivers.

#![allow(clippy::expect_used)] // A test may panic.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::HeaderValue;
use log::Log as _;
use logbridge::testing::{Answer, Receiver};
use logbridge::{Bridge, Builder, Compression, Console, LevelFilter, Otlp, Protocol, RejectReason};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::grpc::{EMPTY, Exactly, GrpcServer, Says, runtime};
use crate::undelivered::undelivered;

const LONG: Duration = Duration::from_secs(20);

fn bridge(otlp: Otlp) -> Bridge {
    Builder::new()
        .service_name("transports")
        .filter_level(LevelFilter::Trace)
        .otlp(otlp)
        .console(Console::off())
        .schedule_delay(Duration::from_millis(10))
        .build()
        .expect("builds")
}

fn otlp(server: &GrpcServer) -> Otlp {
    Otlp::to(server.endpoint()).protocol(Protocol::Grpc).traces_off()
}

fn write(bridge: &Bridge, text: &str) {
    let args = format_args!("{text}");
    let key_values = [("user", log::kv::Value::from(42)), ("shop", log::kv::Value::from("south"))];
    let record = &mut log::Record::builder();
    let record = record.args(args).level(log::Level::Warn).target("transports").key_values(&key_values);
    bridge.logger().log(&record.build());
}

#[test]
fn grpc_works_inside_a_runtime_with_one_thread_and_without_any() {
    let server = GrpcServer::start(&[Says::Ok]);
    let inside = bridge(otlp(&server));
    let current = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    current.block_on(async {
        write(&inside, "inside");
        // It blocks the only thread of this runtime, which the delivery does not need.
        inside.flush(LONG).expect("delivered");
    });
    let without = bridge(otlp(&server));
    write(&without, "without");
    without.flush(LONG).expect("delivered");
    assert_eq!(server.seen().len(), 2);
}

/// What a flush says of one record that gets this answer, and the number of rejected records by reason.
fn refused(says: Says) -> (String, Vec<(RejectReason, u64)>) {
    let server = GrpcServer::start(&[says]);
    let bridge = bridge(otlp(&server));
    write(&bridge, "refused");
    bridge.flush(LONG).expect_err("refused");
    (bridge.report().to_string(), bridge.report().counters.otlp.rejected)
}

#[test]
fn a_refusal_by_grpc_is_final_and_in_words() {
    for (says, reason, words) in [
        (Says::Status(3, "bad time"), RejectReason::Malformed, "it answered INVALID_ARGUMENT"),
        (Says::Status(16, "bad key"), RejectReason::Auth, "it answered UNAUTHENTICATED"),
        (Says::Status(7, "no"), RejectReason::Auth, "it answered PERMISSION_DENIED"),
        (Says::Status(12, "unknown service"), RejectReason::NotFound, "it answered UNIMPLEMENTED"),
        (Says::Status(8, "quota"), RejectReason::OtherStatus, "it answered RESOURCE_EXHAUSTED"),
        (Says::Status(13, "oops"), RejectReason::OtherStatus, "it answered INTERNAL"),
        (Says::Page, RejectReason::OtherStatus, "it does not answer like a gRPC server"),
    ] {
        let (error, rejected) = refused(says.clone());
        assert_eq!(rejected, [(reason, 1)], "{says:?}: {error}");
        assert!(error.contains(words), "{says:?}: {error}");
    }
}

/// tonic panics at them.
#[test]
fn details_that_cannot_be_read_are_left_out() {
    let trailers = |trailers| Says::Exactly(Exactly { body: EMPTY, trailers, ..Exactly::GRPC });
    let header = |headers| Says::Exactly(Exactly { headers, ..Exactly::GRPC });
    for says in [
        trailers(&[("grpc-status", "3"), ("grpc-status-details-bin", "%%")]),
        header(&[("content-type", "application/grpc"), ("grpc-status", "3"), ("grpc-status-details-bin", "%%")]),
    ] {
        let (error, rejected) = refused(says.clone());
        assert_eq!(rejected, [(RejectReason::Malformed, 1)], "{says:?} {error}");
        assert!(error.contains("it answered INVALID_ARGUMENT") && !error.contains("panicked"), "{error}");
    }
    let server = GrpcServer::start(&[trailers(&[("grpc-status", "0"), ("grpc-status-details-bin", "%%")])]);
    let bridge = bridge(otlp(&server));
    for text in ["first", "second"] {
        write(&bridge, text);
        bridge.flush(LONG).expect("delivered");
    }
    assert_eq!((server.seen().len(), bridge.report().counters.otlp.delivered), (2, 2), "each of them once");
}

/// A proxy in front of a server of gRPC has words of HTTP only.
#[test]
fn a_status_of_http_counts_where_there_is_none_of_grpc() {
    let server = GrpcServer::start(&[Says::Limit(20_000)]);
    let limited = bridge(otlp(&server).timeout(LONG));
    for number in 0..1_000 {
        write(&limited, &format!("number {number}"));
    }
    limited.flush(LONG).expect("all of them fit in parts");
    assert_eq!(limited.report().counters.otlp.delivered, 1_000);
    for (status, reason, words) in [
        (400, RejectReason::Malformed, "it answered 400 Bad Request (it could not read the request): \"no\""),
        (401, RejectReason::Auth, "it answered 401 Unauthorized"),
        (404, RejectReason::NotFound, "it answered 404 Not Found"),
        (413, RejectReason::TooLarge, "it answered 413 Payload Too Large"),
        (307, RejectReason::Redirect, "it answered 307, a redirect, without saying where to"),
        (500, RejectReason::OtherStatus, "it answered 500 Internal Server Error"),
    ] {
        let headers = &[("content-type", "text/plain")];
        let (error, rejected) = refused(Says::Exactly(Exactly { status, headers, body: b"no", ..Exactly::GRPC }));
        assert_eq!(rejected, [(reason, 1)], "{status}: {error}");
        assert!(error.contains(words), "{error}");
    }
    // A status of gRPC wins, also at the end.
    let trailers = &[("grpc-status", "16")];
    let (error, rejected) = refused(Says::Exactly(Exactly { status: 400, trailers, ..Exactly::GRPC }));
    assert_eq!(rejected, [(RejectReason::Auth, 1)], "{error}");
    let busy = Says::Exactly(Exactly { status: 502, ..Exactly::GRPC });
    let server = GrpcServer::start(&[busy, Says::Ok]);
    let again = bridge(otlp(&server));
    write(&again, "again");
    again.flush(LONG).expect("delivered at the second try");
}

#[test]
fn a_status_that_nobody_knows_is_shown_as_it_came() {
    let (error, rejected) = refused(Says::Status(99, "what?"));
    assert_eq!(rejected, [(RejectReason::OtherStatus, 1)]);
    assert!(error.contains("it answered with the status 99 (it refused): \"what?\""), "{error}");
    let (error, _) = refused(Says::Status(2, "hm"));
    assert!(error.contains("it answered UNKNOWN (it refused): \"hm\""), "{error}");
}

#[test]
fn ok_without_a_message_that_can_be_read_confirms_nothing() {
    let trailers = &[("grpc-status", "0")];
    let headers = &[("content-type", "application/grpc"), ("grpc-status", "0")];
    let zipped = &[("content-type", "application/grpc"), ("grpc-encoding", "gzip")];
    for (exactly, words) in [
        (Exactly { trailers, ..Exactly::GRPC }, "it answered OK without a message"),
        (Exactly { headers, ..Exactly::GRPC }, "it answered OK without a message"),
        (Exactly { trailers, body: &EMPTY[..3], ..Exactly::GRPC }, "it answered OK without a message"),
        (
            Exactly { headers, body: b"\x07\0\0\0\0", ..Exactly::GRPC },
            "it answered OK with a message that cannot be read",
        ),
        (Exactly { trailers, body: b"\x07\0\0\0\0", ..Exactly::GRPC }, "its answer cannot be read"),
        (Exactly { headers: zipped, body: EMPTY, trailers, is_cut: false, status: 200 }, "its answer cannot be read"),
    ] {
        let server = GrpcServer::start(&[Says::Exactly(exactly.clone())]);
        let bridge = bridge(otlp(&server).compression(Compression::Gzip));
        write(&bridge, "perhaps");
        let error = bridge.flush(LONG).expect_err("not confirmed");
        let report = bridge.report().to_string();
        assert_eq!(
            (undelivered(&error).logs.unconfirmed, undelivered(&error).logs.lost()),
            (1, 0),
            "{exactly:?}: {report}"
        );
        assert!(report.contains(words), "{exactly:?}: {report}");
        assert_eq!(server.seen().len(), 1, "it is not sent again");
    }
}

#[test]
fn an_answer_that_breaks_off_is_asked_for_again() {
    for exactly in [
        Exactly::GRPC,
        Exactly { body: EMPTY, ..Exactly::GRPC },
        Exactly { body: &EMPTY[..3], ..Exactly::GRPC },
        Exactly { body: EMPTY, is_cut: true, ..Exactly::GRPC },
        Exactly { is_cut: true, ..Exactly::GRPC },
    ] {
        let server = GrpcServer::start(&[Says::Exactly(exactly.clone()), Says::Ok]);
        let bridge = bridge(otlp(&server));
        write(&bridge, "again");
        bridge.flush(LONG).unwrap_or_else(|error| panic!("{exactly:?}: {error}"));
        assert_eq!(server.seen().len(), 2, "{exactly:?}");
        let said = bridge.report().to_string();
        assert!(!said.contains("speak HTTP/2"), "{said}");
    }
}

#[test]
fn a_long_message_is_read_and_an_endless_head_confirms_nothing() {
    let (error, rejected) = refused(Says::Status(3, "long ".repeat(20_000).leak()));
    assert_eq!(rejected, [(RejectReason::Malformed, 1)], "{error}");
    let server = GrpcServer::start(&[Says::Status(3, "x".repeat(4_000_000).leak())]);
    let bridge = bridge(otlp(&server));
    write(&bridge, "huge");
    let error = bridge.flush(LONG).expect_err("not confirmed");
    let report = bridge.report().to_string();
    assert_eq!(
        (undelivered(&error).logs.unconfirmed, undelivered(&error).logs.lost(), server.seen().len()),
        (1, 0, 1),
        "{report}"
    );
    assert!(report.contains("the header of its answer is too large"), "{report}");
}

#[test]
fn grpc_is_tried_again_where_the_specification_says_so() {
    for code in [1, 4, 10, 14, 15] {
        let server = GrpcServer::start(&[Says::Status(code, "later"), Says::Ok]);
        let bridge = bridge(otlp(&server));
        write(&bridge, "again");
        bridge.flush(LONG).expect("delivered at the second try");
        assert_eq!((server.seen().len(), bridge.report().counters.otlp.delivered), (2, 1), "{code}");
    }
}

/// A peer that is gone without a word: a firewall forgot the connection, say.
#[test]
fn grpc_leaves_a_connection_that_is_dead() {
    let server = GrpcServer::start(&[Says::Ok]);
    let to = server.port();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let dead = listener.accept();
        for client in listener.incoming().flatten() {
            let server = std::net::TcpStream::connect(("127.0.0.1", to)).expect("the server listens");
            let pairs = [(&client, &server), (&server, &client)];
            let copies = pairs.map(|(from, to)| (from.try_clone(), to.try_clone()));
            for (from, to) in copies {
                std::thread::spawn(move || std::io::copy(&mut from.expect("a copy"), &mut to.expect("a copy")));
            }
        }
        drop(dead);
    });
    let otlp = Otlp::to(endpoint).protocol(Protocol::Grpc).traces_off().timeout(Duration::from_millis(300));
    let bridge = bridge(otlp);
    write(&bridge, "the second connection takes it");
    bridge.flush(LONG).expect("delivered");
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn grpc_requests_look_as_they_should() {
    let server = GrpcServer::start(&[Says::Ok]);
    let bridge = bridge(otlp(&server).header("x-tenant", "south").header("Authorization", "KEY"));
    write(&bridge, "headers");
    bridge.flush(LONG).expect("delivered");
    let [seen] = <[_; 1]>::try_from(server.seen()).expect("one request");
    assert_eq!(seen.path, "/opentelemetry.proto.collector.logs.v1.LogsService/Export");
    for (name, value) in
        [("content-type", "application/grpc"), ("te", "trailers"), ("x-tenant", "south"), ("authorization", "KEY")]
    {
        assert_eq!(seen.headers.get(name).map(HeaderValue::as_bytes), Some(value.as_bytes()), "{name}");
    }
    let agent = seen.headers.get("user-agent").and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    assert!(agent.starts_with("OTel-OTLP-Exporter-Rust/"), "{agent}");
    assert!(seen.headers.contains_key("grpc-timeout"));
}

#[test]
fn compression_that_is_refused_is_given_up_once_and_costs_nothing() {
    let server = GrpcServer::start(&[Says::OnlyPlain]);
    let bridge = bridge(otlp(&server).compression(Compression::Gzip));
    for text in ["first", "second"] {
        write(&bridge, text);
        bridge.flush(LONG).expect("delivered");
    }
    let compressed: Vec<bool> = server.seen().iter().map(|seen| seen.headers.contains_key("grpc-encoding")).collect();
    assert_eq!(compressed, [true, false, false]);
    assert!(server.seen().iter().all(|seen| seen.length > 0));
    assert_eq!(bridge.report().counters.otlp.delivered, 2);

    let receiver = Receiver::start().expect("a receiver");
    receiver.answer_with([Answer::status(415), Answer::Ok]);
    let http = self::bridge(Otlp::to(receiver.endpoint()).compression(Compression::Zstd));
    for text in ["first", "second"] {
        write(&http, text);
        http.flush(LONG).expect("delivered");
    }
    assert_eq!(receiver.logs().len(), 2);
    let encodings: Vec<_> =
        receiver.requests().iter().map(|request| request.header("content-encoding").map(str::to_owned)).collect();
    assert_eq!(encodings, [Some("zstd".to_owned()), None, None]);
    // A refusal that is not about compression stays one.
    receiver.answer_always(Answer::status(400));
    let http = self::bridge(Otlp::to(receiver.endpoint()).compression(Compression::Gzip));
    write(&http, "bad");
    http.flush(LONG).expect_err("refused");
    let report = http.report().to_string();
    assert!(report.contains("it answered 400"), "{report}");
}

#[test]
fn the_other_protocols_port_is_named() {
    let server = GrpcServer::start(&[Says::Ok]);
    let http = bridge(Otlp::to(server.endpoint()).traces_off());
    write(&http, "HTTP to a gRPC port");
    let error = format!("{:?}", http.shutdown(Duration::from_secs(2)).expect_err("not delivered"));
    assert!(error.contains("the answer is not HTTP/1.1"), "{error}");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    // A server of HTTP/1.1, to which the first bytes of HTTP/2 are a bad request.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _gone = { stream }.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
        }
    });
    let grpc = bridge(Otlp::to(endpoint).protocol(Protocol::Grpc).traces_off());
    write(&grpc, "gRPC to an HTTP port");
    let error = format!("{:?}", grpc.shutdown(Duration::from_secs(2)).expect_err("not delivered"));
    assert!(error.contains("the port does not seem to speak HTTP/2"), "{error}");
}

#[test]
fn a_server_that_resets_a_stream_speaks_the_right_protocol() {
    let server = GrpcServer::start(&[Says::Reset]);
    let bridge = bridge(otlp(&server));
    write(&bridge, "reset");
    let error = format!("{:?}", bridge.shutdown(Duration::from_secs(1)).expect_err("not delivered"));
    assert!(error.contains("stream error received") && !error.contains("does not speak"), "{error}");
}

/// It says goodbye in HTTP/2's words, and then hangs up without any.
#[test]
fn a_server_that_goes_away_speaks_the_right_protocol() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for (number, mut stream) in listener.incoming().flatten().enumerate() {
            let _preface = std::io::Read::read(&mut stream, &mut [0; 65_536]);
            if number == 0 {
                // SETTINGS, and GOAWAY with INTERNAL_ERROR.
                let _gone = stream.write_all(b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\x02");
                let _until_closed = std::io::copy(&mut stream, &mut std::io::sink());
            }
        }
    });
    let bridge = bridge(Otlp::to(&endpoint).protocol(Protocol::Grpc).traces_off());
    write(&bridge, "goodbye");
    let error = format!("{:?}", bridge.shutdown(Duration::from_secs(1)).expect_err("not delivered"));
    let notices = bridge.report().notices.into_iter().filter(|notice| notice.contains(&endpoint));
    let said = notices.collect::<Vec<_>>().join("\n") + &error;
    assert!(!said.contains("does not speak"), "{said}");
}

/// An HTTP proxy that forwards requests and gives connections, and keeps the first line and the headers of each.
struct Proxy {
    addr: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    _runtime: Runtime,
}

impl Proxy {
    /// `refusal`: what it answers to everything instead.
    fn start(to: u16, refusal: Option<&'static str>) -> Self {
        let runtime = runtime();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let addr = listener.local_addr().expect("an address");
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&heads);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let log = Arc::clone(&log);
                tokio::spawn(serve(client, to, refusal, log));
            }
        });
        Self { addr, heads, _runtime: runtime }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("not poisoned").clone()
    }
}

async fn serve(
    mut client: tokio::net::TcpStream,
    to: u16,
    refusal: Option<&'static str>,
    log: Arc<Mutex<Vec<String>>>,
) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else { return };
        head.push(byte);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    log.lock().expect("not poisoned").push(text.clone());
    if let Some(refusal) = refusal {
        let _gone = client.write_all(refusal.as_bytes()).await;
        return;
    }
    let Ok(mut server) = tokio::net::TcpStream::connect(("127.0.0.1", to)).await else { return };
    if text.starts_with("CONNECT ") {
        let _gone = client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await;
    } else {
        // In origin form, as a proxy hands it on.
        let (line, rest) = text.split_once("\r\n").expect("a line");
        let path = line.split(' ').nth(1).and_then(|url| url.splitn(4, '/').nth(3)).unwrap_or_default();
        let _gone = server.write_all(format!("POST /{path} HTTP/1.1\r\n{rest}").as_bytes()).await;
    }
    let _ended = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

const CHILD: &str = "TRANSPORTS_ENDPOINT";

#[test]
#[ignore = "the child of the tests of proxies"]
#[allow(clippy::disallowed_methods)] // It is told where to send.
fn child() {
    let bridge = Builder::from_default_env()
        .otlp(Otlp::to(std::env::var(CHILD).expect("started by another test")).traces_off())
        .console(Console::off())
        .build()
        .expect("builds");
    write(&bridge, "by way of a proxy");
    let flushed = bridge.shutdown(Duration::from_secs(5));
    std::io::stderr().write_all(format!("{flushed:?}\n{}", bridge.configuration()).as_bytes()).expect("written");
    assert!(flushed.is_ok(), "{flushed:?}");
}

/// What the child said, and whether it delivered.
fn run_child(endpoint: &str, variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = std::process::Command::new(std::env::current_exe().expect("this program"));
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    let output = command
        .args(["--exact", "transports::child", "--ignored", "--nocapture"])
        .env(CHILD, endpoint)
        .envs(variables.iter().copied())
        .output()
        .expect("the child runs");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn plain_http_is_forwarded_and_everything_else_gets_a_tunnel() {
    let receiver = Receiver::start().expect("a receiver");
    let proxy = Proxy::start(receiver.port(), None);
    let url = format!("http://user:s3cret@{}", proxy.addr);
    // No such host: only the proxy knows the way.
    let (delivered, said) = run_child("http://collector.invalid:4318", &[("HTTP_PROXY", &url)]);
    assert!(delivered, "{said}");
    assert!(said.contains(&format!("http://{}", proxy.addr)) && said.contains("HTTP_PROXY"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    let [head] = <[String; 1]>::try_from(proxy.heads()).expect("one connection");
    assert!(head.starts_with("POST http://collector.invalid:4318/v1/logs HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains("proxy-authorization: basic dxnlcjpzm2nyzxq="), "{head}");
    assert_eq!(receiver.logs().len(), 1);

    let grpc = GrpcServer::start(&[Says::Ok]);
    let tunnel = Proxy::start(grpc.port(), None);
    let url = format!("http://user:s3cret@{}", tunnel.addr);
    let variables = [("HTTP_PROXY", url.as_str()), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    let (delivered, said) = run_child("http://collector.invalid", &variables);
    assert!(delivered, "{said}");
    let head = tunnel.heads().remove(0);
    assert!(head.starts_with("CONNECT collector.invalid:80 HTTP/1.1\r\n"), "{head}");
    assert_eq!(grpc.seen().len(), 1);
}

#[test]
fn a_proxy_that_refuses_is_named_as_the_one_who_does() {
    for (endpoint, variable, answer, words) in [
        (
            "https://collector.invalid",
            "HTTPS_PROXY",
            "HTTP/1.1 407 Proxy Authentication Required\r\nconnection: close\r\n\r\n",
            "the proxy did not connect to the endpoint: tunnel error: proxy authorization required",
        ),
        (
            "https://collector.invalid",
            "HTTPS_PROXY",
            "HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n",
            "the proxy did not connect to the endpoint",
        ),
        (
            "http://collector.invalid",
            "HTTP_PROXY",
            "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "the proxy refused the credentials",
        ),
    ] {
        let proxy = Proxy::start(1, Some(answer));
        let (delivered, said) = run_child(endpoint, &[(variable, &format!("http://{}", proxy.addr))]);
        assert!(!delivered);
        assert!(said.contains(words), "{said}");
        assert!(said.contains(&format!("through the proxy http://{}", proxy.addr)), "{said}");
    }
    // Nothing listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    let (delivered, said) = run_child("http://collector.invalid", &[("ALL_PROXY", &format!("http://{port}"))]);
    assert!(!delivered && said.contains("connection refused") && said.contains("through the proxy"), "{said}");
}

#[test]
fn a_proxy_is_never_between_two_programs_of_one_machine() {
    let receiver = Receiver::start().expect("a receiver");
    let trap = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    trap.set_nonblocking(true).expect("possible");
    let url = format!("http://{}", trap.local_addr().expect("an address"));
    let (delivered, said) = run_child(&receiver.endpoint(), &[("HTTP_PROXY", &url), ("ALL_PROXY", &url)]);
    assert!(delivered, "{said}");
    assert_eq!(receiver.logs().len(), 1);
    assert!(trap.accept().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "nobody came");
}
