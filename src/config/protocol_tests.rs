use super::*;
use crate::config::{BuilderSettings, Config, Environment, Otlp, Route};

fn resolve(vars: &[(&str, &str)]) -> Config {
    let environment = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    BuilderSettings::default().resolve(&environment).expect("a bad variable is never an error")
}

fn routes(config: &Config) -> [&Route; 2] {
    let logs = config.otlp.delivery.as_ref().map(|delivery| &delivery.route);
    let spans = config.span.delivery.as_ref().map(|delivery| &delivery.route);
    [logs.expect("logs are on"), spans.expect("spans are on")]
}

fn codes(config: &Config) -> Vec<&'static str> {
    config.findings.iter().map(|finding| finding.name).collect()
}

const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const COMPRESSION: &str = "OTEL_EXPORTER_OTLP_COMPRESSION";

#[test]
fn protocols_by_variable_and_signal() {
    for (value, expected) in [
        ("http/protobuf", Protocol::HttpProtobuf),
        ("HTTP/JSON", Protocol::HttpJson),
        ("grpc", Protocol::Grpc),
        ("", Protocol::HttpProtobuf),
    ] {
        let config = resolve(&[(PROTOCOL, value), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:1")]);
        assert_eq!(routes(&config).map(|route| route.protocol), [expected; 2], "{value}");
        assert_eq!(codes(&config), [""; 0], "{value}");
    }
    let config = resolve(&[(PROTOCOL, "grpc"), ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json")]);
    assert_eq!(routes(&config).map(|route| route.protocol), [Protocol::Grpc, Protocol::HttpJson]);
    let config = resolve(&[(PROTOCOL, "http")]);
    assert_eq!(routes(&config).map(|route| route.protocol), [Protocol::HttpProtobuf; 2]);
    assert_eq!(codes(&config), ["unknown-value"], "said once");
}

#[test]
fn code_wins_and_a_missing_feature_is_named() {
    let environment = Environment::from([(PROTOCOL, "http/json"), (COMPRESSION, "zstd")]);
    let otlp = Otlp::from_env().protocol(Protocol::HttpProtobuf).compression(Compression::Gzip);
    let config =
        BuilderSettings { otlp: Some(otlp), ..BuilderSettings::default() }.resolve(&environment).expect("resolves");
    assert_eq!(routes(&config).map(|route| route.protocol), [Protocol::HttpProtobuf; 2]);
    assert_eq!(routes(&config).map(|route| route.compression), [Compression::Gzip; 2]);
    assert_eq!(feature(Protocol::Grpc), "logbridge = { features = [\"grpc\"], … } in Cargo.toml");
}

#[test]
fn compression_by_variable_and_signal() {
    for (value, expected) in
        [("gzip", Compression::Gzip), ("ZSTD", Compression::Zstd), ("none", Compression::None), ("", Compression::None)]
    {
        let config = resolve(&[(COMPRESSION, value), (PROTOCOL, "http/protobuf")]);
        assert_eq!(routes(&config).map(|route| route.compression), [expected; 2], "{value}");
        assert_eq!(codes(&config), [""; 0], "{value}");
    }
    let config = resolve(&[(COMPRESSION, "gzip"), ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "none")]);
    assert_eq!(routes(&config).map(|route| route.compression), [Compression::None, Compression::Gzip]);
}

/// The endpoint in the variable or in code, and the targets of both signals. `None` means that it is invalid and the
/// default is used.
const TARGETS: [(&str, Option<&str>); 14] = [
    ("http://h:4317", Some("http://h:4317/")),
    ("https://h:4317/", Some("https://h:4317/")),
    ("http://h", Some("http://h/")),
    ("http://h:4317/v1/logs", Some("http://h:4317/")),
    ("http://h:4317/sub/path?tenant=x", Some("http://h:4317/")),
    ("h:4317", Some("https://h:4317/")),
    ("localhost:4317", Some("https://localhost:4317/")),
    ("127.0.0.1:4317", Some("https://127.0.0.1:4317/")),
    ("[::1]:4317", Some("https://[::1]:4317/")),
    ("h", Some("https://h/")),
    ("unix:///var/run/otel.sock", None),
    ("http://", None),
    ("/var/run/otel.sock", None),
    ("h:port", None),
];

#[test]
fn grpc_has_no_path_and_may_lack_a_scheme() {
    for (value, expected) in TARGETS {
        for variable in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"] {
            let config = resolve(&[(PROTOCOL, "grpc"), (variable, value), ("OTEL_TRACES_EXPORTER", "otlp")]);
            let expected = expected.unwrap_or("http://localhost:4317/");
            assert_eq!(routes(&config)[0].endpoint.uri().to_string(), expected, "{variable}={value}");
        }
        let otlp = Otlp::to(value).protocol(Protocol::Grpc);
        let code = BuilderSettings { otlp: Some(otlp), ..BuilderSettings::default() }.resolve(&Environment::default());
        let code = code.ok().map(|config| routes(&config).map(|route| route.endpoint.uri().to_string()));
        assert_eq!(code, expected.map(|expected| [expected.to_owned(), expected.to_owned()]), "{value}");
    }
    let config = resolve(&[(PROTOCOL, "grpc")]);
    assert_eq!(routes(&config).map(|route| route.endpoint.uri().to_string()), ["http://localhost:4317/"; 2]);
}
