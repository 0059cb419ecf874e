//! Causes of stage A, and those of other stages that the doctor finds in a project without running it.

use crate::cargo::Project;
use crate::row::{Case, Codes, Row, named};
use crate::stock::{self, MAIN, vendored, with_code, with_dependency};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = graph();
    rows.extend(wiring());
    rows.extend(server_layers());
    rows.extend(ending());
    rows
}

fn doctor(id: &'static str, cause: &'static str, code: &'static str, play: fn(Case) -> Codes) -> Row {
    named(id, cause, "doctor", code, play)
}

/// A program that uses only `log`, with a dependency that has these features and this dependency on `log`.
fn chatty(features: &str, declared: &str) -> Project {
    let project = Project::new("chatty = { path = \"$V/chatty-0.1.0\" }\nlog = { path = \"$V/log-0.4.35\" }");
    vendored(project.vendor("chatty", "0.1.0", features, declared))
        .main("fn main() { logbridge::init(); log::info!(\"x\"); }")
}

/// A program with logbridge.
fn ours(main: &str) -> Project {
    let dependencies = "log = { path = \"$V/log-0.4.35\" }\nlogbridge = { path = \"$V/logbridge-0.1.0\" }";
    vendored(Project::new(dependencies)).main(main)
}

/// Stage A: the graph of dependencies.
fn graph() -> Vec<Row> {
    vec![
        doctor("A1", "a dependency compiles levels of `log` out", "LB045", |case| {
            let feature = case.pick("[\"max_level_warn\"]", "[\"std\"]");
            chatty("", &format!("log = {{ path = \"$V/log-0.4.35\", features = {feature} }}")).codes()
        }),
        doctor("A1b", "…by a feature of its own that is on by default", "LB045", |case| {
            let features = format!(
                "default = [\"{}\"]\nquiet = [\"log/release_max_level_off\"]\nother = []",
                case.pick("quiet", "other")
            );
            let said = chatty(&features, "log = { path = \"$V/log-0.4.35\" }").examined(&["project"]);
            if case == Case::Faulty {
                assert!(said.text.contains("chatty 0.1.0 (its feature `quiet`)"), "{}", said.text);
                assert!(said.text.contains("shop 0.1.0"), "{}", said.text);
            }
            said.codes
        }),
        doctor("A1c", "…only a test asks for it: no build has it", "LB045", |case| {
            let project = chatty("", "");
            match case {
                Case::Faulty => project.and("[dependencies.quiet]\npath = \"$V/quiet-0.1.0\""),
                Case::Healthy => project.and("[dev-dependencies.quiet]\npath = \"$V/quiet-0.1.0\""),
            }
            .vendor(
                "quiet",
                "0.1.0",
                "",
                "log = { path = \"$V/log-0.4.35\", features = [\"release_max_level_error\"] }",
            )
            .codes()
        }),
        doctor("A2", "a dependency compiles levels of tracing out", "LB045", |case| {
            let feature = case.pick("[\"max_level_off\"]", "[]");
            let features = format!("features = {feature}, path");
            with_dependency("\ntracing = { path", &format!("\ntracing = {{ {features}")).codes()
        }),
        doctor("A3", "…in release builds only", "LB045", |case| {
            let declared = "log = { path = \"$V/log-0.4.35\", features = [\"release_max_level_warn\"] }";
            // With debug assertions, features for release builds do not apply.
            let project = chatty("", declared).argument("--profile").argument("fast");
            let assertions = case.pick("false", "true");
            project.and(&format!("[profile.fast]\ninherits = \"release\"\ndebug-assertions = {assertions}")).codes()
        }),
        doctor("A4", "two versions of opentelemetry", "LB046", |case| {
            let old = case.pick("opentelemetry = { path = \"$V/opentelemetry-0.32.0\" }", "");
            let said = stock::project()
                .and("[dependencies.spans]\npath = \"$V/spans-0.1.0\"")
                .vendor("spans", "0.1.0", "", old)
                .vendor("opentelemetry", "0.32.0", "default = [\"internal-logs\"]\ninternal-logs = []", "")
                .examined(&["project"]);
            assert!(case == Case::Healthy || said.text.contains("0.32.0 by spans 0.1.0"), "{}", said.text);
            assert_eq!(said.text.matches("LB046").count(), case.pick(1, 0), "{}", said.text);
            said.codes
        }),
        doctor("A4b", "tracing-opentelemetry is for another opentelemetry", "LB046", |case| {
            let version = case.pick("0.33.0", "0.34.0");
            stock::project()
                .and(&format!("[dependencies.tracing-opentelemetry]\npath = \"$V/tracing-opentelemetry-{version}\""))
                .vendor("tracing-opentelemetry", "0.33.0", "", "")
                .codes()
        }),
        doctor("A5", "`log` from two sources", "LB046", |case| {
            let path = case.pick("$V/other/log-0.4.30", "$V/log-0.4.35");
            chatty("", &format!("log = {{ path = \"{path}\" }}"))
                .file(
                    "vendor/other/log-0.4.30/Cargo.toml",
                    "[package]\nname = \"log\"\nversion = \"0.4.30\"\nedition = \"2021\"\n",
                )
                .file("vendor/other/log-0.4.30/src/lib.rs", "")
                .codes()
        }),
        doctor("A6", "a shared library logs and sets up nothing", "LB053", |case| {
            let init = case.pick("", "logbridge::init();");
            Project::new("log = { path = \"$V/log-0.4.35\" }\nlogbridge = { path = \"$V/logbridge-0.1.0\" }")
                .and("[lib]\ncrate-type = [\"cdylib\"]")
                .file("src/lib.rs", &format!("pub extern \"C\" fn start() {{ {init} log::info!(\"in the plugin\"); }}"))
                .pipe(vendored)
                .codes()
        }),
        doctor("A7", "an async client on the exporter thread, enabled by another crate", "LB048", |case| {
            let feature = case.pick("reqwest-client", "gzip-http");
            let otlp = format!(
                "opentelemetry-otlp = {{ path = \"$V/opentelemetry-otlp-0.33.1\", features = [\"{feature}\"] }}"
            );
            stock::project()
                .and("[dependencies.metrics]\npath = \"$V/metrics-0.1.0\"")
                .vendor("metrics", "0.1.0", "", &otlp)
                .codes()
        }),
        doctor("A7b", "…a blocking client is passed in code", "LB048", |case| {
            let project = with_dependency("[\"reqwest-rustls\"]", "[\"reqwest-client\"]");
            let client = case.pick(".with_http()", ".with_http().with_http_client(reqwest::blocking::Client::new())");
            project.main(&MAIN.replace(".with_http()", client)).codes()
        }),
        doctor("A8", "a version of opentelemetry-otlp without any HTTP client", "LB047", |case| {
            let version = case.pick("0.31.0", "0.33.1");
            let otlp = format!("opentelemetry-otlp-{version}");
            with_dependency("opentelemetry-otlp-0.33.1", &otlp)
                .vendor("opentelemetry-otlp", "0.31.0", "reqwest-rustls = []", "")
                .codes()
        }),
        doctor("A9", "https over HTTP without TLS", "LB049", |case| {
            let features = case.pick("[\"gzip-http\"]", "[\"reqwest-rustls\"]");
            with_dependency("[\"reqwest-rustls\"]", features)
                .variable("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example:4318")
                .codes()
        }),
        doctor("A10", "https over gRPC without TLS", "LB049", |case| {
            tonic(case.pick("\"grpc-tonic\"", "\"grpc-tonic\", \"tls-ring\""), true).codes()
        }),
        doctor("A11", "https over gRPC with TLS that trusts no root", "LB049", |case| {
            tonic("\"grpc-tonic\", \"tls-ring\", \"tls-roots\"", case == Case::Healthy).codes()
        }),
        doctor("A12", "compression is set but not compiled in", "LB049", |case| {
            let features = case.pick("[\"reqwest-rustls\"]", "[\"reqwest-rustls\", \"gzip-http\"]");
            with_dependency("[\"reqwest-rustls\"]", features).variable("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip").codes()
        }),
        doctor("A12b", "logbridge is built without a feature that the environment requires", "LB049", |case| {
            let features = case.pick("", "features = [\"grpc\"], ");
            let logbridge = format!("logbridge = {{ {features}path = \"$V/logbridge-0.1.0\" }}");
            vendored(Project::new(&logbridge))
                .main("fn main() { logbridge::init(); }")
                .variable("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
                .codes()
        }),
        doctor("A12c", "a text filter, and logbridge without regular expressions", "LB049", |case| {
            let spec = case.pick("info/paid", "info");
            ours("fn main() { logbridge::init(); log::info!(\"x\"); }").variable("RUST_LOG", spec).codes()
        }),
        doctor("A13", "the internal logs of the SDK are compiled out", "LB049", |case| {
            let features = case.pick("default-features = false, features = [\"logs\"]", "features = [\"logs\"]");
            let sdk = format!("opentelemetry_sdk-0.33.1\", {features} }}");
            let otlp = "opentelemetry-otlp-0.33.1\", default-features = false, features = [\"logs\"";
            let project = with_dependency("opentelemetry_sdk-0.33.1\" }", &sdk);
            let manifest = stock::DEPENDENCIES
                .replace("opentelemetry_sdk-0.33.1\" }", &sdk)
                .replace("opentelemetry-otlp-0.33.1\", features = [\"reqwest-rustls\"", otlp);
            vendored(Project::new(&manifest))
                .main(MAIN)
                .pipe(|healed| if case == Case::Faulty { healed } else { project })
                .codes()
        }),
        doctor("A14", "telemetry behind a disabled feature", "LB054", |case| {
            let default = case.pick("[]", "[\"otel\"]");
            with_dependency("opentelemetry_sdk = { path", "opentelemetry_sdk = { optional = true, path")
                .and(&format!("[features]\ndefault = {default}\notel = [\"dep:opentelemetry_sdk\"]"))
                .codes()
        }),
        doctor("A14b", "…unless the selected build enables it", "LB054", |case| {
            let project = with_dependency("opentelemetry_sdk = { path", "opentelemetry_sdk = { optional = true, path")
                .and("[features]\notel = [\"dep:opentelemetry_sdk\"]");
            match case {
                Case::Faulty => project,
                Case::Healthy => project.argument("--features").argument("otel"),
            }
            .codes()
        }),
        doctor("A15", "`tracing/log` behind a subscriber", "LB051", |case| {
            let bridge = "OpenTelemetryLogBridge";
            let main = MAIN.replace("OpenTelemetryTracingBridge", bridge).replace(".with(layer)", "");
            let features = case.pick("features = [\"log\"], path", "path");
            with_dependency("\ntracing = { path", &format!("\ntracing = {{ {features}")).main(&main).codes()
        }),
        doctor("A16", "`tracing/log-always`: each event twice", "LB051", |case| {
            let feature = case.pick("log-always", "std");
            with_dependency("\ntracing = { path", &format!("\ntracing = {{ features = [\"{feature}\"], path")).codes()
        }),
        doctor("A17", "`valuable` values that no appender reads", "LB050", |case| {
            let line =
                case.pick("tracing::info!(user = user.as_value(), \"hello\");", "tracing::info!(?user, \"hello\");");
            let project = with_dependency("\ntracing = { path", "\ntracing = { features = [\"valuable\"], path");
            project.main(&MAIN.replace("tracing::info!(\"hello\");", line)).codes()
        }),
        doctor("A18", "a version that is known to lose records", "LB047", |case| {
            let version = case.pick("0.31.0", "0.33.1");
            with_dependency("opentelemetry_sdk-0.33.1", &format!("opentelemetry_sdk-{version}"))
                .vendor("opentelemetry_sdk", "0.31.0", "internal-logs = []\ndefault = [\"internal-logs\"]", "")
                .codes()
        }),
        doctor("D18", "a version whose flush loses what was just queued", "LB047", |case| {
            sdk(case.pick("0.32.1", "0.33.1")).codes()
        }),
        doctor("D19", "a version whose stack overflows when the queue is full", "LB047", |case| {
            let said = sdk(case.pick("0.28.0", "0.33.1")).examined(&["project"]);
            assert_eq!(said.text.contains("the stack may overflow"), case == Case::Faulty, "{}", said.text);
            said.codes
        }),
        doctor("C22", "a version of tracing-core that loses events", "LB047", |case| {
            let version = case.pick("0.1.24", "0.1.36");
            stock::project()
                .and(&format!("[dependencies.tracing-core]\npath = \"$V/tracing-core-{version}\""))
                .vendor("tracing-core", "0.1.24", "", "")
                .codes()
        }),
        doctor("H4", "spans by another opentelemetry: logs without a trace id", "LB046", |case| {
            let api = case.pick("opentelemetry-0.31.0", "opentelemetry-0.33.1");
            stock::project()
                .and("[dependencies.tracing-opentelemetry]\npath = \"$V/tracing-opentelemetry-0.34.1\"")
                .vendor(
                    "tracing-opentelemetry",
                    "0.34.1",
                    "",
                    &format!("opentelemetry = {{ path = \"$V/{api}\", default-features = false }}"),
                )
                .vendor("opentelemetry", "0.31.0", "", "")
                .codes()
        }),
        doctor("A19", "Cargo fails, and the lock file is read", "LB046", |case| {
            let old =
                case.pick("[[package]]\nname = \"opentelemetry\"\nversion = \"0.30.0\"\nsource = \"registry+x\"\n", "");
            let edge = case.pick("\"opentelemetry 0.30.0\", \"opentelemetry 0.33.1\"", "\"opentelemetry\"");
            let lock = format!(
                "version = 4\n[[package]]\nname = \"shop\"\nversion = \"0.1.0\"\ndependencies = [{edge}]\n{old}\
                 [[package]]\nname = \"opentelemetry\"\nversion = \"0.33.1\"\nsource = \"registry+x\"\n"
            );
            let project = Project::new("opentelemetry = \"0.33\"").file("Cargo.lock", &lock).main("fn main() {}");
            // Without a registry, the versions cannot be resolved offline.
            let said = project.variable("CARGO", "/no/cargo").examined(&["project"]);
            assert!(said.text.contains("Cargo.lock was read instead"), "{}", said.text);
            said.codes
        }),
    ]
}

/// The stock SDK in this version.
fn sdk(version: &str) -> Project {
    let features = "internal-logs = []\ndefault = [\"internal-logs\", \"logs\"]\nlogs = []";
    let project = with_dependency("opentelemetry_sdk-0.33.1", &format!("opentelemetry_sdk-{version}"));
    if version == "0.33.1" { project } else { project.vendor("opentelemetry_sdk", version, features, "") }
}

/// gRPC to an https endpoint, with or without roots set in code.
fn tonic(features: &str, names_roots: bool) -> Project {
    let roots = if names_roots { ".with_tls_config(ClientTlsConfig::new().with_enabled_roots())" } else { "" };
    let main = MAIN
        .replace(".with_http()", &format!(".with_tonic(){roots}"))
        .replace("fn main", "#[tokio::main]\nasync fn main");
    with_dependency("[\"reqwest-rustls\"]", &format!("[{features}]"))
        .main(&main)
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example:4317")
        .variable("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
}

/// Stages B, C and H: the setup of logging.
fn wiring() -> Vec<Row> {
    vec![
        doctor("B1", "`log::set_max_level` is never called", "LB057", |case| {
            let level = case.pick("", "log::set_max_level(log::LevelFilter::Info);");
            with_code(
                "tracing::info!(\"hello\");",
                &format!("log::set_boxed_logger(Box::new(bridge)).expect(\"first\"); {level}"),
            )
            .codes()
        }),
        doctor("B2", "the error of `set_boxed_logger` is discarded", "LB058", |case| {
            let end = case.pick(".ok()", ".expect(\"the first logger\")");
            let code = format!(
                "log::set_boxed_logger(Box::new(bridge)){end};\n    log::set_max_level(log::LevelFilter::Info);"
            );
            with_code("tracing::info!(\"hello\");", &code).codes()
        }),
        doctor("B3", "the error of `try_init` is discarded", "LB058", |case| {
            let (old, new) = (
                ".init();\n    tracing",
                case.pick(".try_init().ok();\n    tracing", ".try_init().expect(\"first\");\n    tracing"),
            );
            with_code(old, new).codes()
        }),
        doctor("B4", "`let _ =` on `set_global_default`", "LB058", |case| {
            let start = case.pick("let _ = ", "");
            let end = case.pick(";", ".expect(\"first\");");
            let code =
                format!("LogTracer::init().unwrap(); {start}tracing::subscriber::set_global_default(registry){end}");
            with_code("tracing::info!(\"hello\");", &code).codes()
        }),
        doctor("B5", "the subscriber is set for one thread only", "LB056", |case| {
            let init =
                case.pick(".set_default();\n    spawn(work);\n    tracing", ".init();\n    spawn(work);\n    tracing");
            with_code(".init();\n    tracing", init).codes()
        }),
        doctor("B7", "a provider that receives no records", "LB055", |case| {
            let dependency =
                "opentelemetry-appender-tracing = { path = \"$V/opentelemetry-appender-tracing-0.33.1\" }\n";
            let main = MAIN
                .replace("use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;\n", "")
                .replace("    let layer = OpenTelemetryTracingBridge::new(&provider);\n", "")
                .replace(".with(layer)", "");
            match case {
                Case::Faulty => with_dependency(dependency, "").main(&main).codes(),
                Case::Healthy => stock::project().codes(),
            }
        }),
        doctor("B8", "a provider without a processor", "LB055", |case| {
            let exporter = case.pick("", ".with_batch_exporter(exporter)");
            with_code(
                "SdkLoggerProvider::builder().with_batch_exporter(exporter)",
                &format!("SdkLoggerProvider::builder(){exporter}"),
            )
            .codes()
        }),
        doctor("B9", "no LogTracer: records of `log` reach no subscriber", "LB050", |case| {
            let features = case
                .pick("default-features = false, features = [\"fmt\", \"env-filter\"]", "features = [\"env-filter\"]");
            with_dependency(
                "tracing-subscriber-0.3.23\", features = [\"env-filter\"]",
                &format!("tracing-subscriber-0.3.23\", {features}"),
            )
            .codes()
        }),
        doctor("B9b", "…`set_global_default` installs none", "LB050", |case| {
            let tracer = case.pick("", "tracing_log::LogTracer::init().expect(\"first\"); ");
            let code = format!(
                "let registry = tracing_subscriber::registry().with(layer);\n    {tracer}tracing::subscriber::set_global_default(registry).expect(\"first\");\n    tracing"
            );
            let old =
                "tracing_subscriber::registry().with(EnvFilter::from_default_env()).with(layer).init();\n    tracing";
            with_code(old, &code).codes()
        }),
        doctor("B12", "`let _ = init()` drops a guard that stops telemetry", "LB059", |case| {
            let name = case.pick("_", "_guard");
            guarded(&format!("let {name} = init_telemetry();")).codes()
        }),
        doctor("B14", "the error of building an exporter is discarded", "LB058", |case| {
            let end = case.pick("}", "} else { panic!(\"no exporter\") }");
            with_code(
                "tracing::info!(\"hello\");",
                &format!("if let Ok(exporter) = build_exporter() {{ add(exporter); {end}"),
            )
            .codes()
        }),
        doctor("B15", "a gRPC exporter is built outside any runtime", "LB061", |case| {
            let head = case.pick("fn main", "#[tokio::main]\nasync fn main");
            with_dependency("[\"reqwest-rustls\"]", "[\"grpc-tonic\"]")
                .main(&MAIN.replace(".with_http()", ".with_tonic()").replace("fn main", head))
                .codes()
        }),
        doctor("B17", "the simple processor with a blocking client in async code", "LB061", |case| {
            let call = case.pick("with_simple_exporter", "with_batch_exporter");
            stock::project()
                .main(&MAIN.replace("with_batch_exporter", call).replace("fn main", "#[tokio::main]\nasync fn main"))
                .codes()
        }),
        doctor("B18s", "a processor that wraps another one forwards half", "LB076", |case| {
            let rest = case
                .pick("", "fn force_flush(&self) { self.0.force_flush() } fn shutdown(&self) { self.0.shutdown() }");
            let code = format!(
                "impl LogProcessor for Mine {{ fn emit(&self) {{ self.0.emit() }} fn set_resource(&mut self) {{}} {rest} }}"
            );
            stock::project().file("src/processor.rs", &code).codes()
        }),
        doctor("B19b", "…unless a function that it calls does", "LB056", |case| {
            let called = case.pick("fn prepare() {}", "fn prepare() { shop::init_logging(); }");
            chatty("", "")
                .file("src/bin/worker.rs", "fn main() { prepare(); log::info!(\"at work\"); }")
                .file("src/worker.rs", called)
                .codes()
        }),
        doctor("B20", "logbridge is a dependency, but is not called", "LB056", |case| {
            let main = case.pick(
                "// logbridge::init();\nfn main() { let hint = \"logbridge::init()\"; open(init_db()); log::info!(\"x\"); }\nfn init_db() {}",
                "use logbridge::init;\nfn main() { init(); log::info!(\"x\"); }",
            );
            let said = ours(main).examined(&["project"]);
            assert_eq!(said.text.contains("logs are exported by logbridge"), case == Case::Healthy, "{}", said.text);
            said.codes
        }),
        doctor("B20b", "…one member of a workspace does not", "LB056", |case| {
            let init = case.pick("", "logbridge::init();");
            ours("fn main() { logbridge::init(); log::info!(\"x\"); }")
                .and("[workspace]\nmembers = [\"b\"]")
                .file(
                    "b/Cargo.toml",
                    "[package]\nname = \"b\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\nlog = { path = \"$V/log-0.4.35\" }\n\
                     logbridge = { path = \"$V/logbridge-0.1.0\" }\n",
                )
                .file("b/src/main.rs", &format!("mod work;\nfn main() {{ {init} work::go(); }}"))
                .file("b/src/work.rs", "pub fn go() { log::info!(\"x\"); }")
                .argument("-p")
                .argument("b")
                .codes()
        }),
        doctor("B20c", "…the call is behind a disabled feature", "LB054", |case| {
            let default = case.pick("[]", "[\"otel\"]");
            ours("fn main() {\n    #[cfg(feature = \"otel\")]\n    logbridge::init();\n    log::info!(\"x\");\n}")
                .and(&format!("[features]\ndefault = {default}\notel = []"))
                .examined(&["project"])
                .codes
        }),
        doctor("B2d", "env_logger::init() before logbridge::init()", "LB075", |case| {
            let old = case.pick("env_logger::init();", "");
            ours(&format!("fn main() {{ {old} logbridge::init(); log::info!(\"x\"); }}")).codes()
        }),
        doctor("B2g", "…in a function that is called first", "LB075", |case| {
            let old = case.pick("set_up();", "");
            ours(&format!(
                "fn set_up() {{ env_logger::init(); }}\nfn main() {{ {old} logbridge::init(); log::info!(\"x\"); }}"
            ))
            .file(
                "src/bin/other.rs",
                "fn choose() { if a() { env_logger::init() } else { logbridge::init() } }\nfn main() { choose() }",
            )
            .codes()
        }),
        doctor("B2e", "…and the error of logbridge is discarded", "LB075", |case| {
            let first = case.pick("env_logger::init(); {", "if old { env_logger::init(); } else {");
            ours(&format!("fn main() {{ {first} let _ = logbridge::try_init(); }} log::info!(\"x\"); }}")).codes()
        }),
        doctor("B2f", "LogTracer and env_logger are both installed", "LB075", |case| {
            let second = case.pick("env_logger::init();", "");
            Project::new("log = { path = \"$V/log-0.4.35\" }\ntracing-log = { path = \"$V/tracing-log-0.2.0\" }")
                .pipe(vendored)
                .main(&format!("fn main() {{ LogTracer::init().unwrap(); {second} }}"))
                .codes()
        }),
        doctor("B11s", "the level of `log` is set again after the start", "LB077", |case| {
            let level = case.pick("log::LevelFilter::Warn", "bridge.logger().filter()");
            ours(&format!("fn main() {{ logbridge::init(); log::set_max_level({level}); log::info!(\"x\"); }}")).codes()
        }),
        doctor("D14s", "a record after the shutdown", "LB087", |case| {
            let record = case.pick("log::info!(\"bye\");", "");
            ours(&format!(
                    "fn main() {{ let bridge = logbridge::try_init().unwrap(); log::info!(\"x\"); bridge.shutdown(FIVE).ok(); {record} }}"
                ))
                .codes()
        }),
        doctor("D14t", "…with the stock SDK", "LB087", |case| {
            let end = case.pick(
                "provider.shutdown().expect(\"flushed\");\n    tracing::info!(\"bye\");",
                "if let Err(error) = provider.shutdown() { tracing::error!(\"{error}\"); }",
            );
            with_code("provider.shutdown().expect(\"flushed\");", end).codes()
        }),
        doctor("B7b", "an appender is a dependency, but no code uses it", "LB055", |case| {
            let main = MAIN
                .replace("use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;\n", "")
                .replace("    let layer = OpenTelemetryTracingBridge::new(&provider);\n", "")
                .replace(".with(layer)", "");
            stock::project().main(case.pick(&main, MAIN)).codes()
        }),
        doctor("A16b", "`tracing/log-always` beside logbridge, which captures both", "LB051", |case| {
            let feature = case.pick("log-always", "std");
            vendored(Project::new(&format!(
                "logbridge = {{ path = \"$V/logbridge-0.1.0\" }}\ntracing = {{ path = \"$V/tracing-0.1.44\", features = [\"{feature}\"] }}"
            )))
            .main("fn main() { logbridge::init(); tracing::info!(\"x\"); }")
            .codes()
        }),
        doctor("D22s", "the simple processor makes each record wait for its answer", "LB061", |case| {
            let call = case.pick("with_simple_exporter", "with_batch_exporter");
            stock::project().main(&MAIN.replace("with_batch_exporter", call)).codes()
        }),
        doctor("B19", "one of several binaries sets up nothing", "LB056", |case| {
            let init = case.pick("", "logbridge::init();");
            chatty("", "")
                .file("src/bin/worker.rs", &format!("fn main() {{ {init} log::info!(\"at work\"); }}"))
                .codes()
        }),
        doctor("C1s", "RUST_LOG is unset, which means ERROR", "LB078", |case| match case {
            Case::Faulty => stock::project().codes(),
            Case::Healthy => stock::project().variable("RUST_LOG", "info").codes(),
        }),
        doctor("C19b", "a filter on the layer of logbridge beside a crate that probes", "LB052", |case| {
            let filter = case.pick(".with_filter(LevelFilter::INFO)", "");
            let main = format!("fn main() {{ registry().with(bridge.layer(){filter}).init(); }}");
            vendored(Project::new(
                "logbridge = { path = \"$V/logbridge-0.1.0\" }\nsqlx-core = { path = \"$V/sqlx-core-0.8.0\" }",
            ))
            .vendor("sqlx-core", "0.8.0", "", "")
            .main(&main)
            .codes()
        }),
        doctor("C6", "a hyphen in a target", "LB011", |case| {
            let spec = case.pick("warn,shop-api=debug", "warn,shop_api=debug");
            stock::project()
                .main(MAIN)
                .and("[[bin]]\nname = \"shop-api\"\npath = \"src/main.rs\"")
                .variable("RUST_LOG", spec)
                .codes()
        }),
        doctor("C6b", "a target that no crate has", "LB016", |case| {
            stock::project().variable("RUST_LOG", case.pick("warn,shob=debug", "warn,shop=debug")).codes()
        }),
        doctor("C7", "a prefix hides a crate of the project", "LB015", |case| {
            stock::project().variable("RUST_LOG", case.pick("info,sho=off", "info,hyper=off")).codes()
        }),
        doctor("C14", "a filter as a layer applies to all layers", "LB062", |case| {
            let filter = case.pick(".with(EnvFilter::from_default_env())", "");
            with_code(
                ".with(EnvFilter::from_default_env()).with(layer)",
                &format!("{filter}.with(layer).with(fmt_layer.with_filter(EnvFilter::from_default_env()))"),
            )
            .codes()
        }),
        doctor("C19", "a per-layer filter beside a crate that probes", "LB052", |case| {
            let probing = case.pick("sqlx-core", "harmless");
            with_code(
                "let layer = OpenTelemetryTracingBridge::new(&provider);",
                "let layer = OpenTelemetryTracingBridge::new(&provider).with_filter(LevelFilter::INFO);",
            )
            .and(&format!("[dependencies.{probing}]\npath = \"$V/{probing}-0.8.0\""))
            .vendor(probing, "0.8.0", "", "")
            .codes()
        }),
        doctor("C20", "…or beside code of the project that probes", "LB052", |case| {
            let probe = case.pick("if tracing::enabled!(tracing::Level::DEBUG) { dump(); }", "dump();");
            with_code("let layer = OpenTelemetryTracingBridge::new(&provider);\n", "let layer = OpenTelemetryTracingBridge::new(&provider);\n    let layer = layer.with_filter(LevelFilter::INFO);\n")
                .file("src/dump.rs", &format!("pub fn look() {{ {probe} }}"))
                .codes()
        }),
        doctor("C23", "a filter against loops hides a crate of the project too", "LB015", |case| {
            let name = case.pick("hyper-shop", "other-shop");
            stock::project()
                .and(&format!("[[bin]]\nname = \"{name}\"\npath = \"src/main.rs\""))
                .variable("RUST_LOG", "info,hyper=off")
                .codes()
        }),
        doctor("C25", "RUST_LOG is set, but the filter is in code", "LB062", |case| {
            let filter = case.pick("EnvFilter::new(\"info\")", "EnvFilter::from_default_env()");
            with_code("EnvFilter::from_default_env()", filter).variable("RUST_LOG", "debug").codes()
        }),
        doctor("E1", "an endpoint in code without its path", "LB025", |case| {
            let url = case.pick("http://collector:4318", "http://collector:4318/v1/logs");
            with_code(".with_http()", &format!(".with_http()\n        .with_endpoint(\"{url}\")")).codes()
        }),
        doctor("G4s", "no event time, which becomes 1970", "LB095", |case| {
            let line = case.pick("", "record.set_timestamp(now);");
            with_code("tracing::info!(\"hello\");", &format!("tracing::info!(\"hello\"); {line}")).codes()
        }),
        doctor("G8s", "the service name is unset", "LB096", |case| match case {
            Case::Faulty => stock::project().codes(),
            Case::Healthy => stock::project().variable("OTEL_SERVICE_NAME", "shop").codes(),
        }),
        doctor("H7", "key-values of `log` through LogTracer", "LB050", |case| {
            let features = case.pick("features = [\"kv\"], path", "path");
            with_dependency("log = { path", &format!("log = {{ {features}")).codes()
        }),
        doctor("I2", "the guard of a background writer is dropped", "LB059", |case| {
            let name = case.pick("_", "_guard");
            with_code(
                "tracing::info!(\"hello\");",
                &format!("let (writer, {name}) = tracing_appender::non_blocking(std::io::stdout());"),
            )
            .codes()
        }),
    ]
}

/// A program with logbridge and layers for HTTP services, which has these layers on one router, or on two.
fn served(case: Case, layers: [&str; 2]) -> Project {
    let [first, second] = layers;
    let router = "axum::Router::new()";
    let routers = case.pick(
        format!("{router}.layer({first}).layer({second})"),
        format!("(serve({router}.layer({first})), serve({router}.layer({second})))"),
    );
    ours(&format!("fn main() {{ logbridge::init(); {routers}; }}"))
        .vendor("logbridge-http", "0.1.0", "", "")
        .vendor("opentelemetry-instrumentation-tower", "0.19.0", "", "")
        .and("[dependencies.logbridge-http]\npath = \"$V/logbridge-http-0.1.0\"")
        .and("[dependencies.opentelemetry-instrumentation-tower]\npath = \"$V/opentelemetry-instrumentation-tower-0.19.0\"")
}

/// Two layers that make a span for each request.
fn server_layers() -> Vec<Row> {
    vec![
        doctor("H14", "TraceLayer outside of ServerLayer", "LB145", |case| {
            // Inside of it, its span is left out.
            let layers = ["ServerLayer::new()", "tower_http::trace::TraceLayer::new_for_http()"];
            let [first, second] = case.pick(layers, [layers[1], layers[0]]);
            served(Case::Faulty, [first, second]).codes()
        }),
        doctor("H14b", "…or another layer that makes spans", "LB145", |case| {
            served(case, ["OtelAxumLayer::default()", "ServerLayer::new()"]).codes()
        }),
        doctor("H14c", "…or two of others", "LB145", |case| {
            let said =
                served(case, ["LayerBuilder::builder().build()?", "TraceLayer::new_for_http()"]).examined(&["project"]);
            if case == Case::Faulty {
                assert!(said.text.contains("a request has two spans: `TraceLayer` makes one"), "{}", said.text);
                assert!(said.text.contains("drop `TraceLayer`: the Layer of"), "{}", said.text);
            }
            said.codes
        }),
        doctor("H14d", "…in two statements", "LB145", |case| {
            let main = format!(
                "fn main() {{ logbridge::init();\n let app = Router::new().layer(OtelAxumLayer::default());\n \
                 let {} = app.layer(TraceLayer::new_for_http()); }}",
                case.pick("app", "app = Router::new(); let app")
            );
            ours(&main).codes()
        }),
    ]
}

/// A project whose telemetry stops when a guard is dropped.
fn guarded(line: &str) -> Project {
    let code = format!("{line}\n    tracing::info!(\"hello\");");
    with_code("tracing::info!(\"hello\");", &code).file(
        "src/telemetry.rs",
        "pub struct Telemetry(SdkLoggerProvider);\nimpl Drop for Telemetry {\n    fn drop(&mut self) { self.0.shutdown().ok(); }\n}\n\
         pub fn init_telemetry() -> Telemetry { build() }\n",
    )
}

/// Stage D: the end of the program.
fn ending() -> Vec<Row> {
    vec![
        doctor("D1", "`main` returns without a shutdown", "LB060", |case| {
            with_code(
                "provider.shutdown().expect(\"flushed\");",
                case.pick("", "provider.shutdown().expect(\"flushed\");"),
            )
            .codes()
        }),
        doctor("D2", "`process::exit`", "LB060", |case| {
            let before = case.pick("", "stop(provider.shutdown());");
            stock::project()
                .file("src/run.rs", &format!("pub fn fail(provider: &P) -> ! {{ {before} std::process::exit(1) }}"))
                .codes()
        }),
        doctor("D2c", "…unless a function shuts down that is called before it", "LB060", |case| {
            let called = case.pick("tidy()", "stop()");
            stock::project()
                .file("src/run.rs", &format!("pub fn fail() -> ! {{ {called}; std::process::exit(1) }}"))
                .file("src/stop.rs", "pub fn stop() { PROVIDER.shutdown().ok(); }\npub fn tidy() {}")
                .codes()
        }),
        doctor("D4", "a panic aborts", "LB060", |case| {
            stock::project().and(&format!("[profile.release]\npanic = \"{}\"", case.pick("abort", "unwind"))).codes()
        }),
        doctor("D5", "SIGTERM is not handled", "LB060", |case| {
            let end = case.pick("", ".with_graceful_shutdown(stop())");
            with_code("tracing::info!(\"hello\");", &format!("axum::serve(listener, app){end}.await.unwrap();")).codes()
        }),
        doctor("D2b", "…in `main` itself, while telemetry is on", "LB060", |case| {
            let line = case.pick("if bad { std::process::exit(1) }", "if bad { return ExitCode::FAILURE }");
            with_code("tracing::info!(\"hello\");", line).codes()
        }),
        doctor("D6s", "a shutdown on the only thread that could send", "LB061", |case| {
            let flavor = case.pick("(flavor = \"current_thread\")", "");
            one_thread(&format!("#[tokio::main{flavor}]")).codes()
        }),
        doctor("D7", "…or with one worker", "LB061", |case| {
            let workers = case.pick("1", "2");
            one_thread(&format!("#[tokio::main(flavor = \"multi_thread\", worker_threads = {workers})]")).codes()
        }),
        doctor("D12", "OTEL_BLRP_MAX_QUEUE_SIZE=0", "LB039", |case| {
            stock::project().variable("OTEL_BLRP_MAX_QUEUE_SIZE", case.pick("0", "4096")).codes()
        }),
        doctor("D16", "a fork after the provider was built", "LB060", |case| {
            let fork = case.pick("nix::unistd::fork()", "spawn_child()");
            stock::project().file("src/prefork.rs", &format!("pub fn split() {{ {fork}; }}")).codes()
        }),
        doctor("D17", "telemetry is suppressed across an await", "LB079", |case| {
            let end = case.pick("", "drop(guard);");
            let code = format!(
                "async fn quiet() {{ let guard = Context::enter_telemetry_suppressed_scope(); work(); {end} fetch().await; }}"
            );
            stock::project().file("src/quiet.rs", &code).codes()
        }),
        doctor("D20", "records wait for a minute", "LB060", |case| {
            stock::project().variable("OTEL_BLRP_SCHEDULE_DELAY", case.pick("60000", "1000")).codes()
        }),
        doctor("D23", "OTEL_BLRP_EXPORT_TIMEOUT, which the stock SDK does not read", "LB035", |case| {
            stock::project()
                .variable(case.pick("OTEL_BLRP_EXPORT_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"), "5000")
                .codes()
        }),
    ]
}

/// gRPC on the runtime of this attribute.
fn one_thread(head: &str) -> Project {
    let main = MAIN.replace(".with_http()", ".with_tonic()").replace("fn main", &format!("{head}\nasync fn main"));
    with_dependency("[\"reqwest-rustls\"]", "[\"grpc-tonic\"]").main(&main)
}

/// A step in a chain of calls.
trait Pipe: Sized {
    fn pipe<T>(self, then: impl FnOnce(Self) -> T) -> T {
        then(self)
    }
}

impl Pipe for Project {}
