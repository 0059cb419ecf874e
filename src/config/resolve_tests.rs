use std::time::Duration;

use super::*;

fn resolve<const N: usize>(vars: [(&str, &str); N]) -> Config {
    BuilderSettings::default().resolve(&Environment::from(vars)).expect("a bad variable is never an error")
}

fn delivery<const N: usize>(vars: [(&str, &str); N]) -> LogDelivery {
    resolve(vars).otlp.delivery.expect("the destination is on")
}

fn texts(config: &Config) -> Vec<String> {
    config.findings.iter().map(|finding| format!("{}: {}", finding.place, finding.text)).collect()
}

#[test]
fn nothing_mentions_opentelemetry() {
    let config = resolve([("RUST_LOG", "info"), ("PATH", "/bin"), ("OTEL_SERVICE_NAME", "")]);
    assert!(config.otlp.delivery.is_none());
    assert_eq!(config.otlp.off_because, Some("neither code nor environment mentions OpenTelemetry"));
    assert_eq!(config.mirror, Mirror::Off);
    assert_eq!(config.exit_timeout, Duration::from_secs(3));
    assert!(config.findings.is_empty() && config.notices.is_empty());
}

#[test]
fn any_mention_switches_the_default_endpoint_on() {
    for variable in ["OTEL_SERVICE_NAME", "OTEL_EXPORTER_OTLP_HEADERS", "HYPERDX_API_KEY"] {
        assert_eq!(
            delivery([(variable, "a=b")]).route.endpoint.to_string(),
            "http://localhost:4318/v1/logs",
            "{variable}"
        );
    }
    let settings = BuilderSettings { otlp: Some(Otlp::from_env()), ..BuilderSettings::default() };
    assert!(settings.resolve(&Environment::default()).is_ok_and(|config| config.otlp.delivery.is_some()));
}

#[test]
fn endpoints_by_their_rules() {
    let both = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:1/base/"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs:2/as-is"),
    ];
    assert_eq!(delivery(both).route.endpoint.to_string(), "http://logs:2/as-is");
    assert_eq!(delivery([both[0]]).route.endpoint.to_string(), "http://general:1/base/v1/logs");
    assert_eq!(delivery([("HYPERDX_API_ENDPOINT", "https://h")]).route.endpoint.to_string(), "https://h/v1/logs");
    let settings = BuilderSettings { otlp: Some(Otlp::to("http://code:3")), ..BuilderSettings::default() };
    let config = settings.resolve(&Environment::from(both)).expect("resolves");
    assert_eq!(config.otlp.delivery.map(|d| d.route.endpoint.to_string()), Some("http://code:3/v1/logs".to_owned()));
}

#[test]
fn a_bad_endpoint_in_the_environment_disables_only_itself() {
    let config = resolve([
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "localhost:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
    ]);
    let endpoint = config.otlp.delivery.as_ref().map(|delivery| delivery.route.endpoint.to_string());
    assert_eq!(endpoint.as_deref(), Some("http://collector:4318/v1/logs"));
    let text = texts(&config).join("\n");
    assert!(text.contains("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT") && text.contains("`localhost:4318`"), "{text}");
}

#[test]
fn a_bad_endpoint_or_header_in_code_is_an_error() {
    for otlp in
        [Otlp::to("localhost:4318"), Otlp::to("http://h").header("x", "a\nb"), Otlp::to("http://h").header("", "v")]
    {
        let settings = BuilderSettings { otlp: Some(otlp), ..BuilderSettings::default() };
        let error = settings.resolve(&Environment::default()).expect_err("cannot be used");
        assert!(error.is_configuration() && error.help().is_some(), "{error:?}");
        assert!(!error.to_string().contains("a\nb"));
    }
}

#[test]
fn off_switches() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h");
    for vars in [
        [endpoint, ("OTEL_SDK_DISABLED", "TRUE")],
        [endpoint, ("OTEL_LOGS_EXPORTER", "none")],
        [endpoint, ("OTEL_LOGS_EXPORTER", "console")],
    ] {
        assert!(resolve(vars).otlp.delivery.is_none(), "{vars:?}");
    }
    for vars in [
        [endpoint, ("OTEL_SDK_DISABLED", "false")],
        [endpoint, ("OTEL_LOGS_EXPORTER", "otlp, console")],
        [endpoint, ("OTEL_SDK_DISABLED", "1")],
        [endpoint, ("OTEL_LOGS_EXPORTER", "oltp")],
    ] {
        assert!(resolve(vars).otlp.delivery.is_some(), "{vars:?}");
    }
    assert_eq!(texts(&resolve([("OTEL_SDK_DISABLED", "1")])).len(), 1);
}

#[test]
fn debug_in_its_spellings() {
    for (value, on) in [
        ("true", true),
        ("1", true),
        ("YES", true),
        ("on", true),
        ("false", false),
        ("0", false),
        ("no", false),
        ("Off", false),
    ] {
        assert_eq!(resolve([("DEBUG", value)]).mirror == Mirror::Text, on, "{value}");
    }
    let config = resolve([("DEBUG", "express:*")]);
    assert_eq!(config.mirror, Mirror::Off);
    assert_eq!(texts(&config).len(), 1);
    assert_eq!(resolve([("OTEL_LOGS_EXPORTER", "console")]).mirror, Mirror::Text);
    assert_eq!(resolve([("OTEL_LOGS_EXPORTER", "otlp")]).mirror, Mirror::Off);
    assert!(resolve([("DEBUG", "true")]).otlp.delivery.is_none(), "DEBUG does not mention OpenTelemetry");
}

#[test]
fn invalid_numbers_and_missing_protocols() {
    let config = resolve([
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10 seconds"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "-5"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "thrift"),
        ("LOGBRIDGE_MAX_BYTES", "lots"),
        ("LOGBRIDGE_EXIT_TIMEOUT", "1.5"),
        ("LOGBRIDGE_CONSOLE", "stdwhat"),
    ]);
    assert_eq!(texts(&config).len(), 6, "{:?}", texts(&config));
    let unchanged = config.otlp.delivery.expect("on");
    assert_eq!(unchanged.route.timeout, Duration::from_secs(10));
    assert_eq!(unchanged.max_bytes, 64 << 20);
    let delivery = delivery([
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "250"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
        ("LOGBRIDGE_MAX_BYTES", "2MiB"),
    ]);
    assert_eq!((delivery.route.timeout, delivery.max_bytes), (Duration::from_millis(250), 2 << 20));
    assert_eq!(resolve([("LOGBRIDGE_EXIT_TIMEOUT", "2s")]).exit_timeout, Duration::from_secs(2));
}

#[test]
fn bounds_and_limits_of_records() {
    let config = resolve([
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "512"),
        ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "0"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "7"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "9"),
    ]);
    assert_eq!(config.limits, Some(crate::otlp::AttributeLimits { count: Some(0), value_length: Some(9) }));
    let delivery = config.otlp.delivery.expect("on");
    assert_eq!((delivery.max_queue, delivery.max_batch), (Some(100), Some(100)), "a batch fits into the queue");
    let config = resolve([("OTEL_BLRP_MAX_QUEUE_SIZE", "0"), ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "long")]);
    assert_eq!(config.findings.iter().filter(|finding| finding.name == "bad-value").count(), 2);
    assert_eq!(config.limits, None);
    let both = resolve([("OTEL_ATTRIBUTE_COUNT_LIMIT", "many")]);
    assert_eq!(texts(&both).len(), 1, "said once for records and spans: {:?}", texts(&both));
    assert_eq!(config.otlp.delivery.map(|delivery| delivery.max_queue), Some(None));
}

#[test]
fn an_api_key_is_the_raw_authorization_and_never_erases_headers() {
    let value = |delivery: &LogDelivery| {
        delivery
            .route
            .headers
            .iter()
            .find(|h| h.name == "authorization")
            .map(|h| h.value.to_str().unwrap_or("").to_owned())
    };
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=from-headers,x-a=1");
    assert_eq!(value(&delivery([headers])).as_deref(), Some("from-headers"));
    let both = delivery([headers, ("HYPERDX_API_KEY", "general"), ("HYPERDX_LOGS_APIKEY", "logs")]);
    assert_eq!(value(&both).as_deref(), Some("logs"));
    assert_eq!(both.route.headers.len(), 2);
    assert!(!format!("{both:?}").contains("logs\""));
}

#[test]
fn a_malformed_header_is_named_and_the_others_are_sent() {
    let config = resolve([("OTEL_EXPORTER_OTLP_HEADERS", "nonsense,x-a=1,bad name=2")]);
    assert_eq!(config.otlp.delivery.as_ref().map(|d| d.route.headers.len()), Some(1));
    assert_eq!(texts(&config).len(), 2);
}
