//! How a program ends, forks and hides: what was logged just before is lost there with the stock SDK.

use super::Facts;
use super::functions::Functions;
use super::logging_words::mentions_setup;
use super::source::File;
use logbridge::internals::finding::{Finding, Severity, kind};

/// Words of a program that serves until somebody stops it.
const SERVERS: [&str; 5] = ["axum::serve(", ".serve(", "Server::builder()", "serve_connection(", "warp::serve("];
/// Words of one that notices.
const SIGNALS: [&str; 8] = [
    "signal::",
    "ctrl_c",
    "ctrlc::",
    "signal_hook",
    "with_graceful_shutdown",
    "serve_with_shutdown",
    "shutdown_signal",
    "HttpServer::new(",
];

/// Findings about ends.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(suppressed_across_await(facts));
    if !facts.uses.stock_logs {
        return findings;
    }
    let has_end = facts.sources.has_any(&[".shutdown(", ".shutdown_with_timeout(", ".force_flush("]);
    match has_end {
        false => findings.extend(no_shutdown(facts)),
        true => {
            findings.extend(process_exits(facts));
            findings.extend(no_signals(facts));
        }
    }
    findings.extend(panic_abort(facts));
    findings.extend(forks_after_start(facts));
    findings
}

fn no_shutdown(facts: &Facts<'_>) -> Option<Finding> {
    if !facts.sources.has_any(&["with_batch_exporter(", "BatchLogProcessor"]) {
        return None;
    }
    let place = facts.sources.place("with_batch_exporter(").or_else(|| facts.sources.place("BatchLogProcessor"))?;
    let why = match facts.sets_subscriber() {
        true => "since the global subscriber keeps a copy of the provider that is never dropped",
        false => "since nothing drops the provider when `main` returns",
    };
    let text = format!(
        "nothing calls `shutdown` on the provider: the records of the last second are lost when `main` returns, {why}"
    );
    Some(
        Finding::new(&kind::LOST_AT_EXIT, Severity::Warning, place, text)
            .help("keep the SdkLoggerProvider, and call `.shutdown()` on it at the end of `main`"),
    )
}

/// Whether this shuts something down, or flushes it.
fn shuts_down(code: &str) -> bool {
    ["shutdown", "flush"].iter().any(|word| code.contains(word))
}

fn process_exits(facts: &Facts<'_>) -> Option<Finding> {
    let functions = Functions::of(facts);
    for file in &facts.sources.files {
        for at in file.find("process::exit(") {
            let function = file.function(at);
            // What comes before it in the same function may have flushed.
            let before = file.code(function.start..at);
            // By custom, it was called in the wrong way, and has done nothing yet.
            if file.code.get(at..).is_some_and(|rest| rest.starts_with("process::exit(2)")) {
                continue;
            }
            // What `main` calls may set telemetry up and shut it down again.
            let is_main = file.code(function.clone()).contains("fn main");
            if is_main && !mentions_setup(before) {
                continue;
            }
            if shuts_down(before) || before.contains("stop_telemetry") || functions.any_called(before, shuts_down) {
                continue;
            }
            let text =
                "`process::exit` runs no destructor and flushes nothing: the records of the last second are lost here";
            return Some(
                file.finding(at, &kind::LOST_AT_EXIT, Severity::Warning, text)
                    .help("call `.shutdown()` on the provider before it, or return an ExitCode from `main`"),
            );
        }
    }
    None
}

fn panic_abort(facts: &Facts<'_>) -> Option<Finding> {
    let profile = facts.profiles().into_iter().find(|profile| facts.profiles.aborts(profile))?;
    if facts.sources.has("set_hook(") {
        return None;
    }
    let text = format!(
        "the profile `{profile}` ends the process at a panic (panic = \"abort\"): what was logged before it is not sent"
    );
    Some(
        Finding::new(&kind::LOST_AT_EXIT, Severity::Warning, "Cargo.toml", text)
            .help("flush in a panic hook, or leave `panic` at `unwind`"),
    )
}

fn no_signals(facts: &Facts<'_>) -> Option<Finding> {
    if facts.sources.has_any(&SIGNALS) || facts.sources.files.iter().any(|file| file.code.contains("signal")) {
        return None;
    }
    let place = SERVERS.iter().find_map(|word| facts.sources.place(word))?;
    let text = "it serves until it is stopped, and nothing handles SIGTERM: what was logged in the last second before that is lost";
    Some(
        Finding::new(&kind::LOST_AT_EXIT, Severity::Warning, place, text).help(
            "wait for SIGTERM and ^C (`tokio::signal`, `ctrlc`), and call `.shutdown()` on the provider after it",
        ),
    )
}

fn forks_after_start(facts: &Facts<'_>) -> Option<Finding> {
    let words = [
        "unistd::fork(",
        "libc::fork(",
        "nix::unistd::fork",
        "Daemonize::new(",
        "fork::fork(",
        "fork::daemon(",
        "libc::daemon(",
    ];
    let (file, at): (&File, usize) = facts
        .sources
        .files
        .iter()
        .find_map(|file| Some((file, words.iter().find_map(|word| file.find(word).next())?)))?;
    let text = "a forked child has no export thread: its records wait for ever, and flush and shutdown block for five seconds each";
    Some(
        file.finding(at, &kind::LOST_AT_EXIT, Severity::Warning, text)
            .help("build the provider after the fork, in the process that goes on"),
    )
}

/// A guard that is held where other tasks of the thread go on.
fn suppressed_across_await(facts: &Facts<'_>) -> Option<Finding> {
    const CALL: &str = "enter_telemetry_suppressed_scope(";
    for file in &facts.sources.files {
        for at in file.find(CALL) {
            let function = file.function(at);
            let statement = file.statement(at);
            let head = file.code(statement.clone()).trim_start();
            let Some(name) = head.strip_prefix("let ").and_then(|rest| {
                rest.trim_start_matches("mut ").split(|c: char| !c.is_alphanumeric() && c != '_').next()
            }) else {
                continue;
            };
            // Up to where the block ends, or the guard is dropped.
            let rest = file.code(statement.end..function.end);
            let mut depth = 0i32;
            let end = rest.char_indices().find_map(|(at, c)| {
                depth += i32::from(c == '{') - i32::from(c == '}');
                (depth < 0).then_some(at)
            });
            let scope = rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest);
            let scope = scope.split(&format!("drop({name})")).next().unwrap_or(scope);
            if name == "_" || !scope.contains(".await") {
                continue;
            }
            let text = "telemetry is suppressed while this waits: until the guard is dropped, other tasks on the same thread log nothing, and a \
                        context taken here carries that along";
            return Some(file.finding(at, &kind::SUPPRESSED, Severity::Warning, text).help(
                "suppress a future with `.with_context(Context::current().with_telemetry_suppressed())`, not a thread",
            ));
        }
    }
    None
}
