//! What the stock exporter of logs is built with: client, TLS, compression, voice; and where code puts it.

use super::Facts;
use super::source::File;
use logbridge::internals::finding::{Finding, Severity, kind};

const OTLP: &str = "opentelemetry-otlp";

/// Findings about opentelemetry-otlp, where it is what exports the logs.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !facts.uses.stock_logs || !facts.graph.has(&facts.build, OTLP) {
        return findings;
    }
    if facts.uses.http {
        findings.extend(async_client(facts));
        findings.extend(http_tls(facts));
        findings.extend(simple_processor(facts));
        findings.extend(missing_paths(facts));
    }
    if facts.uses.grpc {
        findings.extend(grpc_tls(facts));
        findings.extend(no_runtime(facts));
        findings.extend(single_thread_runtime(facts));
    }
    findings.extend(compression(facts));
    findings.extend(internal_logs_off(facts));
    findings
}

fn activation(facts: &Facts<'_>, package: &str, feature: &str) -> String {
    let at = facts.graph.named(&facts.build, package).find(|(at, _)| facts.build.has(*at, feature));
    at.map_or_else(String::new, |(at, _)| {
        let who = facts.graph.activation_chain(&facts.build, at, feature);
        format!("{package}/{feature} <- {}", who.join(" <- "))
    })
}

/// The thread that exports has no runtime, and an async client panics there.
fn async_client(facts: &Facts<'_>) -> Option<Finding> {
    let has = |feature: &str| facts.graph.has_feature(&facts.build, OTLP, feature);
    let feature = ["reqwest-client", "hyper-client"].into_iter().find(|feature| has(feature))?;
    let is_settled =
        facts.sources.has_any(&[".with_http_client(", "log_processor_with_async_runtime", "runtime::Tokio"]);
    if is_settled
        || facts.graph.has_feature(
            &facts.build,
            "opentelemetry_sdk",
            "experimental_logs_batch_log_processor_with_async_runtime",
        )
    {
        return None;
    }
    let text = format!(
        "its feature `{feature}` is on, and the async client it brings is taken: in the export thread, which has no runtime, it \
         panics with the first batch (\"there is no reactor running\"), and nothing is sent after that"
    );
    let help = "pass `.with_http_client(reqwest::blocking::Client::new())`, made outside async code, or switch that feature off";
    Some(
        Finding::new(&kind::ASYNC_CLIENT, Severity::Error, "crate opentelemetry-otlp", text)
            .at(activation(facts, OTLP, feature), 0..0)
            .help(help),
    )
}

/// The place where code names an https endpoint, or the variable that does.
fn https(facts: &Facts<'_>) -> Option<String> {
    let variables = ["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    let in_code = facts.sources.files.iter().find_map(|file| {
        let at = file.text.find("with_endpoint(\"https://")?;
        Some(file.place(at))
    });
    in_code.or_else(|| {
        let (variable, value) = facts.environment.first(&variables)?;
        value.starts_with("https://").then(|| variable.to_owned())
    })
}

fn http_tls(facts: &Facts<'_>) -> Option<Finding> {
    let by = https(facts)?;
    let has = |feature: &str| facts.graph.has_feature(&facts.build, OTLP, feature);
    // Of hyper's client, all that is to be said is said.
    let is_hyper = has("hyper-client") && !has("reqwest-client");
    if is_hyper || facts.sources.has(".with_http_client(") || !facts.graph.is_complete {
        return None;
    }
    let (http, _) = facts.graph.named(&facts.build, "opentelemetry-http").next()?;
    let reqwest = facts.build.dependencies(http).find(|at| facts.is_named(*at, "reqwest"))?;
    let has_tls =
        facts.build.features(reqwest).any(|feature| feature.contains("tls") && feature != "rustls-tls-manual-roots");
    if has_tls {
        return None;
    }
    let text = format!(
        "the endpoint is https ({by}), and the {} that opentelemetry-http uses is built without TLS: each request fails with \
         \"network error\"",
        facts.graph.name_and_version(reqwest)
    );
    let help = "add the feature `reqwest-rustls` to opentelemetry-otlp in Cargo.toml";
    Some(
        Finding::new(&kind::MISSING_FEATURE, Severity::Error, "crate opentelemetry-otlp", text)
            .at(facts.graph.dependency_path(&facts.build, reqwest), 0..0)
            .help(help),
    )
}

fn grpc_tls(facts: &Facts<'_>) -> Option<Finding> {
    let by = https(facts)?;
    let has = |feature: &str| facts.graph.has_feature(&facts.build, OTLP, feature);
    let (_, package) = facts.graph.named(&facts.build, OTLP).next()?;
    let has_tls = ["tls", "tls-aws-lc", "tls-provider-agnostic", "tls-ring", "tls-roots", "tls-webpki-roots"];
    if !has_tls.into_iter().any(has) {
        let text = match package.version.minor < 32 {
            true => format!(
                "the endpoint is https ({by}), and gRPC is built without TLS: it speaks plain text to that port"
            ),
            false => {
                format!("the endpoint is https ({by}), and gRPC is built without TLS: the exporter cannot be built")
            }
        };
        let help = "add the features `tls-ring` and `tls-roots` to opentelemetry-otlp in Cargo.toml";
        return Some(
            Finding::new(&kind::MISSING_FEATURE, Severity::Error, "crate opentelemetry-otlp", text).help(help),
        );
    }
    if package.version.minor < 33 || facts.sources.has_any(&[".with_tls_config(", "ClientTlsConfig"]) {
        return None;
    }
    let text = format!(
        "the endpoint is https ({by}), and gRPC in opentelemetry-otlp {} trusts no root unless code names some: every certificate is \
         an UnknownIssuer",
        package.version
    );
    let help = "`.with_tls_config(ClientTlsConfig::new().with_enabled_roots())`, with the feature `tls-roots`";
    Some(Finding::new(&kind::MISSING_FEATURE, Severity::Error, "crate opentelemetry-otlp", text).help(help))
}

fn compression(facts: &Facts<'_>) -> Option<Finding> {
    let variables = ["OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"];
    let by_variable = facts.environment.first(&variables).map(|(name, value)| (name.to_owned(), value.to_lowercase()));
    let by_code = ["Gzip", "Zstd"].into_iter().find_map(|word| {
        // Others compress, too.
        let call = format!("Compression::{word}");
        let mut files = facts.sources.files.iter().filter(|file| file.has("opentelemetry_otlp"));
        Some((files.find_map(|file| Some(file.place(file.find(&call).next()?)))?, word.to_lowercase()))
    });
    let (by, wanted) = by_code.or(by_variable)?;
    let way = if facts.uses.grpc && !facts.uses.http { "tonic" } else { "http" };
    let feature = match wanted.as_str() {
        "gzip" | "zstd" => format!("{wanted}-{way}"),
        _ => return None,
    };
    if facts.graph.has_feature(&facts.build, OTLP, &feature) {
        return None;
    }
    let (severity, what) = match by.starts_with("OTEL_") {
        true => (Severity::Warning, "requests go out plain"),
        false => (Severity::Error, "the exporter cannot be built"),
    };
    let text = format!("{by} asks for {wanted}, and the feature `{feature}` is off: {what}");
    let help = format!("add the feature `{feature}` to opentelemetry-otlp in Cargo.toml");
    Some(Finding::new(&kind::MISSING_FEATURE, severity, "crate opentelemetry-otlp", text).help(help))
}

fn internal_logs_off(facts: &Facts<'_>) -> Option<Finding> {
    let (at, package) = facts.graph.named(&facts.build, "opentelemetry_sdk").next()?;
    if facts.build.has(at, "internal-logs") || package.version.minor < 28 {
        return None;
    }
    let text = "its feature `internal-logs` is off: that exports fail, and that records are dropped, is never said";
    let help = "add the feature `internal-logs` to opentelemetry_sdk and opentelemetry-otlp, and a subscriber of tracing that prints";
    Some(Finding::new(&kind::MISSING_FEATURE, Severity::Warning, "crate opentelemetry_sdk", text).help(help))
}

/// The statements that build an exporter of logs.
fn exporters<'a>(facts: &'a Facts<'_>) -> impl Iterator<Item = (&'a File, usize, std::ops::Range<usize>)> {
    facts
        .sources
        .files
        .iter()
        .flat_map(|file| file.find("LogExporter::builder(").map(move |at| (file, at, file.statement(at))))
}

/// The endpoint of logs that code names, where it names one in so many words.
pub(crate) fn endpoint_in_code(facts: &Facts<'_>) -> Option<String> {
    exporters(facts).find_map(|(file, _, statement)| file.text_after(statement, ".with_endpoint(").map(str::to_owned))
}

/// Finds an endpoint in code without its path. See docs/missing-logs.md#e1.
fn missing_paths(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, at, statement) in exporters(facts) {
        if !file.code(statement.clone()).contains(".with_http()") {
            continue;
        }
        let Some(url) = file.text_after(statement, ".with_endpoint(") else { continue };
        let Some((_, rest)) = url.split_once("://") else { continue };
        if rest.split_once('/').is_some_and(|(_, path)| !path.is_empty()) {
            continue;
        }
        let shown = logbridge::internals::config::redact_url(url).to_string();
        let text = format!(
            "the endpoint `{shown}` in code is used as it is: records are posted to `/`, where no receiver takes them"
        );
        let help = format!(
            "write `{}/v1/logs`, or leave it to OTEL_EXPORTER_OTLP_ENDPOINT, to which the path is appended",
            shown.trim_end_matches('/')
        );
        findings.push(Finding::new(&kind::MISSING_PATH, Severity::Warning, file.place(at), text).help(help));
    }
    findings
}

/// A blocking client must not end in async code, and each record waits for its answer.
fn simple_processor(facts: &Facts<'_>) -> Option<Finding> {
    let is_async = facts.sources.has_any(&["#[tokio::main", "async fn main", "Runtime::new()", "#[actix_web::main"]);
    for file in &facts.sources.files {
        for word in ["with_simple_exporter(", "SimpleLogProcessor::new("] {
            for at in file.find(word) {
                let function = file.function(at);
                let body = file.code(function);
                let is_of_logs = body.contains("LoggerProvider");
                if !is_of_logs || body.contains("stdout") || body.contains("InMemory") || !body.contains("LogExporter")
                {
                    continue;
                }
                let text = match is_async {
                    true => {
                        "each record is sent by the thread that logs it; in async code the blocking client panics there"
                    }
                    false => {
                        "each record is sent by the thread that logs it, and waits for the answer: almost a second each when nothing answers"
                    }
                };
                let help = "use `.with_batch_exporter(…)`";
                let severity = if is_async { Severity::Error } else { Severity::Warning };
                return Some(
                    Finding::new(&kind::WRONG_CONTEXT, severity, file.place(at), text)
                        .at(file.line(at), 0..0)
                        .help(help),
                );
            }
        }
    }
    None
}

/// tonic needs a runtime from the beginning.
fn no_runtime(facts: &Facts<'_>) -> Option<Finding> {
    let words = [
        "tokio::main",
        "tokio_main",
        "async fn",
        "block_on(",
        "Runtime::new",
        ".enter()",
        "rt-multi-thread",
        "runtime::Builder",
        "actix_web::main",
        "async move",
        "tokio::test",
    ];
    if facts.sources.has_any(&words) || facts.sources.files.iter().any(|file| file.code.contains("tokio::main")) {
        return None;
    }
    let (file, at, _) =
        exporters(facts).find(|(file, _, statement)| file.code(statement.clone()).contains(".with_tonic()"))?;
    let text = "an exporter by gRPC is built where no tokio runtime is: it panics with \"there is no reactor running\"";
    let help =
        "build it inside `runtime.enter()`, and keep that runtime for the life of the program; or use `.with_http()`";
    Some(file.finding(at, &kind::WRONG_CONTEXT, Severity::Error, text).help(help))
}

/// A shutdown that blocks the only thread on which the exporter could send.
fn single_thread_runtime(facts: &Facts<'_>) -> Option<Finding> {
    let words = ["new_current_thread(", "worker_threads(1)"];
    let of_macro = |file: &File| {
        file.find("tokio::main").find(|at| {
            let head = file.text.get(*at..).and_then(|rest| rest.split(']').next()).unwrap_or_default();
            head.contains("current_thread") || head.replace(' ', "").contains("worker_threads=1")
        })
    };
    if facts.sources.has("spawn_blocking") || !facts.sources.has_any(&[".shutdown(", ".force_flush("]) {
        return None;
    }
    let (file, at) = facts.sources.files.iter().find_map(|file| {
        Some((file, of_macro(file).or_else(|| words.iter().find_map(|word| file.find(word).next()))?))
    })?;
    let text = "the exporter by gRPC sends on this runtime, which has one thread: `shutdown` and `force_flush` block it, so that nothing \
                can be sent, and give up after five seconds";
    let help =
        "call them by `tokio::task::spawn_blocking`, give the exporter a runtime of its own, or use `.with_http()`";
    Some(file.finding(at, &kind::WRONG_CONTEXT, Severity::Error, text).help(help))
}
