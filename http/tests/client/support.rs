//! The installed logbridge with its receiver, servers, clients, and the spans of one test.

use std::future::Future;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::HeaderMap;
use logbridge::testing::{ReceivedLog, ReceivedSpan, Receiver};
use logbridge::{Bridge, Console, LevelFilter, NetworkCapture, Otlp};
use logbridge_http::ReqwestMiddleware;
use opentelemetry::trace::TraceContextExt as _;
use reqwest_middleware::ClientWithMiddleware;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// After this a test fails rather than waits.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

struct Installed {
    receiver: Receiver,
    bridge: Bridge,
    runtime: Runtime,
}

fn installed() -> &'static Installed {
    static INSTALLED: OnceLock<Installed> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let receiver = Receiver::start().expect("a receiver");
        let bridge = logbridge::Builder::new()
            .filter_level(LevelFilter::Info)
            .otlp(Otlp::to(receiver.endpoint()))
            .console(Console::off())
            .try_init()
            .expect("both slots are free");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        Installed { receiver, bridge, runtime }
    })
}

/// The spans and records of one trace.
pub(crate) struct Trace {
    pub(crate) spans: Vec<ReceivedSpan>,
    pub(crate) logs: Vec<ReceivedLog>,
}

impl Trace {
    /// Returns the only span of kind client.
    pub(crate) fn client(&self) -> &ReceivedSpan {
        match self.of_kind("client").as_slice() {
            [span] => span,
            spans => panic!("not one client span: {spans:#?}"),
        }
    }

    /// Returns the client spans in the order in which they started.
    pub(crate) fn clients(&self) -> Vec<&ReceivedSpan> {
        self.of_kind("client")
    }

    pub(crate) fn of_kind(&self, kind: &str) -> Vec<&ReceivedSpan> {
        let mut spans: Vec<_> = self.spans.iter().filter(|span| span.kind_name() == kind).collect();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    }

    pub(crate) fn caller(&self) -> &ReceivedSpan {
        self.spans.iter().find(|span| span.name == "caller").expect("the span of the test")
    }

    /// Returns the id of the span to which the record with this message belongs.
    pub(crate) fn span_of_record(&self, message: &str) -> &str {
        &self.logs.iter().find(|log| log.message() == message).expect("the record").span_id
    }
}

/// Runs `work` in a span named `caller`. Waits until `spans` other spans of its trace have arrived.
pub(crate) fn traced<T>(spans: usize, work: impl Future<Output = T>) -> (T, Trace) {
    let Installed { receiver, bridge, runtime } = installed();
    let caller = tracing::info_span!("caller");
    let trace_id = caller.context().span().span_context().trace_id().to_string();
    let output = runtime.block_on(async {
        tokio::time::timeout(DEADLINE, work.instrument(caller)).await.expect("the work ends in time")
    });
    let started = Instant::now();
    loop {
        // Another test may have lost nothing either, so a flush fails only if the receiver is gone.
        bridge.flush(DEADLINE).expect("everything arrives");
        let arrived: Vec<_> = receiver.spans().into_iter().filter(|span| span.trace_id == trace_id).collect();
        if arrived.len() > spans {
            let logs = receiver.logs().into_iter().filter(|log| log.trace_id == trace_id).collect();
            assert_eq!(arrived.len(), spans + 1, "{arrived:#?}");
            return (output, Trace { spans: arrived, logs });
        }
        assert!(started.elapsed() < DEADLINE, "{spans} spans are expected in addition to `caller`: {arrived:#?}");
        std::thread::yield_now();
    }
}

/// Returns whether a span of kind client of the current trace has been exported.
pub(crate) fn has_client_span_ended() -> bool {
    let Installed { receiver, bridge, .. } = installed();
    let trace_id = tracing::Span::current().context().span().span_context().trace_id().to_string();
    bridge.flush(DEADLINE).expect("everything arrives");
    receiver.spans().iter().any(|span| span.trace_id == trace_id && span.kind_name() == "client")
}

/// A string attribute, or an empty string.
pub(crate) fn text<'s>(span: &'s ReceivedSpan, key: &str) -> &'s str {
    span.attribute(key).and_then(|value| value.as_str()).unwrap_or_default()
}

pub(crate) fn int(span: &ReceivedSpan, key: &str) -> Option<i64> {
    span.attribute(key).and_then(|value| value.as_int())
}

/// The attributes whose names begin with a prefix, in the order of their names.
pub(crate) fn attributes(span: &ReceivedSpan, prefix: &str) -> Vec<(String, String)> {
    let mut found: Vec<_> = span
        .attributes
        .iter()
        .filter(|(key, _)| key.starts_with(prefix))
        .map(|(key, value)| (key.to_owned(), value.to_string()))
        .collect();
    found.sort();
    found
}

/// Serves an axum application on a port of its own, and returns its URL without a slash at the end.
pub(crate) async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

/// Serves each connection by a function that is called after the head of the request was read.
pub(crate) async fn serve_raw<F, W>(answer: F) -> String
where
    F: Fn(TcpStream) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            tokio::spawn(answer(stream));
        }
    });
    format!("http://{address}")
}

/// Writes part of an answer and closes the connection.
pub(crate) async fn write_and_close(mut stream: TcpStream, answer: &'static [u8]) {
    stream.write_all(answer).await.expect("the client reads");
    stream.shutdown().await.ok();
}

/// A URL on which nobody listens.
pub(crate) async fn refused() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

/// Answers with the names and values of the request's headers.
pub(crate) async fn echo_headers(headers: HeaderMap) -> String {
    headers.iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap_or("?"))).collect()
}

/// The value of one line of [`echo_headers`].
pub(crate) fn line<'t>(echo: &'t str, name: &str) -> Vec<&'t str> {
    echo.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
}

pub(crate) fn plain() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

/// A client with our middleware and without capture.
pub(crate) fn client() -> ClientWithMiddleware {
    with(ReqwestMiddleware::new())
}

pub(crate) fn capturing(capture: NetworkCapture) -> ClientWithMiddleware {
    with(ReqwestMiddleware::new().capture(capture))
}

pub(crate) fn with(middleware: ReqwestMiddleware) -> ClientWithMiddleware {
    reqwest_middleware::ClientBuilder::new(plain()).with(middleware).build()
}
