use super::*;
use crate::config::{BuilderSettings, Config, Otlp, SettingSource};

fn resolve(vars: &[(&str, &str)]) -> Config {
    BuilderSettings::default().resolve(&environment(vars)).expect("a bad variable is never an error")
}

fn environment(vars: &[(&str, &str)]) -> Environment {
    vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn codes(config: &Config) -> Vec<(&'static str, &str)> {
    config.findings.iter().map(|finding| (finding.name, finding.place.as_str())).collect()
}

fn logs(config: &Config) -> Option<String> {
    Some(config.otlp.delivery.as_ref()?.route.endpoint.to_string())
}

fn header(config: &Config, name: &str) -> Option<String> {
    let headers = &config.otlp.delivery.as_ref()?.route.headers;
    Some(headers.iter().find(|header| header.name == name)?.value.to_str().unwrap_or("?").to_owned())
}

/// Asserts that there is a finding of this name about this variable.
#[track_caller]
fn found(code: &str, place: &str, vars: &[(&str, &str)]) -> Config {
    let config = resolve(vars);
    assert!(codes(&config).contains(&(code, place)), "{code} at {place} with {vars:?}: {:?}", codes(&config));
    config
}

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const LOGS: &str = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";

// The causes E1 to E20 of logs that are lost by the exporter's configuration. For each, a finding reports it, or it
// cannot happen.

#[test]
fn e1_a_url_in_code_without_the_path() {
    // Cannot happen: `Otlp::to` appends the path, and `Otlp::to_url` takes a complete URL.
    let settings = BuilderSettings { otlp: Some(Otlp::to("http://h:4318")), ..BuilderSettings::default() };
    let config = settings.resolve(&Environment::default()).expect("resolves");
    assert_eq!(logs(&config).as_deref(), Some("http://h:4318/v1/logs"));
}

#[test]
fn e2_a_url_for_one_signal_without_the_path() {
    for url in ["http://h:4318", "http://h:4318/"] {
        let config = found("missing-path", LOGS, &[(LOGS, url)]);
        assert_eq!(logs(&config).as_deref(), Some("http://h:4318/"), "the specification: as it is");
        let help = config.findings.first().and_then(|finding| finding.corrected.as_deref());
        assert_eq!(help, Some("http://h:4318/v1/logs"));
    }
    assert_eq!(codes(&resolve(&[(LOGS, "http://h:4318/v1/logs")])), []);
}

#[test]
fn e3_a_base_url_with_the_path() {
    for url in ["http://h:4318/v1/logs", "http://h:4318/v1/traces/"] {
        let config = found("doubled-path", ENDPOINT, &[(ENDPOINT, url)]);
        let help = config.findings.first().and_then(|finding| finding.corrected.as_deref());
        assert_eq!(help, Some("http://h:4318"));
    }
    found("doubled-path", "HYPERDX_API_ENDPOINT", &[("HYPERDX_API_ENDPOINT", "https://h/v1/logs")]);
    assert_eq!(codes(&resolve(&[(ENDPOINT, "http://h:4318/otlp")])), []);
}

#[test]
fn e4_code_wins_over_a_variable() {
    let settings = BuilderSettings { otlp: Some(Otlp::to("http://code")), ..BuilderSettings::default() };
    let config = settings.resolve(&environment(&[(ENDPOINT, "http://env")])).expect("resolves");
    assert_eq!(codes(&config), [("set-in-code", ENDPOINT)]);
    assert!(config.settings.iter().any(|s| s.name == "logs endpoint" && s.source == SettingSource::Code));
    assert_eq!(config.startup_notices().count(), 0, "as it is documented: no warning");
}

#[test]
fn e5_a_name_in_the_wrong_case_or_with_a_slip() {
    for (name, meant) in [
        ("otel_exporter_otlp_endpoint", ENDPOINT),
        ("OTEL_EXPORTER_OTLP_LOG_ENDPOINT", LOGS),
        ("OTEL_EXPORTER_OLTP_ENDPOINT", ENDPOINT),
        ("RUST_LOGS", "RUST_LOG"),
    ] {
        let config = found("misspelt-variable", name, &[(name, "http://s3cret")]);
        let finding = format!("{:?}", config.findings);
        assert!(finding.contains(&format!("did you mean {meant}?")) && !finding.contains("s3cret"), "{finding}");
    }
    assert_eq!(codes(&resolve(&[("OTEL_EXPORTER_OTLP_LOG_ENDPOINT", "")])), [], "empty is unset");
}

#[test]
fn e6_a_time_in_the_wrong_unit() {
    let config = found("suspicious-unit", TIMEOUT, &[(TIMEOUT, "10")]);
    assert_eq!(
        config.findings.first().and_then(|finding| finding.help.clone()).map(|h| h.contains("10000")),
        Some(true)
    );
    found("suspicious-unit", "LOGBRIDGE_EXIT_TIMEOUT", &[("LOGBRIDGE_EXIT_TIMEOUT", "3")]);
    for fine in ["200", "10ms", "10s", "10000", "0"] {
        assert_eq!(codes(&resolve(&[(TIMEOUT, fine)])), [], "{fine}");
    }
    assert_eq!(codes(&resolve(&[("OTEL_BLRP_SCHEDULE_DELAY", "10")])), [], "a short delay makes sense");
}

#[test]
fn e7_an_invalid_duration() {
    found("bad-value", TIMEOUT, &[(TIMEOUT, "ten")]);
    // Valid in logbridge: ten seconds.
    assert_eq!(codes(&resolve(&[(TIMEOUT, "10s")])), []);
}

#[test]
fn e8_an_empty_variable_of_a_signal() {
    let name = "OTEL_EXPORTER_OTLP_LOGS_HEADERS";
    let config = found("empty-masks", name, &[(name, ""), (HEADERS, "x-a=1")]);
    assert_eq!(header(&config, "x-a").as_deref(), Some("1"), "empty is unset");
    assert_eq!(codes(&resolve(&[(name, ""), ("OTEL_SERVICE_NAME", "s")])), []);
    found("empty-masks", "HYPERDX_LOGS_APIKEY", &[("HYPERDX_LOGS_APIKEY", " "), ("HYPERDX_API_KEY", "k")]);
}

#[test]
fn e9_quotes_around_the_headers() {
    let config = found("header-quote", HEADERS, &[(HEADERS, "\"authorization=Bearer s3cret\"")]);
    assert!(!format!("{:?}", config.findings).contains("s3cret"));
    found("header-quote", HEADERS, &[(HEADERS, "authorization='Bearer s3cret'")]);
}

#[test]
fn e10_a_colon_instead_of_an_equals_sign() {
    let config = found("header-colon", HEADERS, &[(HEADERS, "authorization: Bearer s3cret")]);
    assert!(!format!("{:?}", config.findings).contains("s3cret"));
}

#[test]
fn e11_a_comma_inside_a_header() {
    let config = found("header-comma", HEADERS, &[(HEADERS, "authorization=Bearer a,s3cret,x-b=1")]);
    assert!(!format!("{:?}", config.findings).contains("s3cret"));
    assert_eq!(header(&config, "x-b").as_deref(), Some("1"));
    let config = resolve(&[(HEADERS, "authorization=Bearer a%2Cb")]);
    assert_eq!((codes(&config), header(&config, "authorization").as_deref()), (vec![], Some("Bearer a,b")));
}

#[test]
fn e12_a_line_break_in_a_header() {
    let with = |value: &str| BuilderSettings {
        otlp: Some(Otlp::to("http://h").header("x", value)),
        ..BuilderSettings::default()
    };
    // In code, a line break is an error unless it is at the end, where it is trimmed.
    assert!(with("a\nb").resolve(&Environment::default()).is_err_and(|error| error.is_configuration()));
    let config = with("a\n").resolve(&Environment::default()).expect("resolves");
    assert_eq!(header(&config, "x").as_deref(), Some("a"));
    let key = "HYPERDX_API_KEY";
    found("key-whitespace", key, &[(key, "s3cret\ns3cret")]);
    assert_eq!(codes(&resolve(&[(key, "s3cret\n")])), []);
}

#[test]
fn e13_a_percent_sign_in_a_header_of_code() {
    // Cannot happen: only the variable is percent-decoded, as specified.
    let settings =
        BuilderSettings { otlp: Some(Otlp::to("http://h").header("x", "a%2Bb")), ..BuilderSettings::default() };
    let config = settings.resolve(&Environment::default()).expect("resolves");
    assert_eq!(header(&config, "x").as_deref(), Some("a%2Bb"));
}

#[test]
fn e14_a_protocol_that_is_not_there() {
    let name = "OTEL_EXPORTER_OTLP_PROTOCOL";
    found("unknown-value", name, &[(name, "http")]);
    assert_eq!(codes(&resolve(&[(name, "http/protobuf")])), []);
    // Depends on the feature.
    let code = if cfg!(feature = "grpc") { None } else { Some("unknown-value") };
    assert_eq!(resolve(&[(name, "grpc")]).findings.first().map(|finding| finding.name), code);
}

#[test]
fn e15_an_endpoint_without_a_scheme() {
    for url in ["localhost:4318", "127.0.0.1:4318/v1/logs"] {
        let config = found("bad-url", LOGS, &[(LOGS, url), (ENDPOINT, "http://h")]);
        assert_eq!(logs(&config).as_deref(), Some("http://h/v1/logs"), "the next source is used");
    }
    let settings = BuilderSettings { otlp: Some(Otlp::to("localhost:4318")), ..BuilderSettings::default() };
    assert!(settings.resolve(&Environment::default()).is_err_and(|error| error.is_configuration()));
}

#[test]
fn e16_variables_that_are_not_implemented() {
    // These two are implemented.
    assert_eq!(logs(&resolve(&[(ENDPOINT, "http://h"), ("OTEL_SDK_DISABLED", "true")])), None);
    assert_eq!(logs(&resolve(&[(ENDPOINT, "http://h"), ("OTEL_LOGS_EXPORTER", "none")])), None);
    assert_eq!(found("no-effect", "OTEL_CONFIG_FILE", &[("OTEL_CONFIG_FILE", "x")]).startup_notices().count(), 1);
    for name in ["OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"] {
        found("unknown-value", name, &[(name, "brotli")]);
    }
    for name in ["OTEL_METRIC_EXPORT_INTERVAL", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"] {
        assert_eq!(
            found("no-effect", name, &[(name, "x")]).startup_notices().count(),
            0,
            "another library may read {name}"
        );
    }
    assert_eq!(codes(&resolve(&[("OTEL_EXPORTER_OTLP_COMPRESSION", "none"), ("OTEL_METRICS_EXPORTER", "none")])), []);
}

#[test]
fn e17_a_proxy() {
    // The settings show which proxy is used. Loopback endpoints never use one (`proxy::tests`).
    for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY"] {
        let config = resolve(&[(name, "http://p:3128"), (ENDPOINT, "http://localhost:4318")]);
        assert_eq!(codes(&config), [], "{name}");
        assert_eq!(config.otlp.delivery.and_then(|logs| logs.route.proxy), None, "{name}");
    }
    assert_eq!(codes(&resolve(&[("NO_PROXY", "*")])), []);
}

#[test]
fn e18_insecure_is_about_grpc_without_a_scheme() {
    let name = "OTEL_EXPORTER_OTLP_INSECURE";
    let config = found("no-effect", name, &[(name, "true"), (ENDPOINT, "https://h")]);
    assert!(config.otlp.delivery.is_some_and(|delivery| delivery.route.endpoint.is_https()), "the scheme decides");
    for (insecure, scheme) in [("true", "http"), ("false", "https"), ("", "https")] {
        let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        let config = resolve(&[(name, insecure), (ENDPOINT, "h:4317"), grpc]);
        assert_eq!(codes(&config), []);
        let delivery = config.otlp.delivery.expect("on");
        assert_eq!(delivery.route.endpoint.to_string(), format!("{scheme}://h:4317/"));
    }
}

#[test]
fn e19_a_variable_that_the_process_does_not_see() {
    // The settings show it, because each has its source.
    let config = resolve(&[("PATH", "/bin")]);
    assert_eq!(codes(&config), []);
    let setting = config.settings.iter().find(|setting| setting.name == "logs").expect("decided");
    assert_eq!((setting.source, setting.value.starts_with("off: neither code")), (SettingSource::BuiltIn, true));
}

#[test]
fn e20_a_placeholder_instead_of_a_secret() {
    // Only the endpoint knows whether a key was truncated or replaced.
    for value in ["${KEY}", "$(KEY)", "%API_KEY%", "<your-key>", "changeme", "YOUR-API-KEY"] {
        let config = found("unexpanded", "HYPERDX_API_KEY", &[("HYPERDX_API_KEY", value)]);
        assert!(!format!("{:?}", config.findings).contains(value));
        found("unexpanded", HEADERS, &[(HEADERS, &format!("authorization={value}"))]);
        found("unexpanded", "OTEL_SERVICE_NAME", &[("OTEL_SERVICE_NAME", value)]);
    }
    for value in ["x=%C3%BC%20", "x=%C3ABC%20d", "a$b", "a<b", "100%", "x=${", "x=${}"] {
        assert_eq!(
            codes(&resolve(&[(HEADERS, value)])).iter().find(|(code, _)| *code == "unexpanded"),
            None,
            "{value}"
        );
    }
}

#[test]
fn f3_f4_the_port_of_the_other_protocol() {
    found("grpc-port", ENDPOINT, &[(ENDPOINT, "http://h:4317")]);
    found("grpc-port", LOGS, &[(LOGS, "http://h:4317/v1/logs"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]);
    found("grpc-port", ENDPOINT, &[(ENDPOINT, "http://h:4318"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
    let config = resolve(&[(ENDPOINT, "http://h:4317"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
    assert_eq!(codes(&config), []);
}

#[test]
fn quotes_that_a_file_keeps() {
    for (name, value) in [(ENDPOINT, "\"http://h\""), ("OTEL_SERVICE_NAME", "'shop'"), ("HYPERDX_API_KEY", "\"k\"")] {
        let config = found("quoted-value", name, &[(name, value)]);
        let quoted = config.findings.iter().find(|finding| finding.name == "quoted-value").expect("found");
        let inner = &value[1..value.len() - 1];
        assert_eq!(quoted.corrected.as_deref(), (name != "HYPERDX_API_KEY").then_some(inner));
        assert_eq!(quoted.evidence.is_empty(), name == "HYPERDX_API_KEY");
    }
    assert_eq!(codes(&resolve(&[("RUST_LOG", "\"info\"")])), [], "filters have a linter of their own");
    assert_eq!(codes(&resolve(&[("OTEL_SERVICE_NAME", "\"")])), []);
}

#[test]
fn keys_as_they_are_pasted() {
    for key in ["Bearer s3cret", "bearer s3cret", "s3 cret", "s3\tcret"] {
        let config = found("key-whitespace", "HYPERDX_API_KEY", &[("HYPERDX_API_KEY", key)]);
        assert_eq!(config.findings.len(), 1);
        assert!(!format!("{:?}", config.findings).contains("cret"));
    }
}

#[test]
fn an_honest_configuration_has_no_findings() {
    let config = resolve(&[
        ("DEBUG", "false"),
        ("HYPERDX_API_KEY", "0a1b-2c3d"),
        ("LOGBRIDGE_MAX_BYTES", "64MiB"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://in-otel.hyperdx.io:443"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=a,x-note=a%20b"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10000"),
        ("OTEL_PROPAGATORS", "tracecontext,baggage"),
        ("OTEL_PYTHON_LOG_CORRELATION", "true"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod,service.version=1.2"),
        ("OTEL_SERVICE_NAME", "shop"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.1"),
        ("PATH", "/bin:${HOME}"),
        ("RUST_LOG", "info,shop=debug"),
        ("RUST_LOG_STYLE", "never"),
    ]);
    assert_eq!(codes(&config), []);
}

#[test]
fn every_known_variable_has_its_findings() {
    for (name, support) in crate::config::known_variables::KNOWN_VARIABLES {
        let config = resolve(&[(name, "x")]);
        let has_no_effect = codes(&config).contains(&("no-effect", name));
        // Supported, but without effect for HTTP.
        let is_about_grpc = name.ends_with("_INSECURE");
        assert_eq!(
            has_no_effect,
            *support != VariableSupport::Supported || is_about_grpc,
            "{name}: {:?}",
            codes(&config)
        );
    }
}

#[test]
fn grpc_has_no_path_to_miss_or_to_double() {
    const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
    for (variable, url, protocol, is_found) in [
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://h:4317", "grpc", false),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://h:4319", "http/protobuf", true),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:4317/v1/logs", "grpc", false),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:4319/v1/logs", "http/json", true),
    ] {
        let findings = lint(&Environment::from([(variable, url), (PROTOCOL, protocol)]));
        let paths = findings.iter().filter(|finding| ["missing-path", "doubled-path"].contains(&finding.name));
        assert_eq!(paths.count() > 0, is_found, "{variable}={url} {protocol}: {findings:?}");
    }
}
