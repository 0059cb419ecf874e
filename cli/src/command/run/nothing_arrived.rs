//! Finds the most likely reason why no log record arrived, and what to change.

use super::child::signal_name;
use super::context::RunContext;
use super::gates;
use super::program_reports::ProgramReport;
use super::report::RunReport;
use crate::command::intake::UNKNOWN_KEY;
use crate::command::terminal::format_duration;

/// The time after which SDKs send their first batch of spans.
const FIRST_BATCH_SECONDS: u64 = 5;

/// SIGINT and SIGTERM, on which logbridge can flush.
const FLUSHABLE_SIGNALS: [i32; 2] = [2, 15];

/// A reason and what to change.
pub(super) struct Reason {
    pub(super) text: String,
    pub(super) help: String,
}

impl Reason {
    fn new(text: impl Into<String>, help: impl Into<String>) -> Self {
        Self { text: text.into(), help: help.into() }
    }
}

/// Returns the most likely reason. Facts come before conclusions, and certain conclusions before guesses.
pub(super) fn most_likely_reason(report: &RunReport, context: &RunContext) -> Reason {
    if let Some(variable) = &context.disabled_by {
        let name = variable.split('=').next().unwrap_or_default();
        return Reason::new(
            format!("{variable} disables sending"),
            format!("unset it: env -u {name} logbridge run -- …"),
        );
    }
    if !report.observations.tally.malformed.is_empty() {
        return Reason::new(
            "the requests were invalid (see the list of invalid requests)",
            "check the path and OTEL_EXPORTER_OTLP_PROTOCOL, which is grpc, http/protobuf or http/json",
        );
    }
    if let Some(reason) = by_remark(report) {
        return reason;
    }
    if report.replaced().chain(report.unfinished()).next().is_some() {
        return Reason::new(
            "a program with logbridge called `exec` or `_exit`, or was killed, before it delivered anything",
            "call `Bridge::flush` before `exec` and `_exit`",
        );
    }
    if !report.programs.is_empty() {
        return with_logbridge(&report.programs, context);
    }
    if let Some(reason) = by_filter(context) {
        return reason;
    }
    let Reason { text, help } = without_logbridge(report);
    match context.rust_log {
        // Only a guess, because the language of the program is unknown. A failed program has other problems.
        None if report.ended.code == Some(0) => {
            Reason::new(text, format!("{help}; a program in Rust may need RUST_LOG=info, which is not set"))
        }
        _ => Reason { text, help },
    }
}

/// Requests arrived, but their keys are unknown.
fn by_remark(report: &RunReport) -> Option<Reason> {
    let remarks = &report.observations.tally.remarks;
    let (remark, number) = remarks.iter().find(|(remark, _)| remark.contains(UNKNOWN_KEY))?;
    let requests = if *number == 1 { "a request".to_owned() } else { format!("{number} requests") };
    Some(Reason::new(
        format!("{requests} could not be understood: {remark}"),
        "send OTLP/JSON as specified: keys in lowerCamelCase, and each signal to its own path",
    ))
}

/// RUST_LOG lets at most WARN and ERROR pass.
fn by_filter(context: &RunContext) -> Option<Reason> {
    let filter = context.rust_log.as_deref()?;
    let directives = filter.split_once('/').map_or(filter, |(directives, _)| directives).split(',');
    let levels: Vec<String> = directives
        .map(|directive| directive.rsplit('=').next().unwrap_or_default().trim().to_lowercase())
        .filter(|level| !level.is_empty())
        .collect();
    let are_all = |known: &[&str]| !levels.is_empty() && levels.iter().all(|level| known.contains(&level.as_str()));
    let passing = match () {
        () if are_all(&["off"]) => "nothing",
        () if are_all(&["error", "off"]) => "only ERROR",
        () if are_all(&["warn", "error", "off"]) => "only WARN and ERROR",
        () => return None,
    };
    Some(Reason::new(format!("RUST_LOG={filter} lets {passing} pass"), "try RUST_LOG=info logbridge run -- …"))
}

/// Programs with logbridge report the outcome of their records.
fn with_logbridge(programs: &[ProgramReport], context: &RunContext) -> Reason {
    if let Some(program) = programs.iter().find(|program| !program.otlp.off_because.is_empty()) {
        let text = format!("logbridge in the program sends nothing: {}", program.otlp.off_because);
        return Reason::new(text, "change that setting");
    }
    let is_own = |endpoint: &str| context.ports.iter().any(|port| endpoint.contains(&format!("127.0.0.1:{port}")));
    let is_elsewhere = |program: &&ProgramReport| !program.otlp.endpoint.is_empty() && !is_own(&program.otlp.endpoint);
    if let Some(program) = programs.iter().find(is_elsewhere) {
        let text = format!("the program sends to {}, which is set in its code", program.otlp.endpoint);
        return Reason::new(text, "remove the endpoint from the code: `Otlp::from_env()`");
    }
    let offered: u64 = programs.iter().map(|program| program.offered).sum();
    let accepted: u64 = programs.iter().map(|program| program.otlp.accepted).sum();
    if offered == 0 {
        return by_filter(context).unwrap_or_else(|| {
            Reason::new(
                "the program uses logbridge, but no record was offered to it",
                "check with RUST_LOG=debug whether it logs at all, and call `logbridge::init()` first in `main`",
            )
        });
    }
    if let Some(gate) = gates::tightest(programs).filter(|_| accepted == 0) {
        return Reason::new(gate.text, gate.help);
    }
    Reason::new(
        "logbridge in the program has records, but delivered none",
        "see the report of the program for their outcome",
    )
}

/// Nothing is known about the program except how it ended.
fn without_logbridge(report: &RunReport) -> Reason {
    let ended = &report.ended;
    let [_, spans, points] = report.observations.tally.items();
    if spans + points > 0 {
        return Reason::new(
            "the program has no exporter for log records, or no bridge from its log calls to the exporter",
            "`logbridge::init()` exports records of `log` and tracing, and spans",
        );
    }
    if let Some(signal) = ended.signal {
        let name = signal_name(signal);
        let spool = "a spool keeps the records of killed programs: LOGBRIDGE_SPOOL_DIR";
        let help = match FLUSHABLE_SIGNALS.contains(&signal) {
            true => format!("logbridge flushes on {name} if LOGBRIDGE_FLUSH_ON_SIGNALS=true is set; {spool}"),
            false => spool.to_owned(),
        };
        return Reason::new(format!("the program was killed by {name} before it could send pending records"), help);
    }
    if let Some(code) = ended.code.filter(|code| *code != 0) {
        return Reason::new(
            format!(
                "the program exited with {code}, perhaps before it sent anything, or by `exit`, which sends nothing"
            ),
            "check the output of the program first; logbridge flushes at `exit`, too",
        );
    }
    if ended.took.as_secs() < FIRST_BATCH_SECONDS {
        let text = format!(
            "the program ended after {}: it has no exporter, its endpoint is set in code, or it ended before its first \
             batch",
            format_duration(ended.took)
        );
        return Reason::new(text, "flush or shut down the SDK's provider before the end; logbridge does so by itself");
    }
    Reason::new(
        "the program has no exporter, or one that does not read OTEL_EXPORTER_OTLP_ENDPOINT",
        "call `logbridge::init()` in `main`, or remove the endpoint from the code",
    )
}
