//! Several layers around one service.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::routing::get as on_get;
use http::StatusCode;
use logbridge::testing::Value;
use logbridge_http::{ServerLayer, record_response, request_span};
use tower::{Layer as _, ServiceBuilder, ServiceExt as _};
use tower_http::trace::{DefaultMakeSpan, TraceLayer};

use crate::support::{PARENT, TRACE, TRACEPARENT, World, block_on, get, text};

pub(crate) fn all() -> Vec<crate::Case> {
    crate::cases![layers:
        a_call_within_a_handler_under_a_trace_layer,
        a_layer_around_the_router_gets_the_route_from_the_one_inside,
        a_trace_layer_inside,
        a_trace_layer_outside,
        a_trace_layer_with_our_span,
        middleware_with_fixed_types_compiles,
        nested_layers_make_one_span,
    ]
    .into()
}

fn routes() -> Router {
    Router::new().route("/orders/{id}", on_get(async || tracing::info!("handled")))
}

fn nested_layers_make_one_span() {
    let world = World::new();
    let inner = routes().layer(ServerLayer::new());
    let address = world.serve(Router::new().nest("/v1", inner).layer(ServerLayer::new()));
    get(address, "/v1/orders/7", &[TRACEPARENT]);
    let span = world.span();
    assert_eq!(span.name, "GET /v1/orders/{id}");
    assert_eq!(span.parent_span_id, PARENT);
    assert_eq!(world.logs("handled")[0].span_id, span.span_id);
}

fn a_layer_around_the_router_gets_the_route_from_the_one_inside() {
    let world = World::new();
    let service = ServerLayer::new().layer(routes().layer(ServerLayer::new()));
    let request = http::Request::builder().uri("/orders/7").body(Body::empty()).unwrap();
    let response = block_on(&world, service.oneshot(request)).unwrap();
    assert!(response.extensions().is_empty(), "nothing of ours is left in the response");
    drop(response);
    let span = world.span();
    assert_eq!(span.name, "GET /orders/{id}");
    assert_eq!(text(&span, "http.route"), "/orders/{id}");
}

fn a_trace_layer_inside() {
    let world = World::new();
    let address = world.serve(routes().layer(TraceLayer::new_for_http()).layer(ServerLayer::new()));
    get(address, "/orders/7", &[TRACEPARENT]);
    let span = world.span();
    assert_eq!(span.name, "GET /orders/{id}");
    let log = world.logs("handled").remove(0);
    assert_eq!((log.trace_id.as_str(), log.span_id), (TRACE, span.span_id));
    assert!(!world.bridge.report().findings.iter().any(|finding| finding.code == "LB190"));
}

fn a_trace_layer_outside() {
    let world = World::new();
    let outer = TraceLayer::new_for_http().make_span_with(DefaultMakeSpan::new().level(tracing::Level::INFO));
    let address = world.serve(routes().layer(ServerLayer::new()).layer(outer));
    for _ in 0..3 {
        get(address, "/orders/7", &[TRACEPARENT]);
    }
    let spans = world.spans(6);
    let (ours, others): (Vec<_>, Vec<_>) = spans.into_iter().partition(|span| span.name == "GET /orders/{id}");
    assert!(ours.iter().all(|span| span.trace_id == TRACE && span.parent_span_id == PARENT), "{ours:#?}");
    assert!(others.iter().all(|span| span.name == "request" && span.trace_id != TRACE), "{others:#?}");
    let report = world.bridge.report();
    let found: Vec<_> = report.findings.iter().filter(|finding| finding.code == "LB190").collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].severity, logbridge::Severity::Warning);
}

/// The span of `TraceLayer` is that of the outer request, and the layers are in no wrong order.
fn a_call_within_a_handler_under_a_trace_layer() {
    let world = World::new();
    let inner = routes().layer(ServerLayer::new());
    let handler = async move || {
        let mut request = http::Request::builder().uri("/orders/7").body(Body::empty()).unwrap();
        logbridge::propagation::inject(request.headers_mut());
        inner.clone().oneshot(request).await
    };
    let outer = TraceLayer::new_for_http().make_span_with(DefaultMakeSpan::new().level(tracing::Level::INFO));
    let address = world.serve(Router::new().route("/", on_get(handler)).layer(outer));
    get(address, "/", &[TRACEPARENT]);
    let spans = world.spans(2);
    assert_eq!(spans[0].trace_id, spans[1].trace_id);
    assert!(!world.bridge.report().findings.iter().any(|finding| finding.code == "LB190"));
}

fn a_trace_layer_with_our_span() {
    let world = World::new();
    let layer = TraceLayer::new_for_http().make_span_with(request_span).on_response(record_response);
    let app = routes().route("/broken", on_get(async || StatusCode::SERVICE_UNAVAILABLE)).layer(layer);
    let address = world.serve(app);
    get(address, "/orders/7", &[TRACEPARENT]);
    get(address, "/broken", &[]);
    let spans = world.spans(2);
    let find = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let ok = find("GET /orders/{id}");
    assert_eq!((ok.trace_id.as_str(), ok.parent_span_id.as_str(), ok.kind_name()), (TRACE, PARENT, "server"));
    assert_eq!(ok.attribute("http.response.status_code"), Some(&Value::from(200)));
    assert_eq!(world.logs("handled")[0].span_id, ok.span_id);
    let broken = find("GET /broken");
    assert_eq!((broken.status_code, text(broken, "error.type").as_str()), (2, "503"));
}

async fn pass(request: Request, next: Next) -> http::Response<Body> {
    next.run(request).await
}

/// The layer keeps the type of the request body, so middleware with fixed types can be inside.
fn middleware_with_fixed_types_compiles() {
    let world = World::new();
    let stack = ServiceBuilder::new().layer(ServerLayer::new()).layer(from_fn(pass));
    let address = world.serve(routes().layer(stack));
    get(address, "/orders/7", &[]);
    assert_eq!(world.span().name, "GET /orders/{id}");
}
