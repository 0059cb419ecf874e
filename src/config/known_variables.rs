//! The environment variables of OpenTelemetry and logbridge, and whether this version supports them.

use crate::finding::edit_distance;

/// Whether logbridge supports a variable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum VariableSupport {
    /// Has the documented effect.
    Supported,
    /// Requests something that this version does not do.
    Unsupported,
    /// Concerns something outside of logbridge, so another library may read it.
    OtherLibrary,
}

/// All known variables, sorted by name.
pub(super) const KNOWN_VARIABLES: &[(&str, VariableSupport)] = &[
    ("HYPERDX_API_ENDPOINT", VariableSupport::Supported),
    ("HYPERDX_API_KEY", VariableSupport::Supported),
    ("HYPERDX_ENABLE_ADVANCED_NETWORK_CAPTURE", VariableSupport::Supported),
    ("HYPERDX_LOGS_APIKEY", VariableSupport::Supported),
    ("HYPERDX_TRACES_APIKEY", VariableSupport::Supported),
    ("LOGBRIDGE_CONSOLE", VariableSupport::Supported),
    ("LOGBRIDGE_CONSOLE_LEVEL", VariableSupport::Supported),
    ("LOGBRIDGE_COUNT_BELOW", VariableSupport::Supported),
    ("LOGBRIDGE_EXCEPTION_EVENTS", VariableSupport::Supported),
    ("LOGBRIDGE_EXIT_TIMEOUT", VariableSupport::Supported),
    ("LOGBRIDGE_FIRST_CUT", VariableSupport::Supported),
    ("LOGBRIDGE_FLUSH_ON_SIGNALS", VariableSupport::Supported),
    ("LOGBRIDGE_LEVELS_FILE", VariableSupport::Supported),
    ("LOGBRIDGE_MAX_BYTES", VariableSupport::Supported),
    ("LOGBRIDGE_MAX_REQUEST_BYTES", VariableSupport::Supported),
    ("LOGBRIDGE_NETWORK_CAPTURE", VariableSupport::Supported),
    ("LOGBRIDGE_NETWORK_CAPTURE_MAX_BYTES", VariableSupport::Supported),
    ("LOGBRIDGE_OTLP_LEVEL", VariableSupport::Supported),
    ("LOGBRIDGE_OVERLOAD", VariableSupport::Supported),
    ("LOGBRIDGE_RECORD_IDS", VariableSupport::Supported),
    ("LOGBRIDGE_REDACT_KEYS", VariableSupport::Supported),
    ("LOGBRIDGE_REDACT_VALUES", VariableSupport::Supported),
    ("LOGBRIDGE_REPETITION", VariableSupport::Supported),
    ("LOGBRIDGE_REPORT", VariableSupport::Supported),
    ("LOGBRIDGE_REPORT_ON_SIGUSR1", VariableSupport::Supported),
    ("LOGBRIDGE_SHOW_LEVELS", VariableSupport::Supported),
    ("LOGBRIDGE_SPAN_LEVEL", VariableSupport::Supported),
    ("LOGBRIDGE_SPOOL_DIR", VariableSupport::Supported),
    ("LOGBRIDGE_SPOOL_MAX_BYTES", VariableSupport::Supported),
    ("LOGBRIDGE_SPOOL_SYNC", VariableSupport::Supported),
    ("LOGBRIDGE_TRACE_CONTEXT_FROM_ENV", VariableSupport::Supported),
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", VariableSupport::Supported),
    ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", VariableSupport::Supported),
    ("OTEL_BLRP_EXPORT_TIMEOUT", VariableSupport::Supported),
    ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", VariableSupport::Supported),
    ("OTEL_BLRP_MAX_QUEUE_SIZE", VariableSupport::Supported),
    ("OTEL_BLRP_SCHEDULE_DELAY", VariableSupport::Supported),
    ("OTEL_BSP_EXPORT_TIMEOUT", VariableSupport::Supported),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", VariableSupport::Supported),
    ("OTEL_BSP_MAX_QUEUE_SIZE", VariableSupport::Supported),
    ("OTEL_BSP_SCHEDULE_DELAY", VariableSupport::Supported),
    ("OTEL_CONFIG_FILE", VariableSupport::Unsupported),
    ("OTEL_ENTITIES", VariableSupport::Unsupported),
    ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", VariableSupport::Supported),
    ("OTEL_EXPERIMENTAL_CONFIG_FILE", VariableSupport::Unsupported),
    ("OTEL_EXPORTER_JAEGER_AGENT_HOST", VariableSupport::Unsupported),
    ("OTEL_EXPORTER_JAEGER_AGENT_PORT", VariableSupport::Unsupported),
    ("OTEL_EXPORTER_JAEGER_ENDPOINT", VariableSupport::Unsupported),
    ("OTEL_EXPORTER_JAEGER_PASSWORD", VariableSupport::Unsupported),
    ("OTEL_EXPORTER_JAEGER_PROTOCOL", VariableSupport::Unsupported),
    ("OTEL_EXPORTER_JAEGER_TIMEOUT", VariableSupport::Unsupported),
    ("OTEL_EXPORTER_JAEGER_USER", VariableSupport::Unsupported),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_CLIENT_KEY", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_HEADERS", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_INSECURE", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_LOGS_INSECURE", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_METRICS_INSECURE", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_METRIC_INSECURE", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_PROFILES_CERTIFICATE", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_PROFILES_CLIENT_CERTIFICATE", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_PROFILES_CLIENT_KEY", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_PROFILES_COMPRESSION", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_PROFILES_HEADERS", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_PROFILES_INSECURE", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_PROFILES_PROTOCOL", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_PROFILES_TIMEOUT", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_SPAN_INSECURE", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", VariableSupport::Supported),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", VariableSupport::Supported),
    ("OTEL_EXPORTER_PROMETHEUS_HOST", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_PROMETHEUS_PORT", VariableSupport::OtherLibrary),
    ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", VariableSupport::Unsupported),
    ("OTEL_EXPORTER_ZIPKIN_PROTOCOL", VariableSupport::Unsupported),
    ("OTEL_EXPORTER_ZIPKIN_TIMEOUT", VariableSupport::Unsupported),
    ("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST", VariableSupport::Supported),
    ("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE", VariableSupport::Supported),
    ("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", VariableSupport::Supported),
    ("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE", VariableSupport::Supported),
    ("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", VariableSupport::Supported),
    ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", VariableSupport::Supported),
    ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", VariableSupport::Supported),
    ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", VariableSupport::Supported),
    ("OTEL_LOGS_EXPORTER", VariableSupport::Supported),
    ("OTEL_LOG_LEVEL", VariableSupport::Supported),
    ("OTEL_METRICS_EXEMPLAR_FILTER", VariableSupport::OtherLibrary),
    ("OTEL_METRICS_EXPORTER", VariableSupport::OtherLibrary),
    ("OTEL_METRIC_EXPORT_INTERVAL", VariableSupport::OtherLibrary),
    ("OTEL_METRIC_EXPORT_TIMEOUT", VariableSupport::OtherLibrary),
    ("OTEL_PROPAGATORS", VariableSupport::Supported),
    ("OTEL_RESOURCE_ATTRIBUTES", VariableSupport::Supported),
    ("OTEL_SDK_DISABLED", VariableSupport::Supported),
    ("OTEL_SEMCONV_STABILITY_OPT_IN", VariableSupport::Supported),
    ("OTEL_SERVICE_NAME", VariableSupport::Supported),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", VariableSupport::Supported),
    ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", VariableSupport::Supported),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", VariableSupport::Supported),
    ("OTEL_SPAN_LINK_COUNT_LIMIT", VariableSupport::Supported),
    ("OTEL_TRACES_EXPORTER", VariableSupport::Supported),
    ("OTEL_TRACES_SAMPLER", VariableSupport::Supported),
    ("OTEL_TRACES_SAMPLER_ARG", VariableSupport::Supported),
    ("RUST_LOG", VariableSupport::Supported),
    ("RUST_LOG_STYLE", VariableSupport::Supported),
];

/// Returns the support for a variable, or `None` if the name is unknown.
pub(super) fn support_of(name: &str) -> Option<VariableSupport> {
    let at = KNOWN_VARIABLES.binary_search_by_key(&name, |(known, _)| known).ok()?;
    KNOWN_VARIABLES.get(at).map(|(_, used)| *used)
}

/// A name with more edits than this is another name.
const MAX_EDITS: usize = 2;

/// Returns the known variable whose name differs by at most [`MAX_EDITS`] edits.
pub(super) fn nearest(name: &str) -> Option<(&'static str, VariableSupport)> {
    let upper = name.to_ascii_uppercase();
    if !["OTEL", "HYPERDX", "LOGBRIDGE", "RUST_LOG", "RUSTLOG"].iter().any(|prefix| upper.starts_with(prefix)) {
        return None;
    }
    KNOWN_VARIABLES
        .iter()
        .filter(|(known, _)| known.len().abs_diff(upper.len()) <= MAX_EDITS)
        .map(|(known, used)| (edit_distance(&upper, known), *known, *used))
        .filter(|(edits, ..)| *edits <= MAX_EDITS)
        // Prefers a supported variable among equally similar ones.
        .min_by_key(|(edits, _, used)| (*edits, *used != VariableSupport::Supported))
        .map(|(_, known, used)| (known, used))
}

/// Returns the `LOGBRIDGE_*` variable that is most similar to an unknown one.
///
/// The one with the most words in common is chosen, then the one with the fewest edits. Returns `None` for the
/// variables of logbridge's own tests.
pub(super) fn nearest_logbridge_variable(name: &str) -> Option<&'static str> {
    const TESTS: [&str; 5] = ["FUZZ", "LONG", "MODEL", "SOAK", "TEST"];
    let rest = name.strip_prefix("LOGBRIDGE_")?;
    let words: Vec<&str> = rest.split('_').collect();
    if words.first().is_some_and(|first| TESTS.contains(first)) {
        return None;
    }
    let ours = KNOWN_VARIABLES.iter().filter_map(|(known, _)| Some((*known, known.strip_prefix("LOGBRIDGE_")?)));
    ours.min_by_key(|(_, known)| {
        let common = known.split('_').filter(|word| words.contains(word)).count();
        (std::cmp::Reverse(common), edit_distance(rest, known))
    })
    .map(|(known, _)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_sorted_and_found() {
        assert!(KNOWN_VARIABLES.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(support_of("OTEL_SERVICE_NAME"), Some(VariableSupport::Supported));
        assert_eq!(support_of("OTEL_SERVICE_NAM"), None);
    }

    #[test]
    fn misspelt_names_have_a_similar_known_name() {
        for (name, meant) in [
            ("OTEL_EXPORTER_OTLP_LOG_ENDPOINT", Some("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT")),
            ("OTEL_EXPORTER_OTLP_TRACE_HEADERS", Some("OTEL_EXPORTER_OTLP_TRACES_HEADERS")),
            ("OTEL_EXPORTER_OLTP_ENDPOINT", Some("OTEL_EXPORTER_OTLP_ENDPOINT")),
            ("OTEL_EXPORTER_OTLP_ENDPIONT", Some("OTEL_EXPORTER_OTLP_ENDPOINT")),
            ("otel_exporter_otlp_endpoint", Some("OTEL_EXPORTER_OTLP_ENDPOINT")),
            ("OTEL-SERVICE-NAME", Some("OTEL_SERVICE_NAME")),
            ("HYPERDX_APIKEY", Some("HYPERDX_API_KEY")),
            ("HYPERDX_LOGS_API_KEY", Some("HYPERDX_LOGS_APIKEY")),
            ("LOGBRIDGE_OTLP_LEVELS", Some("LOGBRIDGE_OTLP_LEVEL")),
            ("RUST_LOGS", Some("RUST_LOG")),
            ("RUSTLOG", Some("RUST_LOG")),
            ("rust_log", Some("RUST_LOG")),
            ("RUST_LOG_FORMAT", None),
            ("RUST_BACKTRACE", None),
            ("OTEL_PYTHON_LOG_CORRELATION", None),
            ("OTEL_RESOURCE_DETECTORS", None),
            ("LOGBRIDGE_TEST_PYTHON", None),
            ("LOGS_EXPORTER", None),
        ] {
            assert_eq!(nearest(name).map(|(known, _)| known), meant, "{name}");
        }
    }

    #[test]
    fn every_unknown_logbridge_variable_has_a_suggestion() {
        for (name, meant) in [
            ("LOGBRIDGE_LEVEL", Some("LOGBRIDGE_OTLP_LEVEL")),
            ("LOGBRIDGE_SPOOL", Some("LOGBRIDGE_SPOOL_DIR")),
            ("LOGBRIDGE_MAX_REQUEST", Some("LOGBRIDGE_MAX_REQUEST_BYTES")),
            ("LOGBRIDGE_TEST_PYTHON", None),
            ("OTEL_FOO", None),
        ] {
            assert_eq!(nearest_logbridge_variable(name), meant, "{name}");
        }
        assert!(
            nearest_logbridge_variable("LOGBRIDGE_FOO").is_some()
                && nearest_logbridge_variable(&"LOGBRIDGE_Ä".repeat(9999)).is_some()
        );
    }
}
