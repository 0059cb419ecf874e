//! Parents, baggage, and the ids of records.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::routing::get as on_get;
use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use logbridge_http::ServerLayer;
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;

use crate::support::{PARENT, TRACE, TRACEPARENT, World, get, serve};

pub(crate) fn all() -> Vec<crate::Case> {
    crate::cases![traces:
        baggage_reaches_the_handler,
        baggage_without_a_parent_keeps_the_local_one,
        filtered_spans_still_join_the_trace ["LOGBRIDGE_SPAN_LEVEL" = "warn"],
        malformed_parents_are_ignored,
        nothing_is_installed,
        records_inside_have_ids,
        the_layer_may_be_older_than_logbridge,
        the_parent_is_the_caller,
        unsampled_callers_are_followed,
    ]
    .into()
}

fn app() -> Router {
    Router::new().route("/", on_get(|| async { tracing::info!("handled") })).layer(ServerLayer::new())
}

fn the_parent_is_the_caller() {
    let world = World::new();
    get(world.serve(app()), "/", &[TRACEPARENT, "tracestate: vendor=1"]);
    let span = world.span();
    assert_eq!((span.trace_id.as_str(), span.parent_span_id.as_str()), (TRACE, PARENT));
    assert_eq!(span.trace_state, "vendor=1");
    let log = world.logs("handled").remove(0);
    assert_eq!((log.trace_id, log.span_id), (span.trace_id, span.span_id));
}

fn malformed_parents_are_ignored() {
    let world = World::new();
    let address = world.serve(app());
    let malformed = [
        "traceparent: ",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "traceparent: ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01, 00-1-2-3",
        "traceparent: \u{fc}\u{fc}",
    ];
    for header in malformed {
        get(address, "/", &[header]);
    }
    for span in world.spans(malformed.len()) {
        assert_ne!(span.trace_id, TRACE);
        assert_eq!((span.parent_span_id.as_str(), span.status_code), ("", 0));
    }
}

fn unsampled_callers_are_followed() {
    let world = World::new();
    let address = world.serve(app());
    get(address, "/", &["traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"]);
    assert_eq!(world.spans(0).len(), 0);
    let log = world.logs("handled").remove(0);
    assert_eq!((log.trace_id.as_str(), log.flags), (TRACE, 0));
}

fn baggage_reaches_the_handler() {
    let world = World::new();
    let show = || async {
        let context = Context::current();
        context.baggage().get("user").map(ToString::to_string).unwrap_or_default()
    };
    let address = world.serve(Router::new().route("/", on_get(show)).layer(ServerLayer::new()));
    assert!(get(address, "/", &[TRACEPARENT, "baggage: user=7"]).ends_with("\r\n7"));
    assert!(get(address, "/", &["baggage: user=8"]).ends_with("\r\n8"), "without a parent");
    assert!(get(address, "/", &["baggage: ;;=,"]).ends_with("\r\n\r\n"), "malformed");
    assert_eq!(world.spans(3).len(), 3);
}

fn baggage_without_a_parent_keeps_the_local_one() {
    use tower::ServiceExt as _;
    use tracing::Instrument as _;

    let world = World::new();
    let request = http::Request::builder().uri("/").header("baggage", "user=7").body(Body::empty()).unwrap();
    let local = tracing::info_span!("local");
    drop(world.runtime.block_on(app().oneshot(request).instrument(local.clone())).unwrap());
    drop(local);
    let spans = world.spans(2);
    let find = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    assert_eq!(find("GET /").parent_span_id, find("local").span_id);
}

fn records_inside_have_ids() {
    let world = World::new();
    let handler = || async {
        log::info!("by log");
        tracing::info!("by tracing");
        let frames = (0..3).map(|number| {
            log::info!("frame {number}");
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x")))
        });
        Body::new(StreamBody::new(stream::iter(frames)))
    };
    let address = world.serve(Router::new().route("/", on_get(handler)).layer(ServerLayer::new()));
    assert!(get(address, "/", &[]).starts_with("HTTP/1.1 200"));
    let span = world.span();
    for message in ["by log", "by tracing", "frame 0", "frame 1", "frame 2"] {
        let logs = world.logs(message);
        let [log] = logs.as_slice() else { panic!("{message}: {logs:?}") };
        assert_eq!((&log.trace_id, &log.span_id), (&span.trace_id, &span.span_id), "{message}");
    }
    assert!(world.receiver.orphans().is_empty());
}

fn filtered_spans_still_join_the_trace() {
    let world = World::new();
    let inject = || async {
        tracing::info!("handled");
        let mut headers = http::HeaderMap::new();
        logbridge::propagation::inject(&mut headers);
        headers.get("traceparent").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    let address = world.serve(Router::new().route("/", on_get(inject)).layer(ServerLayer::new()));
    let answer = get(address, "/", &[TRACEPARENT]);
    assert!(answer.ends_with(TRACEPARENT.strip_prefix("traceparent: ").unwrap()), "{answer}");
    get(address, "/", &[]);
    assert_eq!(world.spans(0).len(), 0);
    let mut ids: Vec<_> = world.logs("handled").into_iter().map(|log| (log.trace_id, log.span_id)).collect();
    ids.sort_unstable();
    assert_eq!(ids, [(String::new(), String::new()), (TRACE.to_owned(), PARENT.to_owned())]);
}

fn the_layer_may_be_older_than_logbridge() {
    let app = app();
    let world = World::new();
    get(world.serve(app), "/", &[TRACEPARENT]);
    assert_eq!(world.span().trace_id, TRACE);
}

fn nothing_is_installed() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let address = serve(&runtime, app());
    assert!(get(address, "/", &[TRACEPARENT, "baggage: user=7"]).starts_with("HTTP/1.1 200"));
    assert!(get(address, "/", &[]).starts_with("HTTP/1.1 200"));
}
