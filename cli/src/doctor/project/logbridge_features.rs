//! Rules about features of logbridge that the environment requires but the project does not enable.
//!
//! The doctor is built with all features, but the program may not be.

use super::Facts;
use logbridge::internals::finding::{Finding, FindingExt as _, Severity, kind, new_finding};

/// Variables, a prefix of their value, the required feature, and the effect without that feature.
const REQUIREMENTS: [(&[&str], &str, &str, &str); 5] = [
    (
        &["OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"],
        "grpc",
        "grpc",
        "http/protobuf is used instead",
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
        "requests are sent uncompressed",
    ),
    (
        &["OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"],
        "zstd",
        "zstd",
        "requests are sent uncompressed",
    ),
    (&["LOGBRIDGE_REDACT_VALUES"], "", "regex", "it redacts nothing"),
];

pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let Some((at, _)) = facts.graph.named(&facts.build, "logbridge").find(|_| facts.graph.is_complete) else {
        return Vec::new();
    };
    // In the project of logbridge itself, features depend on the build.
    if facts.graph.members.contains(&at) {
        return Vec::new();
    }
    let mut findings: Vec<Finding> = missing_features(facts, at).collect();
    // The text after the `/` of a filter is a regular expression.
    if facts.environment.get("RUST_LOG").is_some_and(|spec| spec.contains('/')) && !facts.build.has(at, "regex") {
        let text = "RUST_LOG filters by the text of records (after `/`), which requires the feature `regex` of \
                    logbridge, but it is disabled: the text filter has no effect";
        findings.push(missing_feature(text.to_owned(), "regex"));
    }
    findings
}

fn missing_feature(text: String, feature: &str) -> Finding {
    let help = format!("write in Cargo.toml: logbridge = {{ version = \"…\", features = [\"{feature}\"] }}");
    new_finding(&kind::MISSING_FEATURE, Severity::Error, "crate logbridge", text).help(help)
}

fn missing_features(facts: &Facts<'_>, at: usize) -> impl Iterator<Item = Finding> {
    REQUIREMENTS.iter().filter_map(move |(variables, value, feature, instead)| {
        let (variable, found) = facts.environment.first(variables)?;
        (found.to_ascii_lowercase().starts_with(value) && !facts.build.has(at, feature)).then(|| {
            let text =
                format!("{variable} requires the feature `{feature}` of logbridge, but it is disabled: {instead}");
            missing_feature(text, feature)
        })
    })
}
