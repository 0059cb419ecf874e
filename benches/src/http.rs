//! Requests through the layers of logbridge-http and its peers.
//!
//! All of them export with logbridge, so that only the layers differ.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use logbridge::{Console, NetworkCapture, Otlp};
use logbridge_http::{ReqwestMiddleware, ServerLayer};
use opentelemetry_instrumentation_tower::http::server::LayerBuilder;
use tower::{Layer as _, Service, service_fn};
use tower_http::trace::TraceLayer;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

type Sent = Full<Bytes>;

const ROUTE: &str = "/orders/{id}";

/// One request through a layer, called directly, with its response body read to the end.
pub(crate) fn server(who: &str) {
    let handler = service_fn(|request: Request<Sent>| {
        black_box(request);
        ready(Ok::<_, Infallible>(Response::new(Sent::from("ok"))))
    });
    match who {
        "ours" => drive(ServerLayer::new().route(|_| Some(ROUTE.to_owned())).layer(handler)),
        "trace_layer" => {
            // Without its events, which are below the levels.
            let layer = TraceLayer::new_for_http().make_span_with(span_by_hand).on_request(()).on_body_chunk(());
            let layer =
                layer.on_eos(()).on_failure(()).on_response(|response: &Response<Sent>, _: Duration, span: &Span| {
                    span.record("http.response.status_code", response.status().as_u16());
                });
            drive(layer.layer(handler));
        }
        "otel_tower" => {
            let layer = LayerBuilder::builder()
                .with_metrics(false)
                .with_route_extractor_fn(|_: &Request<Sent>| Some(ROUTE.to_owned()));
            drive(layer.build().expect("a layer").layer(handler));
        }
        _ => panic!("no such layer: {who}"),
    }
}

/// The span of `ServerLayer` with the same attributes and parent, as one writes it by hand.
fn span_by_hand(request: &Request<Sent>) -> Span {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let (address, port) = text(HOST).and_then(|host| host.rsplit_once(':')).unzip();
    let span = tracing::info_span!(
        "request",
        otel.name = format_args!("{} {ROUTE}", request.method()),
        otel.kind = "server",
        http.request.method = request.method().as_str(),
        http.route = ROUTE,
        url.scheme = "http",
        url.path = request.uri().path(),
        url.query = request.uri().query(),
        server.address = address,
        server.port = port.and_then(|port| port.parse::<u16>().ok()),
        network.protocol.version = "1.1",
        user_agent.original = text(USER_AGENT),
        http.response.status_code = Empty,
    );
    span.set_parent(logbridge::propagation::extract(request.headers())).expect("a new span");
    span
}

fn drive<S, B>(mut service: S)
where
    S: Service<Request<Sent>, Response = Response<B>>,
    B: Body<Error: std::fmt::Debug>,
    S::Error: std::fmt::Debug,
{
    let template = Request::get("http://shop.example:8080/orders/1001?page=2&sort=date")
        .header(HOST, "shop.example:8080")
        .header(USER_AGENT, "curl/8.5.0")
        .header("accept", "*/*")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .body(Sent::default())
        .expect("a request");
    let mut context = Context::from_waker(Waker::noop());
    crate::cases::time(|_| {
        let Poll::Ready(response) = pin!(service.call(template.clone())).poll(&mut context) else { panic!("pending") };
        let mut body = pin!(response.expect("a response").into_body());
        while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut context) {
            black_box(frame.expect("a frame").into_data().is_ok());
        }
    });
}

const REQUESTS: u64 = 4;
const BODY: u64 = 256 << 20;
const CHUNK: usize = 64 << 10;

/// Each request has a body, and so has its response.
pub(crate) const TRANSFERRED: u64 = 2 * REQUESTS * BODY;

/// Transfers bodies in both directions, and prints MiB per second.
pub(crate) fn transfer(capture: &str) {
    let capture = if capture == "all" { NetworkCapture::all() } else { NetworkCapture::off() };
    let endpoint = std::env::var("BENCH_ENDPOINT").expect("BENCH_ENDPOINT");
    let mut builder = logbridge::builder();
    builder.network_capture(capture).otlp(Otlp::to(endpoint)).console(Console::off()).init();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let seconds = runtime.block_on(async {
        let app = axum::Router::new().route("/echo", axum::routing::post(echo)).layer(ServerLayer::new());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/echo", listener.local_addr().expect("an address"));
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        let client =
            reqwest_middleware::ClientBuilder::new(reqwest::Client::new()).with(ReqwestMiddleware::new()).build();
        let start = Instant::now();
        for _ in 0..REQUESTS {
            let request = client.post(&url).header("content-type", "text/plain").body(reqwest::Body::wrap(Text::new()));
            let mut response = request.send().await.expect("a response");
            let mut received = 0;
            while let Some(chunk) = response.chunk().await.expect("a chunk") {
                received += chunk.len() as u64;
            }
            assert_eq!(received, BODY);
        }
        let seconds = start.elapsed().as_secs_f64();
        server.abort();
        seconds
    });
    println!("{}", (TRANSFERRED >> 20) as f64 / seconds);
    // SAFETY: ends the process; nothing runs after it.
    unsafe { libc::_exit(0) }
}

/// Reads the body to its end, and answers with as much.
async fn echo(request: axum::extract::Request) -> Response<axum::body::Body> {
    let mut body = request.into_body();
    let mut received = 0;
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        received += frame.expect("a frame").data_ref().map_or(0, Bytes::len) as u64;
    }
    assert_eq!(received, BODY);
    Response::builder()
        .header("content-type", "text/plain")
        .body(axum::body::Body::new(Text::new()))
        .expect("a response")
}

/// A body of text that is made while it is read.
struct Text {
    chunk: Bytes,
    left: u64,
}

impl Text {
    fn new() -> Self {
        Self { chunk: Bytes::from("all work and no play\n".repeat(CHUNK / 16)).slice(..CHUNK), left: BODY }
    }
}

impl Body for Text {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= CHUNK as u64;
        Poll::Ready(Some(Ok(Frame::data(self.chunk.clone()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
