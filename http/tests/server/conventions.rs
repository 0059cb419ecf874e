//! The conventions for HTTP server spans, row by row.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::{any, get as on_get};
use http::{Request, StatusCode};
use logbridge::testing::Value;
use logbridge_http::ServerLayer;
use tower::ServiceExt as _;

use crate::support::{World, block_on, get, request, text};

pub(crate) fn all() -> Vec<crate::Case> {
    crate::cases![conventions:
        attributes,
        attributes_behind_a_proxy,
        client_errors_are_no_errors,
        excluded_requests_have_no_span,
        an_event_is_logged_only_if_asked_for,
        many_headers,
        names_of_routes,
        peers_come_from_a_closure,
        server_errors,
        unknown_methods,
        known_methods_can_be_replaced ["OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS" = "GET,PURGE"],
        the_scheme_of_a_server_with_tls,
        legacy_names_beside_the_stable_ones ["OTEL_SEMCONV_STABILITY_OPT_IN" = "http/dup"],
    ]
    .into()
}

fn app() -> Router {
    Router::new()
        .route("/orders/{id}", any(|| async { "ok" }))
        .route("/broken", on_get(|| async { StatusCode::BAD_GATEWAY }))
        .layer(ServerLayer::new())
}

fn attributes() {
    let world = World::new();
    let address = world.serve(app());
    let answer = get(address, "/orders/7?page=2", &["user-agent: test/1.0"]);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "{answer}");
    let span = world.span();
    assert_eq!((span.name.as_str(), span.kind_name()), ("GET /orders/{id}", "server"));
    assert_eq!((span.status_code, span.status_message.as_str()), (0, ""));
    assert_eq!(span.parent_span_id, "");
    for (name, value) in [
        ("http.request.method", Value::from("GET")),
        ("http.route", Value::from("/orders/{id}")),
        ("http.response.status_code", Value::from(200)),
        ("url.scheme", Value::from("http")),
        ("url.path", Value::from("/orders/7")),
        ("url.query", Value::from("page=2")),
        ("server.address", Value::from("shop.example")),
        ("server.port", Value::from(8080)),
        ("network.protocol.version", Value::from("1.1")),
        ("user_agent.original", Value::from("test/1.0")),
    ] {
        assert_eq!(span.attribute(name), Some(&value), "{name}: {span:#?}");
    }
    let mut names: Vec<_> = span.attributes.keys().collect();
    names.sort_unstable();
    let mut unique = names.clone();
    unique.dedup();
    assert_eq!(names, unique, "no attribute twice");
    for absent in
        ["error.type", "http.request.method_original", "client.address", "http.method", "network.protocol.name"]
    {
        assert_eq!(span.attribute(absent), None, "{absent}");
    }
    assert!(span.duration() > std::time::Duration::ZERO);
}

fn attributes_behind_a_proxy() {
    let world = World::new();
    let address = world.serve(app());
    get(address, "/orders/7", &["forwarded: for=192.0.2.60;proto=https;host=\"shop.example:443\", for=10.0.0.1"]);
    let span = world.span();
    for (name, value) in [
        ("url.scheme", Value::from("https")),
        ("server.address", Value::from("shop.example")),
        ("server.port", Value::from(443)),
        ("client.address", Value::from("192.0.2.60")),
    ] {
        assert_eq!(span.attribute(name), Some(&value), "{name}");
    }
    assert_eq!(span.attribute("url.query"), None);
    assert_eq!(span.attribute("user_agent.original"), None);
}

fn client_errors_are_no_errors() {
    let world = World::new();
    let address = world.serve(app());
    assert!(get(address, "/nothing/here", &[]).starts_with("HTTP/1.1 404"));
    let span = world.span();
    assert_eq!(span.name, "GET", "the path is not a name");
    assert_eq!(span.status_code, 0);
    assert_eq!(span.attribute("http.response.status_code"), Some(&Value::from(404)));
    assert_eq!((span.attribute("error.type"), span.attribute("http.route")), (None, None));
}

fn server_errors() {
    let world = World::new();
    let address = world.serve(app());
    get(address, "/broken", &[]);
    let span = world.span();
    assert_eq!((span.status_code, span.status_message.as_str()), (2, ""));
    assert_eq!(span.attribute("http.response.status_code"), Some(&Value::from(502)));
    assert_eq!(span.attribute("error.type"), Some(&Value::from("502")));
}

fn unknown_methods() {
    let world = World::new();
    let address = world.serve(app());
    request(address, "PURGE", "/orders/7", &[]);
    let span = world.span();
    assert_eq!(span.name, "HTTP /orders/{id}");
    assert_eq!(text(&span, "http.request.method"), "_OTHER");
    assert_eq!(text(&span, "http.request.method_original"), "PURGE");
}

fn known_methods_can_be_replaced() {
    let world = World::new();
    let address = world.serve(app());
    request(address, "PURGE", "/orders/7", &[]);
    assert_eq!(world.span().name, "PURGE /orders/{id}");
    request(address, "POST", "/orders/7", &[]);
    assert!(world.spans(2).iter().any(|span| span.name == "HTTP /orders/{id}"));
}

/// A request of HTTP/1.1 does not name its scheme, and a layer does not see the connection.
fn the_scheme_of_a_server_with_tls() {
    let world = World::new();
    let app = Router::new().route("/", any(|| async { "ok" })).layer(ServerLayer::new().scheme("https"));
    let address = world.serve(app);
    for (number, (header, scheme)) in [("accept: */*", "https"), ("x-forwarded-proto: http", "http")].iter().enumerate()
    {
        get(address, "/", &[header]);
        let spans = world.spans(number + 1);
        let span = spans.iter().max_by_key(|span| span.start_time_unix_nano).unwrap();
        assert_eq!(text(span, "url.scheme"), *scheme);
    }
}

fn legacy_names_beside_the_stable_ones() {
    let world = World::new();
    let address = world.serve(app());
    get(address, "/orders/8", &["host: [2001:db8::1]:8080"]);
    let span = world.span();
    assert_eq!(text(&span, "http.url"), "http://[2001:db8::1]:8080/orders/8");
    assert_eq!(text(&span, "server.address"), "2001:db8::1");
    world.receiver.clear();
    get(address, "/orders/7?page=2", &[]);
    let span = world.span();
    assert_eq!(text(&span, "http.url"), "http://shop.example:8080/orders/7?page=2");
    assert_eq!(text(&span, "http.method"), "GET");
    assert_eq!(span.attribute("http.status_code"), Some(&Value::from(200)));
    assert_eq!(text(&span, "http.status_text"), "OK");
    assert_eq!(span.attribute("http.response.status_code"), Some(&Value::from(200)));
}

fn names_of_routes() {
    let world = World::new();
    let inner = Router::new().route("/{id}", on_get(|| async { "ok" }));
    let named =
        ServerLayer::new().route(|request| request.uri.path().starts_with("/static/").then(|| "/static/*".to_owned()));
    let app = Router::new().nest("/orders", inner).route("/static/{file}", on_get(|| async { "ok" })).layer(named);
    let address = world.serve(app);
    get(address, "/orders/7", &[]);
    get(address, "/static/a.css", &[]);
    let mut names: Vec<_> = world.spans(2).into_iter().map(|span| span.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["GET /orders/{id}", "GET /static/*"]);
}

fn peers_come_from_a_closure() {
    let world = World::new();
    let layer =
        ServerLayer::new().peer(|request| request.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0));
    let app = Router::new().route("/", on_get(|| async { "ok" })).layer(layer);
    let address = world.runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        drop(tokio::spawn(async move { axum::serve(listener, app).await }));
        address
    });
    get(address, "/", &[]);
    let span = world.span();
    assert_eq!(text(&span, "network.peer.address"), "127.0.0.1");
    assert_eq!(text(&span, "client.address"), "127.0.0.1");
    assert!(span.attribute("network.peer.port").and_then(Value::as_int).is_some_and(|port| port > 0));
}

fn excluded_requests_have_no_span() {
    let world = World::new();
    let app = Router::new()
        .route("/health", on_get(|| async { tracing::info!("healthy") }))
        .route("/orders", on_get(|| async { "ok" }))
        .layer(ServerLayer::new().filter(|request| request.uri.path() != "/health"));
    let address = world.serve(app);
    get(address, "/health", &[]);
    get(address, "/health", &[crate::support::TRACEPARENT]);
    get(address, "/orders", &[]);
    assert_eq!(world.span().name, "GET /orders");
    // Its records still belong to the trace of the caller, if there is one.
    let mut traces: Vec<_> = world.logs("healthy").into_iter().map(|log| log.trace_id).collect();
    traces.sort_unstable();
    assert_eq!(traces, ["", crate::support::TRACE]);
}

fn an_event_is_logged_only_if_asked_for() {
    let world = World::new();
    let routes = || Router::new().route("/orders/{id}", on_get(|| async { StatusCode::NOT_FOUND }));
    let silent = world.serve(routes().layer(ServerLayer::new()));
    let address = world.serve(routes().layer(ServerLayer::new().log_requests(logbridge::Level::Warn)));
    get(silent, "/orders/7", &[]);
    get(address, "/orders/7", &[]);
    world.spans(2);
    let logs = world.receiver.wait_for_logs(1, crate::support::DEADLINE);
    let [log] = logs.as_slice() else { panic!("{logs:#?}") };
    assert_eq!(log.message(), "GET /orders/7: 404");
    assert_eq!((log.severity_text.as_str(), log.target()), ("WARN", logbridge_http::SERVER_TARGET));
    assert_eq!(log.attribute("http.route"), Some(&Value::from("/orders/{id}")));
    assert_eq!(log.attribute("http.response.status_code"), Some(&Value::from(404)));
    assert!(log.attribute("duration").and_then(Value::as_f64).is_some_and(|seconds| seconds > 0.0));
    assert!(world.receiver.orphans().is_empty(), "the event is in the span");
}

fn many_headers() {
    let world = World::new();
    let mut many = Request::builder().uri("/orders/7");
    for number in 0..10_000 {
        many = many.header(format!("x-header-{number}"), "value");
    }
    let response = block_on(&world, app().oneshot(many.body(axum::body::Body::empty()).unwrap())).unwrap();
    assert_eq!(response.status(), 200);
    drop(response);
    assert_eq!(world.span().name, "GET /orders/{id}");
}
