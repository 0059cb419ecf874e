//! A project with the stock SDK that loses no records, to be broken in one place at a time.

use crate::cargo::Project;

/// Dependencies of the project.
pub(crate) const DEPENDENCIES: &str = r#"
log = { path = "$V/log-0.4.35" }
opentelemetry = { path = "$V/opentelemetry-0.33.1" }
opentelemetry-appender-tracing = { path = "$V/opentelemetry-appender-tracing-0.33.1" }
opentelemetry-otlp = { path = "$V/opentelemetry-otlp-0.33.1", features = ["reqwest-rustls"] }
opentelemetry_sdk = { path = "$V/opentelemetry_sdk-0.33.1" }
tracing = { path = "$V/tracing-0.1.44" }
tracing-subscriber = { path = "$V/tracing-subscriber-0.3.23", features = ["env-filter"] }
"#;

/// Its source: the parts that rows replace stand between the lines.
pub(crate) const MAIN: &str = r#"
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::LogExporter;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use tracing_subscriber::{EnvFilter, prelude::*};

fn main() {
    let exporter = LogExporter::builder().with_http().build().expect("an exporter");
    let provider = SdkLoggerProvider::builder().with_batch_exporter(exporter).build();
    let layer = OpenTelemetryTracingBridge::new(&provider);
    tracing_subscriber::registry().with(EnvFilter::from_default_env()).with(layer).init();
    tracing::info!("hello");
    provider.shutdown().expect("flushed");
}
"#;

const LEVELS: &str = r#"
kv = []
max_level_debug = []
max_level_error = []
max_level_info = []
max_level_off = []
max_level_warn = []
release_max_level_debug = []
release_max_level_error = []
release_max_level_info = []
release_max_level_off = []
release_max_level_warn = []
std = []
"#;

/// Packages with the names and the features of the real ones.
pub(crate) fn vendored(project: Project) -> Project {
    project
        .vendor("log", "0.4.35", LEVELS, "")
        .vendor("tracing-core", "0.1.36", "", "")
        .vendor(
            "tracing",
            "0.1.44",
            &format!("default = [\"std\"]\nlog = [\"dep:log\"]\nlog-always = [\"log\"]\nvaluable = []\n{LEVELS}"),
            "log = { path = \"$V/log-0.4.35\", optional = true }\ntracing-core = { path = \"$V/tracing-core-0.1.36\" }",
        )
        .vendor("tracing-log", "0.2.0", "", "log = { path = \"$V/log-0.4.35\" }\ntracing-core = { path = \"$V/tracing-core-0.1.36\" }")
        .vendor(
            "tracing-subscriber",
            "0.3.23",
            "default = [\"fmt\", \"tracing-log\"]\nenv-filter = []\nfmt = []\ntracing-log = [\"dep:tracing-log\"]",
            "tracing-core = { path = \"$V/tracing-core-0.1.36\" }\ntracing-log = { path = \"$V/tracing-log-0.2.0\", optional = true }",
        )
        .vendor("opentelemetry", "0.33.1", "default = [\"internal-logs\"]\ninternal-logs = []\nlogs = []", "")
        .vendor(
            "opentelemetry_sdk",
            "0.33.1",
            "default = [\"internal-logs\", \"logs\"]\ninternal-logs = [\"opentelemetry/internal-logs\"]\nlogs = []",
            "opentelemetry = { path = \"$V/opentelemetry-0.33.1\", default-features = false }",
        )
        .vendor("reqwest", "0.13.5", "__tls = []\nblocking = []\nrustls = [\"__tls\"]", "")
        .vendor(
            "opentelemetry-http",
            "0.33.1",
            "reqwest-rustls = [\"reqwest/rustls\"]",
            "reqwest = { path = \"$V/reqwest-0.13.5\", default-features = false }",
        )
        .vendor(
            "opentelemetry-otlp",
            "0.33.1",
            "default = [\"internal-logs\", \"logs\", \"reqwest-blocking-client\"]\ngrpc-tonic = []\ngzip-http = []\nhyper-client = []\n\
             internal-logs = [\"opentelemetry_sdk/internal-logs\"]\nlogs = []\nreqwest-blocking-client = []\nreqwest-client = []\n\
             reqwest-rustls = [\"opentelemetry-http/reqwest-rustls\"]\ntls-ring = []\ntls-roots = []",
            "opentelemetry = { path = \"$V/opentelemetry-0.33.1\", default-features = false }\n\
             opentelemetry-http = { path = \"$V/opentelemetry-http-0.33.1\" }\n\
             opentelemetry_sdk = { path = \"$V/opentelemetry_sdk-0.33.1\", default-features = false }",
        )
        .vendor(
            "opentelemetry-appender-tracing",
            "0.33.1",
            "",
            "opentelemetry = { path = \"$V/opentelemetry-0.33.1\", default-features = false }\ntracing-core = { path = \"$V/tracing-core-0.1.36\" }",
        )
        .vendor(
            "opentelemetry-appender-log",
            "0.33.1",
            "",
            "log = { path = \"$V/log-0.4.35\" }\nopentelemetry = { path = \"$V/opentelemetry-0.33.1\", default-features = false }",
        )
        .vendor(
            "tracing-opentelemetry",
            "0.34.0",
            "",
            "opentelemetry = { path = \"$V/opentelemetry-0.33.1\", default-features = false }\ntracing-core = { path = \"$V/tracing-core-0.1.36\" }",
        )
        .vendor("logbridge", "0.1.0", "default = [\"gzip\", \"tls\"]
grpc = []
gzip = []
tls = []", "log = { path = \"$V/log-0.4.35\" }\ntracing = { path = \"$V/tracing-0.1.44\" }")
}

/// The whole project.
pub(crate) fn project() -> Project {
    vendored(Project::new(DEPENDENCIES)).main(MAIN)
}

/// The same with one piece of its source replaced.
pub(crate) fn with_code(old: &str, new: &str) -> Project {
    assert!(MAIN.contains(old), "{old}");
    project().main(&MAIN.replace(old, new))
}

/// The same with one piece of its dependencies replaced.
pub(crate) fn with_dependency(old: &str, new: &str) -> Project {
    assert!(DEPENDENCIES.contains(old), "{old}");
    vendored(Project::new(&DEPENDENCIES.replace(old, new))).main(MAIN)
}
