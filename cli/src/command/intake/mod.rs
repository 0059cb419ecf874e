//! What `logbridge listen` and `logbridge run` share: listening sockets, access rules, counts, and forwarding.

mod access;
mod addrs;
mod shutdown;
mod tally;
mod upstream;

use logbridge_receiver::internals::{Content, Decoded};

pub(super) use access::AllowedSenders;
pub(super) use addrs::{GRPC_LISTENER, ListenAddrs};
pub(super) use shutdown::shutdown_signal;
pub(super) use tally::{Anomalies, LevelCounts, Tally, bounded_entry, is_unset_id};
pub(super) use upstream::{Upstream, UpstreamReply, signal_url};

/// The beginning of a remark on a JSON key that OTLP does not define.
pub(super) const UNKNOWN_KEY: &str = "unknown key";

/// Returns a remark if a request is empty or has an unknown key.
pub(super) fn remark(decoded: &Decoded) -> Option<String> {
    let empty = match decoded.message.content() {
        Content::Logs => "request without records",
        Content::Traces => "request without spans",
        Content::Metrics => "request without data points",
    };
    match (decoded.message.is_empty(), &decoded.remark) {
        (true, Some(key)) => Some(format!("{empty}: {UNKNOWN_KEY} {key}")),
        (true, None) => Some(empty.to_owned()),
        (false, Some(key)) => Some(format!("{UNKNOWN_KEY} {key}")),
        (false, None) => None,
    }
}

/// Removes the connection number from a problem, so that equal problems have equal texts.
pub(super) fn strip_connection_number(problem: &str) -> &str {
    problem.strip_prefix("connection ").and_then(|rest| rest.split_once(": ")).map_or(problem, |(_, cause)| cause)
}
