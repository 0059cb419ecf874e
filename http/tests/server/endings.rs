//! How requests end: completely, by a failure, by a panic, or because the client has gone.

use std::convert::Infallible;
use std::io::{self, Read as _};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::routing::{any, get as on_get};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use logbridge::testing::Value;
use logbridge_http::ServerLayer;
use tokio::sync::Notify;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tracing::Instrument as _;

use crate::support::{World, block_on, get, open, request, text, wait_until};

pub(crate) fn all() -> Vec<crate::Case> {
    crate::cases![endings:
        a_background_task_does_not_delay_the_end,
        a_body_that_fails,
        a_body_that_never_ends,
        a_body_that_panics,
        a_client_that_leaves_during_the_body,
        a_client_that_leaves_during_the_handler,
        a_handler_that_panics,
        a_panic_before_the_future,
        a_service_that_fails,
        responses_whose_body_nobody_reads,
        the_body_is_not_changed,
        the_span_ends_with_the_body,
    ]
    .into()
}

type Frames = Vec<Result<Frame<Bytes>, io::Error>>;

fn data(text: &'static str) -> Result<Frame<Bytes>, io::Error> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

fn body(frames: Frames) -> Body {
    Body::new(StreamBody::new(stream::iter(frames)))
}

/// Sends one chunk, and then nothing more.
struct Endless {
    chunk: Option<Bytes>,
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.chunk.take() {
            Some(chunk) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
            None => Poll::Pending,
        }
    }
}

fn endless() -> Body {
    Body::new(Endless { chunk: Some(Bytes::from_static(b"first")) })
}

fn a_handler_that_panics() {
    let world = World::new();
    async fn handler() {
        tokio::task::yield_now().await;
        panic!("out of stock");
    }
    let address = world.serve(Router::new().route("/", on_get(handler)).layer(ServerLayer::new()));
    assert_eq!(get(address, "/", &[]), "", "hyper closes the connection");
    let span = world.span();
    assert_eq!((text(&span, "error.type").as_str(), span.status_code), ("panic", 2));
    assert_eq!(span.status_message, "the service panicked");
    assert_eq!(span.attribute("http.response.status_code"), None);
    // The record of the panic is in the span.
    let logs = world.receiver.logs();
    assert!(logs.iter().any(|log| log.span_id == span.span_id && log.message().contains("out of stock")), "{logs:?}");
}

fn a_panic_before_the_future() {
    let world = World::new();
    let service = ServerLayer::new().layer(service_fn(
        |_: Request<Body>| -> std::future::Ready<Result<Response<Body>, Infallible>> { panic!("in call") },
    ));
    let result = block_on(&world, async { tokio::spawn(service.oneshot(Request::new(Body::empty()))).await });
    assert!(result.is_err_and(|error| error.is_panic()));
    assert_eq!(text(&world.span(), "error.type"), "panic");
}

fn a_service_that_fails() {
    let world = World::new();
    let service = ServerLayer::new()
        .layer(service_fn(async |_: Request<Body>| Err::<Response<Body>, _>(io::Error::other("database is down"))));
    assert!(block_on(&world, service.oneshot(Request::new(Body::empty()))).is_err());
    let span = world.span();
    assert_eq!((text(&span, "error.type").as_str(), span.status_code), ("std::io::error::Error", 2));
    assert_eq!(span.status_message, "database is down");
}

fn a_client_that_leaves_during_the_handler() {
    let world = World::new();
    let entered = Arc::new(Notify::new());
    let signal = Arc::clone(&entered);
    let handler = move || {
        let signal = Arc::clone(&signal);
        async move {
            signal.notify_one();
            std::future::pending::<()>().await;
        }
    };
    let address = world.serve(Router::new().route("/", any(handler)).layer(ServerLayer::new()));
    let connection = open(address, "POST", "/", &["content-length: 0"]);
    block_on(&world, entered.notified());
    drop(connection);
    let span = world.span();
    assert_eq!((text(&span, "error.type").as_str(), span.status_code), ("request_canceled", 2));
    assert_eq!(span.attribute("http.response.status_code"), None);
}

fn a_client_that_leaves_during_the_body() {
    let world = World::new();
    let address = world.serve(Router::new().route("/", on_get(async || endless())).layer(ServerLayer::new()));
    let mut connection = open(address, "GET", "/", &[]);
    let mut seen = String::new();
    while !seen.contains("first") {
        let mut buffer = [0; 256];
        let read = connection.read(&mut buffer).unwrap();
        assert_ne!(read, 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    drop(connection);
    let span = world.span();
    assert_eq!((text(&span, "error.type").as_str(), span.status_code), ("response_aborted", 2));
    assert_eq!(span.attribute("http.response.status_code"), Some(&Value::from(200)), "it was sent");
}

fn a_body_that_never_ends() {
    let world = World::new();
    let service = Router::new().route("/", on_get(async || endless())).layer(ServerLayer::new());
    let response = block_on(&world, service.oneshot(Request::new(Body::empty()))).unwrap();
    let mut body = response.into_body();
    block_on(&world, body.frame()).unwrap().unwrap();
    assert_eq!(world.spans(0).len(), 0, "the span is open");
    // At shutdown, open spans are sent as they are.
    world.bridge.shutdown(crate::support::DEADLINE).unwrap();
    let spans = world.receiver.spans();
    assert_eq!(spans.len(), 1, "{spans:?}");
    assert_eq!(spans[0].name, "GET /");
    drop(body);
    assert_eq!(world.receiver.spans().len(), 1);
}

fn a_body_that_fails() {
    let world = World::new();
    let frames = || body(vec![data("first"), Err(io::Error::other("disk failed"))]);
    let address = world.serve(Router::new().route("/", on_get(async move || frames())).layer(ServerLayer::new()));
    // hyper may close the connection before it has written the head.
    get(address, "/", &[]);
    let span = world.span();
    assert_eq!((text(&span, "error.type").as_str(), span.status_code), ("axum_core::error::Error", 2));
    assert_eq!(span.status_message, "disk failed");
    assert_eq!(span.attribute("http.response.status_code"), Some(&Value::from(200)));
}

fn a_body_that_panics() {
    struct Panics;
    impl http_body::Body for Panics {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            panic!("bad frame")
        }
    }
    let world = World::new();
    let handler = async || Body::new(Panics);
    let address = world.serve(Router::new().route("/", on_get(handler)).layer(ServerLayer::new()));
    get(address, "/", &[]);
    let span = world.span();
    assert_eq!(
        (text(&span, "error.type").as_str(), span.status_message.as_str()),
        ("panic", "the response body panicked")
    );
}

fn responses_whose_body_nobody_reads() {
    let world = World::new();
    let full = async || "a body that HEAD does not send";
    let streamed = async || body(vec![data("never sent")]);
    let known = async || ([("content-length", "5")], body(vec![data("12"), data("345")]));
    let none = async || http::StatusCode::NO_CONTENT;
    let not_modified = async || (http::StatusCode::NOT_MODIFIED, body(vec![data("never sent")]));
    let app = Router::new()
        .route("/full", any(full))
        .route("/streamed", any(streamed))
        .route("/known", any(known))
        .route("/none", any(none))
        .route("/not_modified", any(not_modified))
        .layer(ServerLayer::new());
    let address = world.serve(app);
    let requests =
        [("HEAD", "/full"), ("HEAD", "/streamed"), ("GET", "/known"), ("GET", "/none"), ("GET", "/not_modified")];
    for (number, (method, path)) in requests.into_iter().enumerate() {
        request(address, method, path, &[]);
        let spans = world.spans(number + 1);
        let span = spans.iter().max_by_key(|span| span.start_time_unix_nano).unwrap();
        assert_eq!((span.status_code, span.attribute("error.type")), (0, None), "{method} {path}: {span:#?}");
    }
}

fn the_body_is_not_changed() {
    let world = World::new();
    let trailers =
        http::HeaderMap::from_iter([(http::HeaderName::from_static("x-sum"), http::HeaderValue::from_static("7"))]);
    let handler = {
        let trailers = trailers.clone();
        async move || body(vec![data("a"), data(""), data("bcd"), Ok(Frame::trailers(trailers))])
    };
    let sized = async || "sized";
    let app = Router::new().route("/", on_get(handler)).route("/sized", on_get(sized)).layer(ServerLayer::new());
    let call = |path: &str| {
        block_on(&world, app.clone().oneshot(Request::builder().uri(path).body(Body::empty()).unwrap())).unwrap()
    };
    let mut body = call("/").into_body();
    let mut frames = Vec::new();
    while let Some(frame) = block_on(&world, body.frame()) {
        frames.push(frame.unwrap());
    }
    let sent: Vec<_> = frames.iter().filter_map(|frame| frame.data_ref()).collect();
    assert_eq!(sent, [&b"a"[..], b"", b"bcd"]);
    assert_eq!(frames.last().unwrap().trailers_ref(), Some(&trailers));
    let body = call("/sized").into_body();
    assert_eq!(http_body::Body::size_hint(&body).exact(), Some(5));
    drop(body);
    assert_eq!(world.spans(2).len(), 2);
}

fn the_span_ends_with_the_body() {
    let world = World::new();
    let release = Arc::new(AtomicBool::new(false));
    let address = {
        let release = Arc::clone(&release);
        let handler = async move || {
            let frames = Gated { release, sent: false };
            Body::new(StreamBody::new(frames))
        };
        world.serve(Router::new().route("/", on_get(handler)).layer(ServerLayer::new()))
    };
    let mut connection = open(address, "GET", "/", &[]);
    let mut first = [0; 12];
    connection.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    assert_eq!(world.spans(0).len(), 0, "the body has not ended");
    release.store(true, Ordering::Release);
    let mut rest = Vec::new();
    connection.read_to_end(&mut rest).unwrap();
    let span = world.span();
    assert_eq!((span.status_code, span.attribute("error.type")), (0, None));
}

/// Sends a chunk once it may.
struct Gated {
    release: Arc<AtomicBool>,
    sent: bool,
}

impl futures_util::Stream for Gated {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.sent {
            return Poll::Ready(None);
        }
        if !self.release.load(Ordering::Acquire) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.sent = true;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"last")))))
    }
}

fn a_background_task_does_not_delay_the_end() {
    let world = World::new();
    let release = Arc::new(Notify::new());
    let done = Arc::new(AtomicBool::new(false));
    let handler = {
        let (release, done) = (Arc::clone(&release), Arc::clone(&done));
        async move || {
            let task = async move {
                release.notified().await;
                tracing::info!("background");
                done.store(true, Ordering::Release);
            };
            drop(tokio::spawn(task.in_current_span()));
            "ok"
        }
    };
    let address = world.serve(Router::new().route("/", on_get(handler)).layer(ServerLayer::new()));
    get(address, "/", &[]);
    let span = world.span();
    release.notify_one();
    wait_until("the task ends", || done.load(Ordering::Acquire));
    let log = world.logs("background").remove(0);
    assert_eq!((log.trace_id, log.span_id), (span.trace_id, span.span_id));
    assert_eq!(world.spans(1).len(), 1, "not exported again");
}
