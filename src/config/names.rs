//! The names of variables: those of the OpenTelemetry specification and ours, and whether this version honours them.

use crate::finding::edit_distance;

/// What becomes of a variable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Use {
    /// It decides what the documentation says.
    Honoured,
    /// It asks for something this version does not do.
    NoEffect,
    /// It is about something that is no job of ours, or not in question with us: another library may read it.
    Elsewhere,
}

/// Sorted by name. `OTEL_BLRP_MAX_*` and the limits of records are decided already, and become `Honoured` once they are
/// asked for.
pub(super) const NAMES: &[(&str, Use)] = &[
    ("HYPERDX_API_ENDPOINT", Use::Honoured),
    ("HYPERDX_API_KEY", Use::Honoured),
    ("HYPERDX_LOGS_APIKEY", Use::Honoured),
    ("HYPERDX_TRACES_APIKEY", Use::Honoured),
    ("LOGBRIDGE_CONSOLE", Use::Honoured),
    ("LOGBRIDGE_CONSOLE_LEVEL", Use::Honoured),
    ("LOGBRIDGE_COUNT_BELOW", Use::Honoured),
    ("LOGBRIDGE_EXCEPTION_EVENTS", Use::Honoured),
    ("LOGBRIDGE_EXIT_TIMEOUT", Use::Honoured),
    ("LOGBRIDGE_FIRST_CUT", Use::Honoured),
    ("LOGBRIDGE_FLUSH_ON_SIGNALS", Use::Honoured),
    ("LOGBRIDGE_LEVELS_FILE", Use::Honoured),
    ("LOGBRIDGE_MAX_BYTES", Use::Honoured),
    ("LOGBRIDGE_MAX_REQUEST_BYTES", Use::Honoured),
    ("LOGBRIDGE_OTLP_LEVEL", Use::Honoured),
    ("LOGBRIDGE_OVERLOAD", Use::Honoured),
    ("LOGBRIDGE_RECORD_IDS", Use::Honoured),
    ("LOGBRIDGE_REDACT_KEYS", Use::Honoured),
    ("LOGBRIDGE_REDACT_VALUES", Use::Honoured),
    ("LOGBRIDGE_REPETITION", Use::Honoured),
    ("LOGBRIDGE_REPORT", Use::Honoured),
    ("LOGBRIDGE_REPORT_ON_SIGUSR1", Use::Honoured),
    ("LOGBRIDGE_SHOW_LEVELS", Use::Honoured),
    ("LOGBRIDGE_SPAN_LEVEL", Use::Honoured),
    ("LOGBRIDGE_SPOOL_DIR", Use::Honoured),
    ("LOGBRIDGE_SPOOL_MAX_BYTES", Use::Honoured),
    ("LOGBRIDGE_SPOOL_SYNC", Use::Honoured),
    ("LOGBRIDGE_TRACE_CONTEXT_FROM_ENV", Use::Honoured),
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", Use::Honoured),
    ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", Use::Honoured),
    ("OTEL_BLRP_EXPORT_TIMEOUT", Use::Honoured),
    ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", Use::Honoured),
    ("OTEL_BLRP_MAX_QUEUE_SIZE", Use::Honoured),
    ("OTEL_BLRP_SCHEDULE_DELAY", Use::Honoured),
    ("OTEL_BSP_EXPORT_TIMEOUT", Use::Honoured),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", Use::Honoured),
    ("OTEL_BSP_MAX_QUEUE_SIZE", Use::Honoured),
    ("OTEL_BSP_SCHEDULE_DELAY", Use::Honoured),
    ("OTEL_CONFIG_FILE", Use::NoEffect),
    ("OTEL_ENTITIES", Use::NoEffect),
    ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", Use::Honoured),
    ("OTEL_EXPERIMENTAL_CONFIG_FILE", Use::NoEffect),
    ("OTEL_EXPORTER_JAEGER_AGENT_HOST", Use::NoEffect),
    ("OTEL_EXPORTER_JAEGER_AGENT_PORT", Use::NoEffect),
    ("OTEL_EXPORTER_JAEGER_ENDPOINT", Use::NoEffect),
    ("OTEL_EXPORTER_JAEGER_PASSWORD", Use::NoEffect),
    ("OTEL_EXPORTER_JAEGER_PROTOCOL", Use::NoEffect),
    ("OTEL_EXPORTER_JAEGER_TIMEOUT", Use::NoEffect),
    ("OTEL_EXPORTER_JAEGER_USER", Use::NoEffect),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_CLIENT_KEY", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_HEADERS", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_INSECURE", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_LOGS_INSECURE", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_METRICS_INSECURE", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_METRIC_INSECURE", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_PROFILES_CERTIFICATE", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_PROFILES_CLIENT_CERTIFICATE", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_PROFILES_CLIENT_KEY", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_PROFILES_COMPRESSION", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_PROFILES_HEADERS", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_PROFILES_INSECURE", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_PROFILES_PROTOCOL", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_PROFILES_TIMEOUT", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_SPAN_INSECURE", Use::Elsewhere),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", Use::Honoured),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", Use::Honoured),
    ("OTEL_EXPORTER_PROMETHEUS_HOST", Use::Elsewhere),
    ("OTEL_EXPORTER_PROMETHEUS_PORT", Use::Elsewhere),
    ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", Use::NoEffect),
    ("OTEL_EXPORTER_ZIPKIN_PROTOCOL", Use::NoEffect),
    ("OTEL_EXPORTER_ZIPKIN_TIMEOUT", Use::NoEffect),
    ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", Use::Honoured),
    ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", Use::Honoured),
    ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", Use::Honoured),
    ("OTEL_LOGS_EXPORTER", Use::Honoured),
    ("OTEL_LOG_LEVEL", Use::Honoured),
    ("OTEL_METRICS_EXEMPLAR_FILTER", Use::Elsewhere),
    ("OTEL_METRICS_EXPORTER", Use::Elsewhere),
    ("OTEL_METRIC_EXPORT_INTERVAL", Use::Elsewhere),
    ("OTEL_METRIC_EXPORT_TIMEOUT", Use::Elsewhere),
    ("OTEL_PROPAGATORS", Use::Honoured),
    ("OTEL_RESOURCE_ATTRIBUTES", Use::Honoured),
    ("OTEL_SDK_DISABLED", Use::Honoured),
    ("OTEL_SEMCONV_STABILITY_OPT_IN", Use::Elsewhere),
    ("OTEL_SERVICE_NAME", Use::Honoured),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", Use::Honoured),
    ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", Use::Honoured),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", Use::Honoured),
    ("OTEL_SPAN_LINK_COUNT_LIMIT", Use::Honoured),
    ("OTEL_TRACES_EXPORTER", Use::Honoured),
    ("OTEL_TRACES_SAMPLER", Use::Honoured),
    ("OTEL_TRACES_SAMPLER_ARG", Use::Honoured),
    ("RUST_LOG", Use::Honoured),
    ("RUST_LOG_STYLE", Use::Honoured),
];

pub(super) fn use_of(name: &str) -> Option<Use> {
    let at = NAMES.binary_search_by_key(&name, |(known, _)| known).ok()?;
    NAMES.get(at).map(|(_, used)| *used)
}

/// A name further away than this is another name.
const MAX_EDITS: usize = 2;

/// The known name that this one was probably meant to be.
pub(super) fn nearest(name: &str) -> Option<(&'static str, Use)> {
    let upper = name.to_ascii_uppercase();
    if !["OTEL", "HYPERDX", "LOGBRIDGE", "RUST_LOG", "RUSTLOG"].iter().any(|prefix| upper.starts_with(prefix)) {
        return None;
    }
    NAMES
        .iter()
        .filter(|(known, _)| known.len().abs_diff(upper.len()) <= MAX_EDITS)
        .map(|(known, used)| (edit_distance(&upper, known), *known, *used))
        .filter(|(distance, ..)| *distance <= MAX_EDITS)
        // Of two that are as near, the one that is honoured.
        .min_by_key(|(distance, _, used)| (*distance, *used != Use::Honoured))
        .map(|(_, known, used)| (known, used))
}

/// The variable of ours that a name that begins as ours do was probably meant to be, however far it is: with as many words in
/// common as there are, and then the nearest. Seeds and switches of our own tests are no settings.
pub(super) fn nearest_of_ours(name: &str) -> Option<&'static str> {
    const TESTS: [&str; 5] = ["FUZZ", "LONG", "MODEL", "SOAK", "TEST"];
    let rest = name.strip_prefix("LOGBRIDGE_")?;
    let words: Vec<&str> = rest.split('_').collect();
    if words.first().is_some_and(|first| TESTS.contains(first)) {
        return None;
    }
    let ours = NAMES.iter().filter_map(|(known, _)| Some((*known, known.strip_prefix("LOGBRIDGE_")?)));
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
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(use_of("OTEL_SERVICE_NAME"), Some(Use::Honoured));
        assert_eq!(use_of("OTEL_SERVICE_NAM"), None);
    }

    #[test]
    fn what_was_probably_meant() {
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
    fn what_begins_as_ours_do_is_never_left_alone() {
        for (name, meant) in [
            ("LOGBRIDGE_LEVEL", Some("LOGBRIDGE_OTLP_LEVEL")),
            ("LOGBRIDGE_SPOOL", Some("LOGBRIDGE_SPOOL_DIR")),
            ("LOGBRIDGE_MAX_REQUEST", Some("LOGBRIDGE_MAX_REQUEST_BYTES")),
            ("LOGBRIDGE_TEST_PYTHON", None),
            ("OTEL_FOO", None),
        ] {
            assert_eq!(nearest_of_ours(name), meant, "{name}");
        }
        assert!(nearest_of_ours("LOGBRIDGE_FOO").is_some() && nearest_of_ours(&"LOGBRIDGE_Ä".repeat(9999)).is_some());
    }
}
