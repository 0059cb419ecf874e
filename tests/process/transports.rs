//! Exits, forks and idle periods with every protocol: all of them behave like the default one.

use std::time::Duration;

use crate::runner::{Group, named};
use crate::support::{Child, SLACK, assert_arrived, receiver};

pub(crate) const GROUP: Group = Group {
    name: "transports",
    tests: named![
        an_idle_process_at_trace_sends_nothing_by_any_protocol,
        every_exit_delivers_by_every_protocol,
        forked_children_deliver_by_every_protocol,
    ],
    // Those of the other groups.
    scenarios: named![],
};

const PROTOCOLS: [&str; 3] = ["grpc", "http/json", "http/protobuf"];

/// A child that speaks this protocol, compressed.
fn child(scenario: &str, protocol: &str, receiver: &logbridge::testing::Receiver) -> Child {
    let child = Child::new(scenario).to(receiver).env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
    child.env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
}

fn every_exit_delivers_by_every_protocol() {
    for protocol in PROTOCOLS {
        for scenario in ["exit_by_return", "exit_by_code"] {
            let receiver = receiver();
            let child = child(scenario, protocol, &receiver);
            let child =
                if scenario == "exit_by_code" { child.arg("init").run().code(3) } else { child.run().success() };
            let child = child.quiet().within(SLACK);
            assert_arrived(&receiver, &["last of log", "last of tracing"], &child);
            for request in receiver.requests() {
                let name = if protocol == "grpc" { "grpc-encoding" } else { "content-encoding" };
                assert_eq!(request.header(name), Some("gzip"), "{protocol}");
            }
        }
    }
}

fn forked_children_deliver_by_every_protocol() {
    for protocol in PROTOCOLS {
        let receiver = receiver();
        let child = child("fork_in_turn", protocol, &receiver).run().success().quiet().within(SLACK);
        assert_arrived(&receiver, &["one", "parent", "parent", "three", "two"], &child);
    }
}

/// HTTP/2 has a task of its own for each connection, and writes events about each frame.
fn an_idle_process_at_trace_sends_nothing_by_any_protocol() {
    for protocol in PROTOCOLS {
        let receiver = receiver();
        let child = child("idle", protocol, &receiver).env("RUST_LOG", "trace").env("OTEL_BLRP_SCHEDULE_DELAY", "20");
        let mut child = child.start();
        assert_eq!(receiver.wait_for_logs(2, Duration::from_secs(20)).len(), 2);
        let before = receiver.requests().len();
        assert_eq!(receiver.wait_for_requests(before + 1, Duration::from_millis(600)).len(), before, "{protocol}");
        child.release();
        let child = child.finish().success().quiet();
        child.numbers().expect(&[("offered", 2), ("otlp.delivered", 2), ("otlp.pending", 0)]);
        assert_eq!(receiver.requests().len(), before, "none at the end either");
    }
}
