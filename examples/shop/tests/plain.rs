//! A program with `logbridge::init()` and no other code: every record inside a request has ids.

use std::process::Command;

use logbridge::testing::{Receiver, TraceTree};

/// The levels under which the libraries log inside requests, too.
const LEVELS: &str = "info,plain=debug,sqlx=debug,tower_http=debug";

#[test]
fn every_record_inside_a_request_has_ids() {
    let receiver = Receiver::start().expect("a receiver");
    let mut plain = Command::new(env!("CARGO_BIN_EXE_plain"));
    plain.env_clear().env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint()).env("RUST_LOG", LEVELS);
    let output = plain.output().expect("the program runs");
    assert!(output.status.success(), "{output:?}");

    let (spans, logs) = (receiver.spans(), receiver.logs());
    let tree = TraceTree::new(&spans, &logs);
    // All others are logged while no request runs: they prepare the database.
    let (outside, inside): (Vec<_>, Vec<_>) =
        logs.iter().partition(|log| ["CREATE", "INSERT", "PRAGMA"].iter().any(|word| log.message().contains(word)));
    for target in ["plain", "sqlx::query", "tower_http::trace::on_request", "tower_http::trace::on_response"] {
        assert!(inside.iter().any(|log| log.target() == target), "no record of {target}\n{tree}");
    }
    for log in &inside {
        assert!(!log.trace_id.is_empty() && !log.span_id.is_empty(), "no ids: {log}\n{tree}");
    }
    assert!(outside.iter().all(|log| log.trace_id.is_empty()), "{tree}");
    // Two requests that the program sends, and one more for each that the service sends.
    assert_eq!(spans.iter().filter(|span| span.name == "request").count(), 4, "{tree}");
    assert!(receiver.orphans().is_empty(), "{tree}");
}
