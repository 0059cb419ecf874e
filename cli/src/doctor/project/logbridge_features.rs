//! What logbridge itself is built without, against what the environment asks of it.
//!
//! The doctor has everything compiled in; the program may not.

use super::Facts;
use logbridge::internals::finding::{Finding, Severity, kind};

/// Variables, what begins their value, the feature that takes it, and what happens without.
const NEEDS: [(&[&str], &str, &str, &str); 5] = [
    (
        &["OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"],
        "grpc",
        "grpc",
        "http/protobuf is spoken instead",
    ),
    (
        &["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT", "HYPERDX_API_ENDPOINT"],
        "https://",
        "tls",
        "no request can be sent",
    ),
    (
        &["OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"],
        "gzip",
        "gzip",
        "requests are sent plain",
    ),
    (
        &["OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"],
        "zstd",
        "zstd",
        "requests are sent plain",
    ),
    (&["LOGBRIDGE_REDACT_VALUES"], "", "regex", "nothing is redacted by it"),
];

/// Findings about the features of logbridge.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let Some((at, _)) = facts.graph.named(&facts.build, "logbridge").find(|_| facts.graph.is_complete) else {
        return Vec::new();
    };
    // Where it is the project itself, its features are the choice of who builds it.
    if facts.graph.members.contains(&at) {
        return Vec::new();
    }
    let mut findings: Vec<Finding> = lacking(facts, at).collect();
    // What stands behind the `/` of a filter is a regular expression.
    if facts.environment.get("RUST_LOG").is_some_and(|spec| spec.contains('/')) && !facts.build.has(at, "regex") {
        let text = "RUST_LOG has a filter on the text of records (behind `/`), which asks for the feature `regex` of logbridge, which is off: \
                    it cuts nothing";
        findings.push(missing(text.to_owned(), "regex"));
    }
    findings
}

fn missing(text: String, feature: &str) -> Finding {
    let help = format!("in Cargo.toml: logbridge = {{ version = \"…\", features = [\"{feature}\"] }}");
    Finding::new(&kind::MISSING_FEATURE, Severity::Error, "crate logbridge", text).help(help)
}

fn lacking(facts: &Facts<'_>, at: usize) -> impl Iterator<Item = Finding> {
    NEEDS.iter().filter_map(move |(variables, value, feature, instead)| {
        let (variable, found) = facts.environment.first(variables)?;
        (found.to_ascii_lowercase().starts_with(value) && !facts.build.has(at, feature)).then(|| {
            let text = format!("{variable} asks for the feature `{feature}` of logbridge, which is off: {instead}");
            missing(text, feature)
        })
    })
}
