//! Healthy set-ups, for which the doctor reports nothing except for notes.

use crate::cargo::{Project, doctor, said};
use crate::stock::{self, MAIN, vendored, with_code, with_dependency};

/// With logbridge, which does by itself what the others have to be told.
fn with_logbridge(main: &str) -> Project {
    vendored(Project::new("log = { path = \"$V/log-0.4.35\" }\nlogbridge = { path = \"$V/logbridge-0.1.0\" }\ntracing = { path = \"$V/tracing-0.1.44\" }")).main(main)
}

fn set_ups() -> Vec<(&'static str, Project)> {
    let log_only = "log = { path = \"$V/log-0.4.35\" }\nopentelemetry-appender-log = { path = \"$V/opentelemetry-appender-log-0.33.1\" }\n\
                    opentelemetry-otlp = { path = \"$V/opentelemetry-otlp-0.33.1\" }\nopentelemetry_sdk = { path = \"$V/opentelemetry_sdk-0.33.1\" }";
    vec![
        ("logbridge in one line", with_logbridge("fn main() { logbridge::init(); log::info!(\"x\"); }")),
        (
            "logbridge, and everything that harms the stock SDK",
            with_logbridge(
                "fn main() { let _ = logbridge::try_init(); if bad() { std::process::exit(1) }\n axum::serve(l, a).await; nix::unistd::fork(); }",
            )
            .and("[profile.release]\npanic = \"abort\""),
        ),
        (
            "logbridge with variables",
            with_logbridge("fn main() { logbridge::init(); }")
                .variable("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
                .variable("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cret")
                .variable("OTEL_SERVICE_NAME", "shop")
                .variable("OTEL_BLRP_SCHEDULE_DELAY", "500")
                .variable("RUST_LOG", "info,shop::db=debug,hyper=warn"),
        ),
        ("the stock SDK", stock::project()),
        (
            "the stock SDK over gRPC",
            with_dependency("[\"reqwest-rustls\"]", "[\"grpc-tonic\"]")
                .main(&MAIN.replace(".with_http()", ".with_tonic()").replace("fn main", "#[tokio::main]\nasync fn main"))
                .variable("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")
                .variable("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ),
        (
            "the stock SDK over gRPC, by code alone",
            with_dependency("[\"reqwest-rustls\"]", "[\"grpc-tonic\"]")
                .main(&MAIN.replace(".with_http()", ".with_tonic()").replace("fn main", "#[tokio::main]\nasync fn main"))
                .variable("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://collector:4317"),
        ),
        (
            "the stock SDK for `log`",
            vendored(Project::new(log_only)).main(
                "use opentelemetry_appender_log::OpenTelemetryLogBridge;\nuse opentelemetry_sdk::logs::SdkLoggerProvider;\nfn main() {\n\
                 let provider = SdkLoggerProvider::builder().with_batch_exporter(exporter()).build();\n\
                 log::set_boxed_logger(Box::new(OpenTelemetryLogBridge::new(&provider))).expect(\"first\");\n\
                 log::set_max_level(log::LevelFilter::Info);\n log::info!(\"x\"); provider.shutdown().expect(\"flushed\"); }",
            ),
        ),
        (
            "a server that ends well",
            with_code("tracing::info!(\"hello\");", "axum::serve(listener, app).with_graceful_shutdown(tokio::signal::ctrl_c()).await.unwrap();"),
        ),
        (
            "what would harm, in tests and comments and texts only",
            stock::project().file("src/more/tests.rs", "fn t() { std::process::exit(1) }").file(
                "src/more.rs",
                "// std::process::exit(1)\npub const HELP: &str = \"nix::unistd::fork() or std::process::exit(1)\";\n\
                 #[cfg(test)]\nmod tests { fn t() { let _ = tracing_subscriber::fmt().try_init(); std::process::exit(1) } }\n",
            ),
        ),
        (
            "an exporter behind a lock, and a result that is looked at",
            stock::project().file(
                "src/wrap.rs",
                "fn send(&self) { if let Ok(exporter) = self.exporter.lock() { go(exporter) }\n\
                 if let Ok(()) = provider.force_flush() { done() } }",
            ),
        ),
        (
            "a workspace with a library and a tool",
            stock::project().and("[workspace]\nmembers = [\"lib\"]").file(
                "lib/Cargo.toml",
                "[package]\nname = \"shop-lib\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\ntracing = { path = \"$V/tracing-0.1.44\" }\n",
            )
            .file("lib/src/lib.rs", "pub fn buy() { tracing::info!(\"bought\"); }")
            .variable("RUST_LOG", "info,shop_lib=debug"),
        ),
        (
            "debug records left out of release builds on purpose",
            with_dependency("\ntracing = { path", "\ntracing = { features = [\"release_max_level_info\"], path"),
        ),
        ("env_logger alone", Project::new("").main("fn main() { env_logger::init(); }").variable("RUST_LOG", "info")),
        (
            "two binaries that both set up logging",
            with_logbridge("fn main() { logbridge::init(); log::info!(\"x\"); }")
                .file("src/bin/worker.rs", "fn main() { logbridge::init(); log::info!(\"y\"); }"),
        ),
    ]
}

/// Nothing is found there.
pub(crate) fn nothing_is_found() {
    for (name, project) in set_ups() {
        let said = project.examined(&["project", "environment"]);
        assert!(said.grave.is_empty() && said.exit == 0, "{name}: {}", said.text);
        assert!(!said.text.contains("s3cret"), "{name}: {}", said.text);
    }
}

/// A lock file that does not fit is read as it is, and stays so.
pub(crate) fn a_lock_file_stays_as_it_is() {
    let lock = "version = 4\n\n[[package]]\nname = \"shop\"\nversion = \"0.0.9\"\n";
    let folder = stock::project().file("Cargo.lock", lock).write();
    let mut command = doctor(&["project"]);
    command.arg("--manifest-path").arg(folder.0.join("Cargo.toml"));
    let said = said(command);
    assert!(said.text.contains("Cargo.lock was read instead"), "{}", said.text);
    assert_eq!(std::fs::read_to_string(folder.0.join("Cargo.lock")).expect("a lock file"), lock);
}

/// Where there is none, there is none afterwards.
pub(crate) fn no_lock_file_is_left() {
    let folder = stock::project().write();
    let mut command = doctor(&["project"]);
    command.arg("--manifest-path").arg(folder.0.join("Cargo.toml"));
    let said = said(command);
    assert!(!said.text.contains("Cargo.lock was read instead"), "{}", said.text);
    assert!(!folder.0.join("Cargo.lock").exists());
}
