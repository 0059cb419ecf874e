//! Causes of stage E, and the suspicious filters of stage C: what the doctor finds in variables alone.

use crate::cargo::{Project, doctor, said};
use crate::row::{Case, Codes, Row, impossible, named};
use crate::stock;

/// The codes of the findings about these variables, without a project.
fn of(variables: &[(&str, &str)]) -> Codes {
    let mut command = doctor(&["environment"]);
    command.envs(variables.iter().copied());
    said(command).codes
}

/// A row for one variable, with a faulty and a healthy value.
macro_rules! variable {
    ($id:literal, $cause:literal, $code:literal, $name:literal, $faulty:expr, $healthy:expr) => {
        named($id, $cause, "doctor", $code, |case| of(&[($name, case.pick($faulty, $healthy))]))
    };
}

const ENDPOINT: &str = "http://collector:4318";

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = vec![
        variable!("C2", "a misspelt level in RUST_LOG", "LB001", "RUST_LOG", "shop=inof", "shop=info"),
        variable!("C3", "`;` between directives", "LB003", "RUST_LOG", "info;hyper=warn", "info,hyper=warn"),
        variable!("C5", "quotes around RUST_LOG", "LB004", "RUST_LOG", "\"info\"", "info"),
        variable!(
            "E2",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT without its path",
            "LB025",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
            ENDPOINT,
            "http://collector:4318/v1/logs"
        ),
        variable!(
            "E3",
            "OTEL_EXPORTER_OTLP_ENDPOINT with a path",
            "LB024",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://collector:4318/v1/logs",
            ENDPOINT
        ),
        variable!("E6", "a timeout in seconds", "LB038", "OTEL_EXPORTER_OTLP_TIMEOUT", "10", "10000"),
        variable!("E7", "a timeout that is no number", "LB020", "OTEL_EXPORTER_OTLP_TIMEOUT", "ten", "10000"),
        variable!("E7b", "a size with a unit that is none", "LB020", "OTEL_BLRP_MAX_QUEUE_SIZE", "10k", "10240"),
        variable!(
            "E9",
            "quotes around headers",
            "LB030",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "\"authorization=s3cret\"",
            "authorization=s3cret"
        ),
        variable!(
            "E10",
            "`key: value` for a header",
            "LB028",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization: s3cret",
            "authorization=s3cret"
        ),
        variable!(
            "E11",
            "a comma in the value of a header",
            "LB029",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=Bearer s3cret,s3cret",
            "authorization=Bearer%20s3cret%2Cs3cret"
        ),
        variable!("E12", "a line break in a key", "LB033", "HYPERDX_API_KEY", "s3cret\ns3cret", "s3cret"),
        variable!(
            "E15",
            "an endpoint without a scheme",
            "LB022",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "collector:4318",
            ENDPOINT
        ),
        variable!(
            "E15b",
            "the other protocol's port",
            "LB026",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://collector:4317",
            ENDPOINT
        ),
        variable!("E16", "OTEL_SDK_DISABLED", "LB054", "OTEL_SDK_DISABLED", "true", "false"),
        variable!("E16c", "OTEL_LOGS_EXPORTER=none", "LB054", "OTEL_LOGS_EXPORTER", "none", "otlp"),
        variable!("E20", "a placeholder that nothing filled in", "LB032", "HYPERDX_API_KEY", "${API_KEY}", "s3cret"),
        variable!("E20b", "quotes around a value", "LB031", "OTEL_SERVICE_NAME", "'shop'", "shop"),
        variable!(
            "E14b",
            "a protocol that there is not",
            "LB021",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "http",
            "http/protobuf"
        ),
    ];
    rows.extend(others());
    rows
}

fn others() -> Vec<Row> {
    vec![
        named("E4", "code overrides the endpoint of a variable", "doctor", "LB037", |case| {
            let call = case.pick(".with_http()\n        .with_endpoint(\"http://other:4318/v1/logs\")", ".with_http()");
            stock::with_code(".with_http()", call).variable("OTEL_EXPORTER_OTLP_ENDPOINT", ENDPOINT).codes()
        }),
        named("E5", "the name of a variable in the wrong case", "doctor", "LB034", |case| {
            of(&[(case.pick("otel_exporter_otlp_endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT"), ENDPOINT)])
        }),
        named("E5b", "…or with a letter missing", "doctor", "LB034", |case| {
            of(&[(
                case.pick("OTEL_EXPORTER_OTLP_LOG_HEADERS", "OTEL_EXPORTER_OTLP_LOGS_HEADERS"),
                "authorization=s3cret",
            )])
        }),
        named("E8", "an empty variable masks the general one", "doctor", "LB036", |case| {
            let general = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cret");
            match case {
                Case::Faulty => of(&[general, ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "")]),
                Case::Healthy => of(&[general]),
            }
        }),
        named("E8b", "…which the stock SDK reads as a value", "doctor", "LB036", |case| {
            let project = stock::project().variable("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cret");
            let said = match case {
                Case::Faulty => project.variable("OTEL_EXPORTER_OTLP_LOGS_HEADERS", ""),
                Case::Healthy => project,
            }
            .examined(&["environment"]);
            assert_eq!(said.grave.contains("LB036"), case == Case::Faulty, "{}", said.text);
            said.codes
        }),
        named("E14", "the protocol of the variable, and another one in code", "doctor", "LB035", |case| {
            stock::project().variable("OTEL_EXPORTER_OTLP_PROTOCOL", case.pick("grpc", "http/protobuf")).codes()
        }),
        named("E15c", "HTTP's port, and gRPC in code", "doctor", "LB026", |case| {
            let endpoint = case.pick("http://collector:4318", "http://collector:4317");
            tonic().variable("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).codes()
        }),
        named("E21", "HYPERDX_API_KEY, which the stock SDK does not read", "doctor", "LB035", |case| {
            let (name, value) =
                case.pick(("HYPERDX_API_KEY", "s3cret"), ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cret"));
            stock::project().variable(name, value).codes()
        }),
        named("E16b", "OTEL_SDK_DISABLED, which the stock SDK does not read", "doctor", "LB035", |case| {
            stock::project().variable("OTEL_SDK_DISABLED", case.pick("true", "false")).codes()
        }),
        named("E16d", "a variable of the specification without an effect", "doctor", "LB035", |case| {
            of(&[(case.pick("OTEL_EXPERIMENTAL_CONFIG_FILE", "OTEL_SERVICE_NAME"), "shop")])
        }),
        named("E17", "a proxy on the way to this machine, with the stock SDK", "doctor", "LB040", |case| {
            let project = stock::project().variable("HTTP_PROXY", "http://proxy:3128");
            match case {
                Case::Faulty => project,
                Case::Healthy => project.variable("NO_PROXY", "localhost"),
            }
            .codes()
        }),
        named("E17b", "an invalid proxy", "doctor", "LB040", |case| {
            of(&[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", ENDPOINT),
                ("HTTP_PROXY", case.pick("socks5://proxy:1080", "http://proxy:3128")),
            ])
        }),
        named("E18", "OTEL_EXPORTER_OTLP_INSECURE for HTTP", "doctor", "LB035", |case| {
            let protocol = ("OTEL_EXPORTER_OTLP_PROTOCOL", case.pick("http/protobuf", "grpc"));
            of(&[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", case.pick(ENDPOINT, "collector:4317")),
                protocol,
                ("OTEL_EXPORTER_OTLP_INSECURE", "true"),
            ])
        }),
        named("E21b", "LOGBRIDGE_*, which the stock SDK does not read", "doctor", "LB035", |case| {
            stock::project().variable(case.pick("LOGBRIDGE_OTLP_LEVEL", "OTEL_SERVICE_NAME"), "info").codes()
        }),
        named("E16e", "OTEL_LOGS_EXPORTER=console, which the stock SDK does not read", "doctor", "LB035", |case| {
            stock::project().variable("OTEL_LOGS_EXPORTER", case.pick("console", "otlp")).codes()
        }),
        named("E7c", "a number with a unit, which the stock SDK cannot read", "doctor", "LB020", |case| {
            let said = stock::project()
                .variable("OTEL_EXPORTER_OTLP_TIMEOUT", case.pick("10000ms", "10000"))
                .variable("OTEL_BLRP_SCHEDULE_DELAY", case.pick("1s", "1000"))
                .examined(&["environment"]);
            assert!(said.text.contains("as read by opentelemetry-otlp 0.33.1"), "{}", said.text);
            assert_eq!(said.text.matches("LB020").count(), case.pick(2, 0), "{}", said.text);
            said.codes
        }),
        named(
            "E15d",
            "an endpoint without a scheme, with which the stock SDK does not start",
            "doctor",
            "LB022",
            |case| {
                let endpoint = case.pick("collector:4318", ENDPOINT);
                let said =
                    stock::project().variable("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).examined(&["environment"]);
                assert_eq!(said.text.contains("cannot be built"), case == Case::Faulty, "{}", said.text);
                said.codes
            },
        ),
        named("E21c", "a root in a variable that the stock SDK does not read", "doctor", "LB035", |case| match case {
            Case::Faulty => stock::project().variable("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/ca.pem").codes(),
            Case::Healthy => stock::project().codes(),
        }),
        named(
            "E16f",
            "nothing names OpenTelemetry, so logbridge is for the console alone",
            "doctor",
            "LB054",
            |case| match case {
                Case::Faulty => of(&[]),
                Case::Healthy => of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", ENDPOINT)]),
            },
        ),
        named("C2d", "only logbridge has the level `warning`", "doctor", "LB002", |case| {
            stock::project().variable("RUST_LOG", case.pick("warning", "warn")).codes()
        }),
        named("C13b", "a span directive, which only EnvFilter supports", "doctor", "LB005", |case| {
            let project = case.pick(Project::new("").main("fn main() { env_logger::init(); }"), stock::project());
            project.variable("RUST_LOG", "info,shop[req]=debug").codes()
        }),
        named("C9c", "with EnvFilter, an unset root lets nothing pass", "doctor", "LB009", |case| {
            let said = stock::project()
                .variable("RUST_LOG", case.pick("shop=info", "warn,shop=info"))
                .examined(&["environment"]);
            assert!(!said.text.contains("means WARN"), "{}", said.text);
            said.codes
        }),
        named("E5c", "LOGBRIDGE_LEVEL, which does not exist", "doctor", "LB034", |case| {
            let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", ENDPOINT);
            of(&[endpoint, (case.pick("LOGBRIDGE_LEVEL", "LOGBRIDGE_OTLP_LEVEL"), "info")])
        }),
        named("E11b", "`;` between headers", "doctor", "LB027", |case| {
            let headers = case.pick("authorization=s3cret;x-tenant=1", "authorization=s3cret,x-tenant=1");
            of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", ENDPOINT), ("OTEL_EXPORTER_OTLP_HEADERS", headers)])
        }),
        named("I3b", "a misspelt word in RUST_LOG_STYLE", "doctor", "LB021", |case| {
            of(&[("RUST_LOG_STYLE", case.pick("alwyas", "always"))])
        }),
        impossible("0w", "two findings for one cause", one_finding_each),
        impossible("0u", "one finding about a variable, as its reader interprets it", one_sentence_each),
        impossible("0s", "no secret of a variable is in the output", no_secret_is_shown),
    ]
}

/// Only the more specific finding is reported.
fn one_finding_each() {
    let endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
    for (variable, value, code) in [
        (endpoint, "\"http://collector:4318\"", "LB031"),
        (endpoint, "${ENDPOINT}", "LB032"),
        (endpoint, "http://user:s3cret@collector:4318", "LB023"),
        ("RUST_LOG", "inof", "LB002"),
    ] {
        let said = stock::project().variable(variable, value).examined(&["environment"]);
        assert_eq!(said.text.matches(&format!("\"place\": \"{variable}\"")).count(), 1, "{}", said.text);
        assert!(said.codes.contains(code), "{value}: {}", said.text);
    }
}

/// If logbridge and the stock SDK differ, findings are about the one that the project uses.
fn one_sentence_each() {
    for (variable, value, code) in [
        ("OTEL_SDK_DISABLED", "true", "LB035"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "0", "LB039"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "", "LB036"),
    ] {
        let said = stock::project()
            .variable("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cret")
            .variable(variable, value)
            .examined(&["environment"]);
        let text = &said.text;
        assert_eq!(text.matches(&format!("\"place\": \"{variable}\"")).count(), 1, "{text}");
        assert!(said.codes.contains(code) && !text.contains("no logs are sent"), "{text}");
    }
    let said = stock::project().examined(&["environment"]);
    assert!(said.text.contains("http://localhost:4318/v1/logs (the SDK's default"), "{}", said.text);
    assert!(!said.text.contains("logbridge"), "{}", said.text);
}

/// The stock SDK with gRPC selected in code.
fn tonic() -> Project {
    let main = stock::MAIN.replace(".with_http()", ".with_tonic()").replace("fn main", "#[tokio::main]\nasync fn main");
    stock::with_dependency("[\"reqwest-rustls\"]", "[\"grpc-tonic\"]").main(&main)
}

/// Keys, headers, and passwords in URLs, valid and invalid.
fn no_secret_is_shown() {
    for (name, value) in [
        ("HYPERDX_API_KEY", "s3cret"),
        ("HYPERDX_API_KEY", "Bearer s3cret"),
        ("HYPERDX_API_KEY", "s3cret s3cret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer s3cret,s3cret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization: s3cret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "\"x-key=s3cret\""),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:s3cret@collector:4318/v1/logs"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "user:s3cret@collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317?key=s3cret"),
        ("HTTP_PROXY", "socks5://user:s3cret@proxy:1080"),
        ("OTEL_RESOURCE_ATTRIBUTES", "token=s3cret,broken"),
    ] {
        for json in [true, false] {
            let mut command = doctor(&["environment"]);
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", ENDPOINT).env(name, value);
            if !json {
                command = plain(name, value);
            }
            let output = command.output().expect("the doctor runs");
            let all = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&all);
            assert!(!text.contains("s3cret"), "{name}={value}: {text}");
        }
    }
}

/// The text output.
fn plain(name: &str, value: &str) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_logbridge"));
    command.env_clear().args(["doctor", "environment"]).env("OTEL_EXPORTER_OTLP_ENDPOINT", ENDPOINT).env(name, value);
    command
}
