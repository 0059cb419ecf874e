//! Rules about the stock exporter of logs: its client, TLS, compression, internal logs, processor and runtime.

use super::Facts;
use super::source::File;
use logbridge::internals::finding::{Finding, FindingExt as _, Severity, kind, new_finding};

const OTLP: &str = "opentelemetry-otlp";

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
        let chain = facts.graph.activation_chain(&facts.build, at, feature);
        format!("{package}/{feature} <- {}", chain.join(" <- "))
    })
}

/// Finds an async HTTP client, which panics on the exporter thread because it has no runtime.
fn async_client(facts: &Facts<'_>) -> Option<Finding> {
    let has = |feature: &str| facts.graph.has_feature(&facts.build, OTLP, feature);
    let feature = ["reqwest-client", "hyper-client"].into_iter().find(|feature| has(feature))?;
    let is_client_configured =
        facts.sources.has_any(&[".with_http_client(", "log_processor_with_async_runtime", "runtime::Tokio"]);
    if is_client_configured
        || facts.graph.has_feature(
            &facts.build,
            "opentelemetry_sdk",
            "experimental_logs_batch_log_processor_with_async_runtime",
        )
    {
        return None;
    }
    let text = format!(
        "its feature `{feature}` is enabled, so the exporter uses an async client: the exporter thread has no \
         runtime, so the client panics with the first batch (\"there is no reactor running\"), and nothing is sent \
         after that"
    );
    let help = "pass `.with_http_client(reqwest::blocking::Client::new())`, created outside async code, or disable \
                that feature";
    Some(
        new_finding(&kind::ASYNC_CLIENT, Severity::Error, "crate opentelemetry-otlp", text)
            .at(activation(facts, OTLP, feature), 0..0)
            .help(help),
    )
}

/// Returns the place in code or the variable that sets an https endpoint.
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
    // The client of hyper is async, which is a finding of its own.
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
        "the endpoint is https ({by}), but the {} that opentelemetry-http uses is built without TLS: each request \
         fails with \"network error\"",
        facts.graph.name_and_version(reqwest)
    );
    let help = "add the feature `reqwest-rustls` to opentelemetry-otlp in Cargo.toml";
    Some(
        new_finding(&kind::MISSING_FEATURE, Severity::Error, "crate opentelemetry-otlp", text)
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
            true => {
                format!("the endpoint is https ({by}), but gRPC is built without TLS: it sends plain text to that port")
            }
            false => {
                format!("the endpoint is https ({by}), but gRPC is built without TLS: the exporter cannot be built")
            }
        };
        let help = "add the features `tls-ring` and `tls-roots` to opentelemetry-otlp in Cargo.toml";
        return Some(new_finding(&kind::MISSING_FEATURE, Severity::Error, "crate opentelemetry-otlp", text).help(help));
    }
    if package.version.minor < 33 || facts.sources.has_any(&[".with_tls_config(", "ClientTlsConfig"]) {
        return None;
    }
    let text = format!(
        "the endpoint is https ({by}), but gRPC in opentelemetry-otlp {} trusts no root unless code adds some: every \
         certificate fails with UnknownIssuer",
        package.version
    );
    let help = "call `.with_tls_config(ClientTlsConfig::new().with_enabled_roots())`, with the feature `tls-roots`";
    Some(new_finding(&kind::MISSING_FEATURE, Severity::Error, "crate opentelemetry-otlp", text).help(help))
}

fn compression(facts: &Facts<'_>) -> Option<Finding> {
    let variables = ["OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"];
    let by_variable = facts.environment.first(&variables).map(|(name, value)| (name.to_owned(), value.to_lowercase()));
    let by_code = ["Gzip", "Zstd"].into_iter().find_map(|word| {
        // Other crates have a type of the same name.
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
        true => (Severity::Warning, "requests are sent uncompressed"),
        false => (Severity::Error, "the exporter cannot be built"),
    };
    let text = format!("{by} sets {wanted} compression, but the feature `{feature}` is disabled: {what}");
    let help = format!("add the feature `{feature}` to opentelemetry-otlp in Cargo.toml");
    Some(new_finding(&kind::MISSING_FEATURE, severity, "crate opentelemetry-otlp", text).help(help))
}

fn internal_logs_off(facts: &Facts<'_>) -> Option<Finding> {
    let (at, package) = facts.graph.named(&facts.build, "opentelemetry_sdk").next()?;
    if facts.build.has(at, "internal-logs") || package.version.minor < 28 {
        return None;
    }
    let text = "its feature `internal-logs` is disabled: failed exports and dropped records are never reported";
    let help = "add the feature `internal-logs` to opentelemetry_sdk and opentelemetry-otlp, and a tracing subscriber \
                that prints";
    Some(new_finding(&kind::MISSING_FEATURE, Severity::Warning, "crate opentelemetry_sdk", text).help(help))
}

/// Returns the statements that build an exporter of logs.
fn exporters<'a>(facts: &'a Facts<'_>) -> impl Iterator<Item = (&'a File, usize, std::ops::Range<usize>)> {
    facts
        .sources
        .files
        .iter()
        .flat_map(|file| file.find("LogExporter::builder(").map(move |at| (file, at, file.statement(at))))
}

/// Returns the endpoint of logs, if code sets it as a string literal.
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
            "the endpoint `{shown}` in code is used unchanged: records are posted to `/`, which no receiver accepts"
        );
        let help = format!(
            "write `{}/v1/logs`, or set OTEL_EXPORTER_OTLP_ENDPOINT instead, to which the path is appended",
            shown.trim_end_matches('/')
        );
        findings.push(new_finding(&kind::MISSING_PATH, Severity::Warning, file.place(at), text).help(help));
    }
    findings
}

/// Finds the simple processor, which blocks on each record and whose blocking client panics in async code.
fn simple_processor(facts: &Facts<'_>) -> Option<Finding> {
    let is_async = facts.sources.has_any(&["#[tokio::main", "async fn main", "Runtime::new()", "#[actix_web::main"]);
    for file in &facts.sources.files {
        for word in ["with_simple_exporter(", "SimpleLogProcessor::new("] {
            for at in file.find(word) {
                let function = file.function(at);
                let body = file.code(function);
                let is_log_provider = body.contains("LoggerProvider");
                if !is_log_provider
                    || body.contains("stdout")
                    || body.contains("InMemory")
                    || !body.contains("LogExporter")
                {
                    continue;
                }
                let text = match is_async {
                    true => {
                        "each record is sent by the thread that logs it; in async code the blocking client panics there"
                    }
                    false => {
                        "each record is sent by the thread that logs it, which waits for the answer: almost a second \
                         if none comes"
                    }
                };
                let help = "use `.with_batch_exporter(…)`";
                let severity = if is_async { Severity::Error } else { Severity::Warning };
                return Some(
                    new_finding(&kind::WRONG_CONTEXT, severity, file.place(at), text)
                        .at(file.line(at), 0..0)
                        .help(help),
                );
            }
        }
    }
    None
}

/// Finds an exporter with gRPC that is built outside a tokio runtime.
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
    let text = "a gRPC exporter is built outside a tokio runtime: it panics with \"there is no reactor running\"";
    let help =
        "build it inside `runtime.enter()` and keep that runtime for the life of the program, or use `.with_http()`";
    Some(file.finding(at, &kind::WRONG_CONTEXT, Severity::Error, text).help(help))
}

/// Finds a shutdown that blocks the only thread on which the gRPC exporter can send.
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
    let text = "the gRPC exporter sends on this runtime, which has one thread: `shutdown` and `force_flush` block \
                that thread, so nothing is sent, and give up after five seconds";
    let help =
        "call them in `tokio::task::spawn_blocking`, give the exporter a runtime of its own, or use `.with_http()`";
    Some(file.finding(at, &kind::WRONG_CONTEXT, Severity::Error, text).help(help))
}
