use super::*;
use crate::config::{BuilderSettings, Config, Environment, Otlp};

fn resolve<const N: usize>(vars: [(&str, &str); N]) -> Config {
    BuilderSettings::default().resolve(&Environment::from(vars)).expect("a bad variable is never an error")
}

fn find(config: &Config, name: &str) -> Option<(String, SettingSource)> {
    config.settings.iter().find(|s| s.name == name).map(|s| (s.value.clone(), s.source))
}

#[test]
fn a_very_long_value_is_shown() {
    let value = "v".repeat(70_000);
    let settings =
        [Setting { name: "report", value: value.clone(), source: SettingSource::Variable("LOGBRIDGE_REPORT") }];
    assert!(settings_table(&settings).contains(&format!("report   {value}  LOGBRIDGE_REPORT\n")));
}

/// Each setting with several sources: the variables, the resolved value and its source.
#[test]
fn each_setting_knows_its_source() {
    use SettingSource::{BuiltIn, SignalVariable, Variable};
    for (name, vars, value, source) in [
        ("service name", &[("OTEL_SERVICE_NAME", "shop")][..], "shop", Variable("OTEL_SERVICE_NAME")),
        (
            "service name",
            &[("OTEL_RESOURCE_ATTRIBUTES", "a=1,service.name=cart")],
            "cart",
            Variable("OTEL_RESOURCE_ATTRIBUTES"),
        ),
        ("resource attributes", &[], "none", BuiltIn),
        ("resource attributes", &[("OTEL_RESOURCE_ATTRIBUTES", "a=1,b=2")], "2", Variable("OTEL_RESOURCE_ATTRIBUTES")),
        ("logs", &[], "off: neither code nor environment mentions OpenTelemetry", BuiltIn),
        ("logs", &[("OTEL_SDK_DISABLED", "true")], "off: OTEL_SDK_DISABLED is true", Variable("OTEL_SDK_DISABLED")),
        ("logs", &[("OTEL_LOGS_EXPORTER", "otlp")], "on", Variable("OTEL_LOGS_EXPORTER")),
        (
            "spans",
            &[("OTEL_TRACES_EXPORTER", "none")],
            "off: OTEL_TRACES_EXPORTER does not name otlp",
            Variable("OTEL_TRACES_EXPORTER"),
        ),
        ("logs endpoint", &[("HYPERDX_API_KEY", "k")], "http://localhost:4318/v1/logs", BuiltIn),
        (
            "logs endpoint",
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h")],
            "http://h/v1/logs",
            Variable("OTEL_EXPORTER_OTLP_ENDPOINT"),
        ),
        (
            "spans endpoint",
            &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://h/in")],
            "http://h/in",
            SignalVariable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ),
        (
            "logs endpoint",
            &[("HYPERDX_API_ENDPOINT", "http://h")],
            "http://h/v1/logs",
            Variable("HYPERDX_API_ENDPOINT"),
        ),
        ("logs header", &[("OTEL_SERVICE_NAME", "s")], "none", BuiltIn),
        ("logs header", &[("HYPERDX_LOGS_APIKEY", "k")], "authorization", SignalVariable("HYPERDX_LOGS_APIKEY")),
        ("logs header", &[("OTEL_EXPORTER_OTLP_HEADERS", "x-a=1")], "x-a", Variable("OTEL_EXPORTER_OTLP_HEADERS")),
        (
            "logs timeout",
            &[("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "2500")],
            "2.5s",
            SignalVariable("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT"),
        ),
        ("logs timeout", &[("OTEL_EXPORTER_OTLP_TIMEOUT", "0")], "10s", BuiltIn),
        ("logs timeout", &[("OTEL_BLRP_EXPORT_TIMEOUT", "3s")], "3s", Variable("OTEL_BLRP_EXPORT_TIMEOUT")),
        ("spans timeout", &[("OTEL_BSP_EXPORT_TIMEOUT", "3s")], "3s", Variable("OTEL_BSP_EXPORT_TIMEOUT")),
        ("logs delay", &[("OTEL_BLRP_SCHEDULE_DELAY", "20")], "20ms", Variable("OTEL_BLRP_SCHEDULE_DELAY")),
        ("spans delay", &[("OTEL_SERVICE_NAME", "s")], "5s", BuiltIn),
        (
            "logs max bytes",
            &[("OTEL_SERVICE_NAME", "s"), ("LOGBRIDGE_MAX_BYTES", "1MiB")],
            "1048576",
            Variable("LOGBRIDGE_MAX_BYTES"),
        ),
        ("spans queue", &[("OTEL_BSP_MAX_QUEUE_SIZE", "9")], "9", Variable("OTEL_BSP_MAX_QUEUE_SIZE")),
        ("spans batch", &[("OTEL_BSP_MAX_QUEUE_SIZE", "9")], "9", Variable("OTEL_BSP_MAX_QUEUE_SIZE")),
        ("spans batch", &[("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "7")], "7", Variable("OTEL_BSP_MAX_EXPORT_BATCH_SIZE")),
        ("sampler", &[("OTEL_TRACES_SAMPLER", "always_off")], "AlwaysOff", Variable("OTEL_TRACES_SAMPLER")),
        ("sampler", &[("OTEL_TRACES_SAMPLER", "what")], "ParentBased(AlwaysOn)", BuiltIn),
        ("propagators", &[("OTEL_PROPAGATORS", "none")], "none", Variable("OTEL_PROPAGATORS")),
        ("propagators", &[], "tracecontext, baggage", BuiltIn),
        ("console", &[("LOGBRIDGE_CONSOLE", "stdout")], "stdout", Variable("LOGBRIDGE_CONSOLE")),
        (
            "console",
            &[("LOGBRIDGE_CONSOLE", "stdout"), ("DEBUG", "1")],
            "off: replaced by the mirror on stdout",
            Variable("LOGBRIDGE_CONSOLE"),
        ),
        ("mirror of logs", &[("DEBUG", "yes")], "text", Variable("DEBUG")),
        ("mirror of spans", &[("OTEL_LOGS_EXPORTER", "console")], "off", BuiltIn),
        ("exit timeout", &[("LOGBRIDGE_EXIT_TIMEOUT", "7s")], "7s", Variable("LOGBRIDGE_EXIT_TIMEOUT")),
        ("exception events", &[("LOGBRIDGE_EXCEPTION_EVENTS", "on")], "on", Variable("LOGBRIDGE_EXCEPTION_EVENTS")),
        ("flush on signals", &[], "off", BuiltIn),
        ("flush on signals", &[("LOGBRIDGE_FLUSH_ON_SIGNALS", "YES")], "on", Variable("LOGBRIDGE_FLUSH_ON_SIGNALS")),
        ("flush on signals", &[("LOGBRIDGE_FLUSH_ON_SIGNALS", "TERM")], "off", BuiltIn),
        (
            "trace context from env",
            &[("LOGBRIDGE_TRACE_CONTEXT_FROM_ENV", "1")],
            "on",
            Variable("LOGBRIDGE_TRACE_CONTEXT_FROM_ENV"),
        ),
        ("trace based", &[], "off", BuiltIn),
        ("panic hook", &[], "on", BuiltIn),
    ] {
        let config = match *vars {
            [] => resolve([]),
            [a] => resolve([a]),
            [a, b, ..] => resolve([a, b]),
        };
        assert_eq!(find(&config, name), Some((value.to_owned(), source)), "{name} with {vars:?}");
    }
}

#[test]
fn code_wins_and_is_shown_as_the_source() {
    let settings = BuilderSettings {
        service_name: Some("shop".to_owned()),
        exit_timeout: Some(Duration::from_secs(1)),
        max_spans: Some(5),
        panic_hook: Some(false),
        otlp: Some(Otlp::to("http://code").header("x-a", "1").timeout(Duration::from_secs(2)).trace_based(true)),
        ..BuilderSettings::default()
    };
    let vars = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://env"), ("OTEL_SERVICE_NAME", "env")];
    let config = settings.resolve(&Environment::from(vars)).expect("resolves");
    for (name, value) in [
        ("service name", "shop"),
        ("logs", "on"),
        ("logs endpoint", "http://code/v1/logs"),
        ("spans endpoint", "http://code/v1/traces"),
        ("logs header", "x-a"),
        ("logs timeout", "2s"),
        ("spans queue", "5"),
        ("spans batch", "5"),
        ("exit timeout", "1s"),
        ("trace based", "on"),
        ("panic hook", "off"),
    ] {
        assert_eq!(find(&config, name), Some((value.to_owned(), SettingSource::Code)), "{name}");
    }
}

#[test]
fn the_table_is_aligned_and_a_value_is_one_line() {
    let setting = |name, value: &str, source| Setting { name, value: value.to_owned(), source };
    let table = settings_table(&[
        setting("service name", "a\nb\u{1b}", SettingSource::Code),
        setting("logs", "on", SettingSource::Variable("OTEL_LOGS_EXPORTER")),
    ]);
    assert_eq!(
        table,
        "setting       value       where from\n\
         service name  a\\nb\\u{1b}  code\n\
         logs          on          OTEL_LOGS_EXPORTER\n"
    );
}

#[test]
fn no_secret_is_ever_shown() {
    let config = resolve([
        ("HYPERDX_API_KEY", "s3cret-key"),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "s3cret==,x-token=s3cret-header,authorization=Bearer s3cret,s3cret-rest,s3cret: s3cret",
        ),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:s3cret-password@h/v1/logs?token=s3cret-query"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "'user:s3cret@h'"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "\"authorization=s3cret\""),
        ("HYPERDX_TRACES_APIKEY", "Bearer ${s3cret}\ns3cret"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADER", "x=s3cret"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=s3cret"),
    ]);
    let findings: String = config.findings.iter().map(|finding| format!("{finding}\n{finding:?}\n")).collect();
    let notices: Vec<_> = config.startup_notices().collect();
    let shown = format!("{}{findings}{notices:?}", settings_table(&config.settings));
    assert!(!shown.contains("s3cret"), "{shown}");
    assert!(shown.contains("logs header") && shown.contains("x-token") && shown.contains("http://…@h/"), "{shown}");
}
