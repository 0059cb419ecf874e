use std::time::Duration;

use super::*;
use crate::config::Config;

fn resolve<const N: usize>(vars: [(&str, &str); N]) -> Config {
    BuilderSettings::default().resolve(&Environment::from(vars)).expect("a bad variable is never an error")
}

fn in_code(otlp: Otlp) -> SpanConfig {
    let settings = BuilderSettings { otlp: Some(otlp), ..BuilderSettings::default() };
    settings.resolve(&Environment::default()).expect("resolves").span
}

fn endpoint(config: &SpanConfig) -> Option<String> {
    config.delivery.as_ref().map(|delivery| delivery.route.endpoint.to_string())
}

#[test]
fn endpoints_by_their_rules() {
    let both = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:1/base/"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:2/as-is"),
    ];
    assert_eq!(endpoint(&resolve(both).span).as_deref(), Some("http://traces:2/as-is"));
    assert_eq!(endpoint(&resolve([both[0]]).span).as_deref(), Some("http://general:1/base/v1/traces"));
    assert_eq!(
        resolve(both).otlp.delivery.map(|d| d.route.endpoint.to_string()).as_deref(),
        Some("http://general:1/base/v1/logs")
    );
    assert_eq!(endpoint(&in_code(Otlp::to("http://code:3"))).as_deref(), Some("http://code:3/v1/traces"));
    let beside = Otlp::to_url("http://code:3/x/v1/logs?tenant=a");
    assert_eq!(
        in_code(beside).delivery.map(|d| d.route.endpoint.uri().to_string()).as_deref(),
        Some("http://code:3/x/v1/traces?tenant=a")
    );
    let own = Otlp::to_url("http://code:3/in").traces_to_url("http://code:4/spans");
    assert_eq!(endpoint(&in_code(own)).as_deref(), Some("http://code:4/spans"));
}

#[test]
fn spans_are_off_for_a_reason() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h");
    for (vars, why) in [
        (&[][..], "neither code nor environment mentions OpenTelemetry"),
        (&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")], "OTEL_SDK_DISABLED is true"),
        (&[endpoint, ("OTEL_TRACES_EXPORTER", "none")], "OTEL_TRACES_EXPORTER does not name otlp"),
        (&[endpoint, ("OTEL_TRACES_EXPORTER", "console")], "OTEL_TRACES_EXPORTER does not name otlp"),
        (
            &[("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://h/in")],
            "the only endpoint, OTEL_EXPORTER_OTLP_LOGS_ENDPOINT, is for logs",
        ),
    ] {
        let config = match *vars {
            [] => resolve([]),
            [a] => resolve([a]),
            [a, b, ..] => resolve([a, b]),
        };
        assert_eq!((config.span.delivery.is_some(), config.span.off_because), (false, Some(why)), "{vars:?}");
    }
    assert_eq!(in_code(Otlp::off()).off_because, Some("code says Otlp::off()"));
    assert_eq!(in_code(Otlp::to("http://h").traces_off()).off_because, Some("code says Otlp::traces_off()"));
    assert!(in_code(Otlp::to_url("http://h/in")).off_because.is_some_and(|why| why.contains("traces_to_url")));
    let logs_only = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://h/in");
    assert!(resolve([logs_only, ("OTEL_TRACES_EXPORTER", "otlp")]).span.delivery.is_some(), "asked for by name");
    assert!(resolve([endpoint, ("OTEL_LOGS_EXPORTER", "none")]).span.delivery.is_some(), "logs are another signal");
}

#[test]
fn samplers_and_their_argument() {
    let sampler = |name, argument| {
        let config = resolve([("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", argument)]);
        (format!("{:?}", config.span.sampler), config.findings.len())
    };
    assert_eq!(sampler("", ""), ("ParentBased(AlwaysOn)".to_owned(), 0));
    assert_eq!(sampler("always_on", ""), ("AlwaysOn".to_owned(), 0));
    assert_eq!(sampler("always_off", "0.5"), ("AlwaysOff".to_owned(), 0));
    assert_eq!(sampler("traceidratio", "0.25"), ("TraceIdRatioBased(0.25)".to_owned(), 0));
    assert_eq!(sampler("parentbased_always_off", ""), ("ParentBased(AlwaysOff)".to_owned(), 0));
    assert_eq!(sampler("parentbased_traceidratio", "1"), ("ParentBased(TraceIdRatioBased(1.0))".to_owned(), 0));
    assert_eq!(sampler("traceidratio", "50%"), ("TraceIdRatioBased(1.0)".to_owned(), 1));
    assert_eq!(sampler("traceidratio", "NaN"), ("TraceIdRatioBased(1.0)".to_owned(), 1));
    assert_eq!(sampler("jaeger_remote", ""), ("ParentBased(AlwaysOn)".to_owned(), 1));
}

#[test]
fn propagators() {
    let propagators = |list| resolve([("OTEL_PROPAGATORS", list)]).span.propagators;
    assert_eq!(propagators(""), [Propagator::TraceContext, Propagator::Baggage]);
    assert_eq!(propagators("baggage, tracecontext,baggage"), [Propagator::Baggage, Propagator::TraceContext]);
    assert_eq!(propagators("none"), []);
    let config = resolve([("OTEL_PROPAGATORS", "b3,tracecontext")]);
    assert_eq!(config.span.propagators, [Propagator::TraceContext]);
    assert_eq!(config.findings.len(), 1);
}

#[test]
fn the_queue_and_the_limits() {
    let config = resolve([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "70"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "7"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "many"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "9"),
    ]);
    let delivery = config.span.delivery.expect("on");
    assert_eq!((delivery.max_queue, delivery.max_batch), (100, 100), "a batch is no larger than the queue");
    assert_eq!(
        (delivery.schedule_delay, delivery.route.timeout),
        (Duration::from_millis(50), Duration::from_millis(70))
    );
    let limits = config.span.limits;
    assert_eq!(
        (limits.max_attributes_per_span, limits.max_events_per_span, limits.max_attributes_per_event),
        (7, 128, 9)
    );
    let codes: Vec<_> = config.findings.iter().map(|finding| finding.name).collect();
    assert_eq!(codes, ["bad-value", "suspicious-unit"]);
    let config = resolve([("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h"), ("OTEL_BSP_MAX_QUEUE_SIZE", "0")]);
    assert_eq!(config.span.delivery.map(|delivery| delivery.max_queue), Some(16_384));
    assert_eq!(config.findings.len(), 1);
}

#[test]
fn keys_and_headers_of_the_signal() {
    let config = resolve([
        ("HYPERDX_API_KEY", "general"),
        ("HYPERDX_TRACES_APIKEY", "traces"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-a=1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-b=2"),
    ]);
    let headers = |route: &crate::config::Route| -> Vec<String> {
        route.headers.iter().map(|h| format!("{}={}", h.name, h.value.to_str().unwrap_or_default())).collect()
    };
    assert_eq!(headers(&config.span.delivery.expect("on").route), ["x-a=1", "authorization=traces"]);
    assert_eq!(headers(&config.otlp.delivery.expect("on").route), ["x-b=2", "authorization=general"]);
}

#[test]
fn the_mirror_of_spans() {
    let mirrors = |vars: [(&str, &str); 1]| {
        let config = resolve(vars);
        (config.mirror, config.span.mirror)
    };
    assert_eq!(mirrors([("DEBUG", "true")]), (Mirror::Text, Mirror::Text));
    assert_eq!(mirrors([("OTEL_LOGS_EXPORTER", "console")]), (Mirror::Text, Mirror::Off));
    assert_eq!(mirrors([("OTEL_TRACES_EXPORTER", "otlp,console")]), (Mirror::Off, Mirror::Text));
}

#[test]
fn a_problem_of_both_signals_is_reported_once() {
    let config = resolve([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "thrift"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
    ]);
    assert_eq!(config.findings.len(), 4, "{:?}", config.findings);
}
