//! `traceparent`, `tracestate` and `baggage` on requests.

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;
use logbridge_http::ServerLayer;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::FutureExt as _;
use opentelemetry::{Context, KeyValue};

use super::support::{client, echo_headers, line, serve, traced};

#[test]
fn one_trace_leads_through_two_services() {
    let (_, trace) = traced(4, async {
        let back = serve(Router::new().route("/stock", get(async || "3")).layer(ServerLayer::new())).await;
        let stock = format!("{back}/stock");
        let order = async move || {
            log::info!("order received");
            client().get(&stock).send().await.expect("an answer").text().await.expect("a body")
        };
        let front = serve(Router::new().route("/order", get(order)).layer(ServerLayer::new())).await;
        let answer = client().get(format!("{front}/order")).send().await.expect("an answer");
        assert_eq!(answer.text().await.expect("a body"), "3");
    });
    let (clients, servers) = (trace.clients(), trace.of_kind("server"));
    let parents = [&clients[0].parent_span_id, &servers[0].parent_span_id, &clients[1].parent_span_id];
    assert_eq!(parents, [&trace.caller().span_id, &clients[0].span_id, &servers[0].span_id]);
    assert_eq!(servers[1].parent_span_id, clients[1].span_id);
    assert_eq!(trace.span_of_record("order received"), servers[0].span_id);
}

#[test]
fn headers_of_an_earlier_trace_are_replaced() {
    let (echo, trace) = traced(1, async {
        let url = serve(Router::new().route("/", get(echo_headers))).await;
        let mut old = HeaderMap::new();
        old.append("traceparent", "00-11111111111111111111111111111111-2222222222222222-01".parse().unwrap());
        old.append("traceparent", "00-33333333333333333333333333333333-4444444444444444-01".parse().unwrap());
        client().get(url).headers(old).send().await.expect("an answer").text().await.expect("a body")
    });
    let span = trace.client();
    assert_eq!(line(&echo, "traceparent"), [format!("00-{}-{}-01", span.trace_id, span.span_id)]);
}

#[test]
fn baggage_travels() {
    let (echo, _) = traced(1, async {
        let url = serve(Router::new().route("/", get(echo_headers))).await;
        let context = Context::current_with_baggage([KeyValue::new("tenant", "north")]);
        async { client().get(url).send().await.expect("an answer").text().await.expect("a body") }
            .with_context(context)
            .await
    });
    assert_eq!(line(&echo, "baggage"), ["tenant=north"]);
}

#[test]
fn a_request_without_baggage_has_no_such_header() {
    let (echo, _) = traced(1, async {
        let url = serve(Router::new().route("/", get(echo_headers))).await;
        client().get(url).send().await.expect("an answer").text().await.expect("a body")
    });
    assert_eq!(line(&echo, "baggage"), [""; 0]);
    assert_eq!(line(&echo, "traceparent").len(), 1);
}
