//! logbridge with its receiver, a server with its layer, and a client with its middleware.

use std::future::Future;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use axum::Router;
use logbridge::testing::{ReceivedSpan, Receiver};
use logbridge::{Bridge, Console, HeaderList, LevelFilter, NetworkCapture, Otlp};
use logbridge_http::{ReqwestMiddleware, ServerLayer};
use opentelemetry::trace::TraceContextExt as _;
use reqwest_middleware::ClientWithMiddleware;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// After this a test fails rather than waits.
pub(crate) const DEADLINE: Duration = Duration::from_secs(300);

pub(crate) const REQUEST: &str = "http.request.body.content";
pub(crate) const RESPONSE: &str = "http.response.body.content";

/// Everything is captured, with all headers, which includes those with credentials.
pub(crate) fn everything() -> NetworkCapture {
    [HeaderList::ClientRequest, HeaderList::ClientResponse, HeaderList::ServerRequest, HeaderList::ServerResponse]
        .into_iter()
        .fold(NetworkCapture::all(), |capture, list| capture.headers(list, ["*"]))
}

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
            .network_capture(everything())
            .try_init()
            .expect("both slots are free");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        Installed { receiver, bridge, runtime }
    })
}

/// The spans of one request.
pub(crate) struct Spans {
    pub(crate) client: ReceivedSpan,
    pub(crate) server: ReceivedSpan,
}

impl Spans {
    pub(crate) fn both(&self) -> [&ReceivedSpan; 2] {
        [&self.client, &self.server]
    }
}

/// Serves an application, sends it a request, and returns the spans of both sides.
pub(crate) fn exchange<W: Future<Output = ()>>(
    app: Router,
    work: impl FnOnce(ClientWithMiddleware, String) -> W,
) -> Spans {
    let Installed { receiver, bridge, runtime } = installed();
    let caller = tracing::info_span!("caller");
    let trace_id = caller.context().span().span_context().trace_id().to_string();
    let test = async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = tokio::spawn(async move { axum::serve(listener, app.layer(ServerLayer::new())).await });
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let client = reqwest_middleware::ClientBuilder::new(client).with(ReqwestMiddleware::new()).build();
        work(client, url).await;
        server.abort();
    };
    runtime.block_on(async {
        tokio::time::timeout(DEADLINE, test.instrument(caller)).await.expect("the work ends in time");
    });
    let started = Instant::now();
    loop {
        bridge.flush(DEADLINE).expect("everything arrives");
        let spans = receiver.spans();
        let of_kind =
            |kind: &str| spans.iter().find(|span| span.trace_id == trace_id && span.kind_name() == kind).cloned();
        if let (Some(client), Some(server)) = (of_kind("client"), of_kind("server")) {
            return Spans { client, server };
        }
        assert!(started.elapsed() < DEADLINE, "a span of each side is expected: {spans:#?}");
        std::thread::yield_now();
    }
}

/// A string attribute, or an empty string.
pub(crate) fn text<'s>(span: &'s ReceivedSpan, key: &str) -> &'s str {
    span.attribute(key).and_then(|value| value.as_str()).unwrap_or_default()
}
