//! The traces that the services send: complete, connected, and without secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};

use logbridge::testing::{ReceivedLog, ReceivedSpan, Receiver, TraceTree};

/// Every third order is refused. All are placed at once.
const ORDERS: usize = 30;

fn shop(orders: usize, variables: &[(&str, &str)]) -> Output {
    let mut shop = Command::new(env!("CARGO_BIN_EXE_shop"));
    let output =
        shop.arg(orders.to_string()).env_clear().envs(variables.iter().copied()).output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn by_trace(spans: &[ReceivedSpan]) -> BTreeMap<&str, Vec<&ReceivedSpan>> {
    let mut traces: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for span in spans {
        traces.entry(&span.trace_id).or_default().push(span);
    }
    traces
}

#[test]
fn an_order_is_one_trace_across_services_worker_and_child() {
    let receiver = Receiver::start().expect("a receiver");
    shop(ORDERS, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint())]);
    let (spans, logs) = (receiver.spans(), receiver.logs());
    let tree = TraceTree::new(&spans, &logs);

    // One trace for each order, and no other one.
    let traces = by_trace(&spans);
    assert_eq!(traces.len(), ORDERS, "{tree}");
    let names = |spans: &[&ReceivedSpan]| -> Vec<(String, String, &str)> {
        let mut names: Vec<_> =
            spans.iter().map(|span| (span.service_name().to_owned(), span.name.clone(), span.kind_name())).collect();
        names.sort();
        names
    };
    let refused = [
        ("shop", "POST /items/{name}/reservations", "client"),
        ("shop", "POST /orders", "server"),
        ("stock", "POST /items/{name}/reservations", "server"),
        ("stock", "update", "internal"),
    ];
    let mut placed = vec![("receipt", "write receipt", "internal"), ("shop", "pack order", "consumer")];
    placed.extend(refused);
    let owned = |names: &[(&str, &str, &'static str)]| -> Vec<(String, String, &str)> {
        let mut names: Vec<_> = names.iter().map(|(a, b, kind)| ((*a).to_owned(), (*b).to_owned(), *kind)).collect();
        names.sort();
        names
    };
    let found: Vec<_> = traces.values().map(|spans| names(spans)).collect();
    assert_eq!(found.iter().filter(|names| **names == owned(&placed)).count(), ORDERS / 3 * 2, "{found:#?}\n{tree}");
    assert_eq!(found.iter().filter(|names| **names == owned(&refused)).count(), ORDERS / 3, "{found:#?}\n{tree}");

    // Every span leads to the request of the customer.
    for spans in traces.values() {
        let ids: BTreeSet<&str> = spans.iter().map(|span| span.span_id.as_str()).collect();
        let roots: Vec<_> = spans.iter().filter(|span| !ids.contains(span.parent_span_id.as_str())).collect();
        assert_eq!(roots.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["POST /orders"], "{tree}");
    }
}

/// Returns whether a record is logged while the services start and stop.
fn is_outside_requests(log: &ReceivedLog) -> bool {
    let message = log.message();
    ["CREATE", "INSERT", "PRAGMA", "listening", "stopping"].iter().any(|word| message.contains(word))
}

#[test]
fn every_record_inside_a_request_has_the_ids_of_a_span_that_arrived() {
    let receiver = Receiver::start().expect("a receiver");
    // sqlx logs its statements on a thread of its own.
    shop(3, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint()), ("RUST_LOG", "info,sqlx::query=debug")]);
    let (spans, logs) = (receiver.spans(), receiver.logs());
    let tree = TraceTree::new(&spans, &logs);
    let inside: Vec<_> = logs.iter().filter(|log| !is_outside_requests(log)).collect();
    for target in ["shop::shop", "shop::stock", "shop::worker", "shop::receipt", "sqlx::query"] {
        assert!(inside.iter().any(|log| log.target() == target), "no record of {target}\n{tree}");
    }
    let without: Vec<_> = inside.iter().filter(|log| log.trace_id.is_empty()).collect();
    assert!(without.is_empty(), "no ids: {without:#?}\n{tree}");
    assert!(receiver.orphans().is_empty(), "{tree}");
}

#[test]
fn captured_bodies_and_headers_have_no_secrets() {
    let receiver = Receiver::start().expect("a receiver");
    shop(3, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint())]);
    let (spans, logs) = (receiver.spans(), receiver.logs());
    let tree = TraceTree::new(&spans, &logs).to_string();

    let orders = spans.iter().filter(|span| span.name == "POST /orders");
    let text = |span: &ReceivedSpan, key: &str| span.attribute(key).map(ToString::to_string).unwrap_or_default();
    for order in orders {
        let body = text(order, "http.request.body.content");
        assert!(body.contains("\"customer\"") && body.contains("\"password\":\"[redacted]\""), "{body}\n{tree}");
        let header = text(order, "http.request.header.authorization");
        assert_eq!(header, "[\"[redacted]\"]", "{tree}");
        let answer = text(order, "http.response.status_code");
        assert!(["200", "409"].contains(&answer.as_str()), "{answer}\n{tree}");
    }
    // At a client, bodies are captured as well.
    let reservation = spans.iter().find(|span| span.kind_name() == "client").expect("a client span");
    assert_eq!(text(reservation, "http.request.body.content").matches("quantity").count(), 1, "{tree}");
    assert!(text(reservation, "http.response.body.content").contains("reserved"), "{tree}");

    let everything = format!("{spans:?}{logs:?}{tree}");
    for secret in ["tr0ub4dor", "s3cr3t-t0ken"] {
        assert!(!everything.contains(secret), "{secret} arrived\n{tree}");
    }
}

#[test]
fn without_an_endpoint_the_traces_are_printed() {
    let output = shop(4, &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    for expected in
        ["ada orders 2 tea: 200 OK", "bob orders 500 teapot: 409 Conflict", "stock POST /items", "receipt write"]
    {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(text.contains("4 traces with ") && text.contains("the span of 0 did not arrive"), "{text}");
    assert!(!text.contains('\u{1b}'), "colors, but stdout is no terminal");
}
