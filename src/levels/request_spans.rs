//! The request spans that libraries create at DEBUG, which are exported although the span threshold is INFO.
//!
//! Without such a span, no record of a request has ids. The list is short on purpose: it names spans that stand for a
//! whole request, by target and name, as found in the source of the library. The AWS SDK is not in it, because it
//! creates half a dozen inner spans at DEBUG for each call.

use super::threshold::Threshold;

/// The source of the thresholds of this list, as text.
pub(crate) const BUILT_IN: &str = "built in";

/// A span that a library creates for each request.
#[derive(Debug)]
pub(crate) struct RequestSpan {
    /// The beginning of its target.
    pub(super) target: &'static str,
    pub(super) name: &'static str,
    /// Applies unless a directive names the target, or a directive for the root is stricter than INFO.
    pub(super) threshold: Threshold,
    /// The target of a span that stands for the same request. If that span is the current one, this span would be the
    /// second one of the request, so it is not created.
    pub(super) covered_by: Option<&'static str>,
}

/// The README lists these spans, too.
pub(crate) static REQUEST_SPANS: [RequestSpan; 2] = [
    // kube-client 0.6 to 4: `ClientBuilder` creates it for each request to the Kubernetes API.
    RequestSpan { target: "kube_client::client::builder", name: "HTTP", threshold: Threshold::Debug, covered_by: None },
    // tower-http 0.1 to 0.7: `DefaultMakeSpan` of `TraceLayer`.
    RequestSpan {
        target: "tower_http::trace",
        name: "request",
        threshold: Threshold::Debug,
        covered_by: Some("logbridge_http::server"),
    },
];

/// Returns the target of the span that makes this span superfluous while it is the current span.
pub(crate) fn covering_target(target: &str, name: &str) -> Option<&'static str> {
    let is_it = |span: &&RequestSpan| span.covered_by.is_some() && span.name == name && target.starts_with(span.target);
    REQUEST_SPANS.iter().find(is_it)?.covered_by
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_request_span_of_the_trace_layer_is_covered() {
        assert_eq!(covering_target("tower_http::trace::make_span", "request"), Some("logbridge_http::server"));
        for (target, name) in [
            ("tower_http::trace::make_span", "other"),
            ("tower_http", "request"),
            ("app", "request"),
            ("kube_client::client::builder", "HTTP"),
        ] {
            assert_eq!(covering_target(target, name), None, "{target} {name}");
        }
    }

    #[test]
    fn the_readme_lists_them() {
        let readme = include_str!("../../README.md");
        for RequestSpan { target, name, .. } in &REQUEST_SPANS {
            assert!(readme.contains(&format!("| `{target}` | `{name}` |")), "{target} {name}");
        }
    }
}
