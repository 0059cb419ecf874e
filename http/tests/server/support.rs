//! A server with its receiver, and clients that do exactly what a test says.

use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use axum::Router;
use logbridge::testing::{ReceivedLog, ReceivedSpan, Receiver, Value};
use logbridge::{Bridge, Builder, Console, LevelFilter, Otlp};
use tokio::runtime::Runtime;

/// How long a test waits for something that must happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
pub(crate) const PARENT: &str = "b7ad6b7169203331";
pub(crate) const TRACEPARENT: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

pub(crate) struct World {
    pub(crate) receiver: Receiver,
    pub(crate) bridge: Bridge,
    pub(crate) runtime: Runtime,
}

impl World {
    /// Installs logbridge, which sends to a receiver.
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    /// Installs logbridge with further settings.
    pub(crate) fn with(configure: impl FnOnce(&mut Builder)) -> Self {
        let receiver = Receiver::start().unwrap();
        let mut builder = logbridge::builder();
        builder.filter_level(LevelFilter::Info).console(Console::off()).otlp(Otlp::to(receiver.endpoint()));
        configure(&mut builder);
        let bridge = builder.try_init().unwrap();
        Self { receiver, bridge, runtime: Runtime::new().unwrap() }
    }

    /// Serves a router on a free port.
    pub(crate) fn serve(&self, app: Router) -> SocketAddr {
        serve(&self.runtime, app)
    }

    /// Waits for this number of spans, and asserts that there are no more.
    pub(crate) fn spans(&self, number: usize) -> Vec<ReceivedSpan> {
        let start = Instant::now();
        loop {
            self.bridge.flush(DEADLINE).unwrap();
            let spans = self.receiver.spans();
            assert!(spans.len() <= number, "{} spans: {spans:#?}", spans.len());
            if spans.len() == number {
                return spans;
            }
            assert!(start.elapsed() < DEADLINE, "only {} spans: {spans:#?}", spans.len());
            std::thread::yield_now();
        }
    }

    /// Returns the one span.
    pub(crate) fn span(&self) -> ReceivedSpan {
        self.spans(1).remove(0)
    }

    /// Returns all records with this message.
    pub(crate) fn logs(&self, message: &str) -> Vec<ReceivedLog> {
        self.bridge.flush(DEADLINE).unwrap();
        self.receiver.logs().into_iter().filter(|log| log.message() == message).collect()
    }
}

pub(crate) fn serve(runtime: &Runtime, app: Router) -> SocketAddr {
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    drop(runtime.spawn(async move { axum::serve(listener, app).await }));
    address
}

/// Sends a request, and returns the answer once the server has closed the connection.
pub(crate) fn request(address: SocketAddr, method: &str, path: &str, headers: &[&str]) -> String {
    let mut stream = open(address, method, path, headers);
    let mut answer = Vec::new();
    // A server that aborts may reset the connection.
    let _end = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) fn get(address: SocketAddr, path: &str, headers: &[&str]) -> String {
    request(address, "GET", path, headers)
}

/// Sends a request, and returns the connection.
pub(crate) fn open(address: SocketAddr, method: &str, path: &str, headers: &[&str]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut lines = format!("{method} {path} HTTP/1.1\r\n");
    if !headers.iter().any(|header| header.starts_with("host:")) {
        lines.push_str("host: shop.example:8080\r\n");
    }
    for header in headers {
        lines.push_str(header);
        lines.push_str("\r\n");
    }
    stream.write_all(format!("{lines}connection: close\r\n\r\n").as_bytes()).unwrap();
    stream
}

/// Returns an attribute as text, or an empty text.
pub(crate) fn text(span: &ReceivedSpan, key: &str) -> String {
    span.attribute(key).map(Value::to_string).unwrap_or_default()
}

/// Waits until a condition holds.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "timeout: {what}");
        std::thread::yield_now();
    }
}

/// Runs a future with a deadline.
pub(crate) fn block_on<T>(world: &World, future: impl Future<Output = T>) -> T {
    world.runtime.block_on(async { tokio::time::timeout(DEADLINE, future).await.expect("timeout") })
}
