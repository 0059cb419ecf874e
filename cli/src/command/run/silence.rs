//! Why no log record came, as far as that can be told from outside: the likeliest reason, and what to change.

use super::account::Account;
use super::child::signal_name;
use super::findings::Circumstances;
use super::gates;
use super::reports::Program;
use crate::command::inlet::UNKNOWN_KEY;
use crate::command::terminal::lasted;

/// SDKs wait so long before they send the first batch of spans.
const FIRST_BATCH_SECONDS: u64 = 5;

/// SIGINT and SIGTERM, at which logbridge may send what waits.
const CAN_BE_CAUGHT: [i32; 2] = [2, 15];

/// A reason, and what to change.
pub(super) type Reason = (String, String);

/// The likeliest one. What the program says itself is known; the rest is concluded, and more so the further below.
pub(super) fn likeliest(account: &Account, circumstances: &Circumstances) -> Reason {
    if let Some(switch) = &circumstances.switched_off {
        let name = switch.split('=').next().unwrap_or_default();
        let help = format!("unset it: env -u {name} logbridge run -- …");
        return (format!("{switch} switches sending off"), help);
    }
    if !account.evidence.tally.malformed.is_empty() {
        let help = "look at its protocol and path: OTEL_EXPORTER_OTLP_PROTOCOL is grpc, http/protobuf or http/json";
        return ("what came could not be read (see there)".to_owned(), help.to_owned());
    }
    if let Some((why, help)) = by_remark(account) {
        return (why, help);
    }
    if account.replaced().chain(account.unfinished()).next().is_some() {
        let why = "a program with logbridge called `exec` or `_exit`, or was killed, before it had delivered anything";
        return (why.to_owned(), "call `Bridge::flush` before that".to_owned());
    }
    if !account.programs.is_empty() {
        return with_logbridge(&account.programs, circumstances);
    }
    if let Some(reason) = by_filter(circumstances) {
        return reason;
    }
    let (why, help) = without(account);
    match circumstances.rust_log {
        // Nobody knows whether it is a program in Rust, and one that failed has other troubles.
        None if account.ended.code == Some(0) => {
            (why, format!("{help}; last, if it is written in Rust: RUST_LOG=info, which is not set"))
        }
        _ => (why, help),
    }
}

/// Requests came, and nothing in them has a meaning.
fn by_remark(account: &Account) -> Option<Reason> {
    let remarks = &account.evidence.tally.remarks;
    let (remark, number) = remarks.iter().find(|(remark, _)| remark.contains(UNKNOWN_KEY))?;
    let requests = if *number == 1 { "a request".to_owned() } else { format!("{number} requests") };
    let help = "send OTLP/JSON as the specification has it: lowerCamelCase keys, and each signal to its own path";
    Some((format!("{requests} came that nobody understands: {remark}"), help.to_owned()))
}

/// A filter in the environment that is as good as silence.
fn by_filter(circumstances: &Circumstances) -> Option<Reason> {
    let filter = circumstances.rust_log.as_deref()?;
    let directives = filter.split_once('/').map_or(filter, |(directives, _)| directives).split(',');
    let levels: Vec<String> = directives
        .map(|directive| directive.rsplit('=').next().unwrap_or_default().trim().to_lowercase())
        .filter(|level| !level.is_empty())
        .collect();
    let are_all = |known: &[&str]| !levels.is_empty() && levels.iter().all(|level| known.contains(&level.as_str()));
    let through = match () {
        () if are_all(&["off"]) => "nothing",
        () if are_all(&["error", "off"]) => "only ERROR",
        () if are_all(&["warn", "error", "off"]) => "only WARN and ERROR",
        () => return None,
    };
    Some((format!("RUST_LOG={filter} lets through {through}"), "try RUST_LOG=info logbridge run -- …".to_owned()))
}

/// Programs that say themselves what became of their records.
fn with_logbridge(programs: &[Program], circumstances: &Circumstances) -> Reason {
    if let Some(program) = programs.iter().find(|program| !program.otlp.off_because.is_empty()) {
        let why = format!("logbridge in it sends nothing: {}", program.otlp.off_because);
        return (why, "change what it names".to_owned());
    }
    let is_here =
        |endpoint: &str| circumstances.ports.iter().any(|port| endpoint.contains(&format!("127.0.0.1:{port}")));
    let elsewhere = |program: &&Program| !program.otlp.endpoint.is_empty() && !is_here(&program.otlp.endpoint);
    if let Some(program) = programs.iter().find(elsewhere) {
        let why = format!("it sends to {}, which stands in its code", program.otlp.endpoint);
        return (why, "leave the endpoint out of the code: `Otlp::from_env()`".to_owned());
    }
    let offered: u64 = programs.iter().map(|program| program.offered).sum();
    let accepted: u64 = programs.iter().map(|program| program.otlp.accepted).sum();
    if offered == 0 {
        if let Some(reason) = by_filter(circumstances) {
            return reason;
        }
        let help = "RUST_LOG=debug shows whether it logs at all; `logbridge::init()` has to come first in `main`";
        return ("logbridge is in it, and no record was offered to it".to_owned(), help.to_owned());
    }
    if let Some(gate) = gates::tightest(programs).filter(|_| accepted == 0) {
        return (gate.what, gate.help);
    }
    let why = "logbridge in it has records, and delivered none".to_owned();
    (why, "its own account says what became of them".to_owned())
}

/// Programs of which nothing is known.
fn without(account: &Account) -> Reason {
    let ended = &account.ended;
    let [_, spans, points] = account.evidence.tally.items();
    if spans + points > 0 {
        let why =
            "it has an exporter for these, and none for log records, or no bridge that takes them from the log calls";
        return (why.to_owned(), "`logbridge::init()` takes records of `log` and tracing, and spans too".to_owned());
    }
    if let Some(signal) = ended.signal {
        let why = format!("it was killed by {}, which leaves no time to send what waits", signal_name(signal));
        let spool = "logbridge keeps records of killed programs in a spool: LOGBRIDGE_SPOOL_DIR";
        let help = match CAN_BE_CAUGHT.contains(&signal) {
            true => format!(
                "logbridge sends what waits at {} with LOGBRIDGE_FLUSH_ON_SIGNALS=true; {spool}",
                signal_name(signal)
            ),
            false => spool.to_owned(),
        };
        return (why, help);
    }
    if let Some(code) = ended.code.filter(|code| *code != 0) {
        let why = format!("it exited with {code}, perhaps before it sent anything, or by `exit`, which sends nothing");
        return (why, "look at its own output first; logbridge sends what waits at `exit`, too".to_owned());
    }
    if ended.took.as_secs() < FIRST_BATCH_SECONDS {
        let why = format!(
            "it ended after {}: it has no exporter, the endpoint stands in its code, or it ended before its first batch",
            lasted(ended.took)
        );
        return (why, "flush or shut the SDK's provider down before the end; logbridge does so by itself".to_owned());
    }
    let why = "it has no exporter, or one that does not read OTEL_EXPORTER_OTLP_ENDPOINT".to_owned();
    (why, "call `logbridge::init()` in `main`, or leave the endpoint out of the code".to_owned())
}
