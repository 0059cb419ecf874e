//! Rules about exits, aborts, forks and suppressed telemetry, which lose buffered records with the stock SDK.

use super::Facts;
use super::functions::Functions;
use super::logging_words::mentions_setup;
use super::source::File;
use logbridge::internals::finding::{Finding, FindingExt as _, Severity, kind, new_finding};

/// Calls of a server that runs until it is stopped.
const SERVERS: [&str; 5] = ["axum::serve(", ".serve(", "Server::builder()", "serve_connection(", "warp::serve("];
/// Words of a program that handles the signal that stops it.
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
        true => "because the global subscriber keeps a copy of the provider that is never dropped",
        false => "because nothing drops the provider when `main` returns",
    };
    let text = format!(
        "nothing calls `shutdown` on the provider: the records of the last second are lost when `main` returns, {why}"
    );
    Some(
        new_finding(&kind::LOST_AT_EXIT, Severity::Warning, place, text)
            .help("keep the SdkLoggerProvider, and call `.shutdown()` on it at the end of `main`"),
    )
}

/// Returns whether code shuts something down or flushes it.
fn shuts_down(code: &str) -> bool {
    ["shutdown", "flush"].iter().any(|word| code.contains(word))
}

fn process_exits(facts: &Facts<'_>) -> Option<Finding> {
    let functions = Functions::of(facts);
    for file in &facts.sources.files {
        for at in file.find("process::exit(") {
            let function = file.function(at);
            // Code before it in the same function may flush.
            let before = file.code(function.start..at);
            // By convention, status 2 means incorrect usage, so nothing was logged yet.
            if file.code.get(at..).is_some_and(|rest| rest.starts_with("process::exit(2)")) {
                continue;
            }
            // Before any setup in `main`, a called function may set telemetry up and shut it down again.
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
        "the profile `{profile}` aborts the process on a panic (panic = \"abort\"): records that are still buffered \
         are lost"
    );
    Some(
        new_finding(&kind::LOST_AT_EXIT, Severity::Warning, "Cargo.toml", text)
            .help("flush in a panic hook, or use the default `panic = \"unwind\"`"),
    )
}

fn no_signals(facts: &Facts<'_>) -> Option<Finding> {
    if facts.sources.has_any(&SIGNALS) || facts.sources.files.iter().any(|file| file.code.contains("signal")) {
        return None;
    }
    let place = SERVERS.iter().find_map(|word| facts.sources.place(word))?;
    let text =
        "the server runs until it is stopped, but nothing handles SIGTERM: the records of the last second are lost";
    Some(
        new_finding(&kind::LOST_AT_EXIT, Severity::Warning, place, text)
            .help("wait for SIGTERM and ^C (`tokio::signal`, `ctrlc`), and then call `.shutdown()` on the provider"),
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
    let text = "a forked child has no exporter thread: its records are never sent, and flush and shutdown block for \
                five seconds each";
    Some(
        file.finding(at, &kind::LOST_AT_EXIT, Severity::Warning, text)
            .help("build the provider after the fork, in the process that logs"),
    )
}

/// Finds a suppression guard that is held across an `.await`, while other tasks run on the thread.
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
            // The guard lives until the end of the block or an explicit `drop`.
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
            let text = "telemetry is suppressed across an await: until the guard is dropped, other tasks on this \
                        thread log nothing, and a context captured here is suppressed too";
            return Some(file.finding(at, &kind::SUPPRESSED, Severity::Warning, text).help(
                "suppress the future instead of the thread: \
                 `.with_context(Context::current().with_telemetry_suppressed())`",
            ));
        }
    }
    None
}
