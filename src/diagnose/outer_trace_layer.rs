//! The finding about a `TraceLayer` outside of the layer of `logbridge-http`, which is the one to see it.

use std::sync::atomic::Ordering;

use crate::finding::{Finding, Impact, kind};
use crate::notice;
use crate::source::Pipeline;

/// Remembers what `logbridge-http` has seen, and emits a notice the first time.
pub(crate) fn note_outer_trace_layer(pipeline: &Pipeline) {
    let is_first = !pipeline.setup.has_outer_trace_layer.swap(true, Ordering::Relaxed);
    if is_first && let Some(notice) = outer_trace_layer(pipeline).and_then(|finding| finding.notice()) {
        notice::emit(&notice);
    }
}

/// Returns the finding if the layer was seen.
pub(super) fn outer_trace_layer(pipeline: &Pipeline) -> Option<Finding> {
    let text = "`tower_http::trace::TraceLayer` is outside of `logbridge_http::ServerLayer`: each request has two \
                spans, and the outer one does not continue the trace of the caller";
    let help = "call `.layer(ServerLayer::new())` after `.layer(TraceLayer::new_for_http())`, so that it is outside, \
                or keep one of the two";
    let is_seen = pipeline.setup.has_outer_trace_layer.load(Ordering::Relaxed);
    is_seen.then(|| Finding::new(&kind::OUTER_TRACE_LAYER, Impact::AtRisk.severity(), "spans", text).help(help))
}
