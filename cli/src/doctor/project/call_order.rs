//! Rules about the order of calls in a block: a second logger, a level that is set again, a record after the shutdown.

use std::ops::Range;

use super::Facts;
use super::functions::Functions;
use super::logging_words::LOG_MACROS;
use super::source::File;
use super::strip::closing;
use logbridge::internals::finding::{Finding, FindingExt as _, Severity, kind, new_finding};

/// Calls that install the logger of `log`, and the method calls of which one must follow in the same statement.
const LOGGERS: [(&str, &[&str]); 16] = [
    ("env_logger::init(", &[]),
    ("env_logger::try_init(", &[]),
    ("env_logger::init_from_env(", &[]),
    ("env_logger::try_init_from_env(", &[]),
    ("env_logger::builder(", &[".init()", ".try_init()"]),
    ("env_logger::Builder::", &[".init()", ".try_init()"]),
    ("pretty_env_logger::init(", &[]),
    ("fern::Dispatch::new(", &[".apply()"]),
    ("LogTracer::init(", &[]),
    ("set_boxed_logger(", &[]),
    ("set_logger(", &[]),
    ("logbridge::init(", &[]),
    ("logbridge::try_init(", &[]),
    ("logbridge::init_from_env(", &[]),
    ("logbridge::try_init_from_env(", &[]),
    ("logbridge::builder(", &[".init()", ".try_init()"]),
];

/// A statement that installs a logger.
struct Install<'a> {
    at: usize,
    /// The called path, such as `env_logger::init`.
    call: &'a str,
    is_logbridge: bool,
    /// The rest of its block.
    scope: Range<usize>,
}

pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let installers = installers(facts);
    for file in &facts.sources.files {
        let mut installs = installs(file);
        let more = indirect_installs(file, &installs, &installers);
        installs.extend(more);
        installs.sort_by_key(|install| install.at);
        findings.extend(second_logger(file, &installs));
        if facts.uses.logbridge && !facts.is_logbridge_itself() {
            findings.extend(max_level_overridden(file, &installs));
        }
        if facts.uses.logbridge || facts.uses.stock_logs {
            findings.extend(record_after_shutdown(file));
        }
    }
    findings
}

fn installs(file: &File) -> Vec<Install<'_>> {
    let mut found = Vec::new();
    for (call, needs) in LOGGERS {
        for at in file.find(call) {
            let statement = file.statement(at);
            let code = file.code(statement.clone());
            // An arm of a match and conditionally compiled code may exclude each other.
            let is_choice = code.contains("=>") || code.contains("#[cfg") || code.contains("fn ");
            if is_choice || !(needs.is_empty() || needs.iter().any(|word| code.contains(word))) {
                continue;
            }
            let call = call.trim_end_matches(['(', ':']);
            found.push(Install { at, call, is_logbridge: call.starts_with("logbridge"), scope: scope(file, at) });
        }
    }
    found.sort_by_key(|install| install.at);
    found
}

/// Returns the functions of the project that install a logger, each with whether it is logbridge. A name that two
/// functions share is ambiguous and left out.
fn installers<'a>(facts: &'a Facts<'_>) -> Vec<(&'a str, bool)> {
    let functions = Functions::of(facts);
    let mut found: Vec<(&str, bool)> = Vec::new();
    for file in &facts.sources.files {
        for install in installs(file) {
            let head = file.code(file.function(install.at));
            let after = head.split_once("fn ").map(|(_, after)| after).unwrap_or_default();
            let name = after.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            // A function with several installations chooses one of them, so it counts once.
            let is_new = found.iter().all(|(other, _)| *other != name);
            if is_new && !matches!(name, "" | "main") && functions.named(name).count() == 1 {
                found.push((name, install.is_logbridge));
            }
        }
    }
    found
}

/// Returns the calls of functions that install a logger.
fn indirect_installs<'a>(file: &File, known: &[Install<'_>], installers: &[(&'a str, bool)]) -> Vec<Install<'a>> {
    let mut found = Vec::new();
    for (name, is_logbridge) in installers {
        for at in file.find(name) {
            let before = file.code.get(..at).unwrap_or_default();
            let is_call = file.code.get(at + name.len()..).is_some_and(|rest| rest.starts_with('('));
            // Not the definition, a method, or a function of the same name in the crate of a logger.
            let is_other = before.ends_with("fn ") || before.ends_with('.');
            let is_known = known.iter().any(|install| (install.at..install.at + install.call.len()).contains(&at));
            let code = file.code(file.statement(at));
            let is_choice = code.contains("=>") || code.contains("#[cfg");
            if is_call && !is_other && !is_known && !is_choice {
                found.push(Install { at, call: name, is_logbridge: *is_logbridge, scope: scope(file, at) });
            }
        }
    }
    found
}

/// Returns the range from this place to the end of its block.
fn scope(file: &File, at: usize) -> Range<usize> {
    let mut depth = 0i32;
    let rest = file.code.get(at..).unwrap_or_default();
    let end = rest.char_indices().find_map(|(at, c)| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        (depth < 0).then_some(at)
    });
    at..at + end.unwrap_or(rest.len())
}

/// Finds a second logger in the scope of the first. `log` accepts only one.
fn second_logger(file: &File, installs: &[Install<'_>]) -> Option<Finding> {
    let (first, second) = installs.iter().enumerate().find_map(|(index, first)| {
        let later = &installs[index + 1..];
        Some((first, later.iter().find(|second| first.scope.contains(&second.at))?))
    })?;
    let text = format!(
        "`{}` is called after `{}` ({}), but `log` accepts only one logger: the second call panics or fails, and \
         installs nothing",
        second.call,
        first.call,
        file.place(first.at)
    );
    let help = match (first.is_logbridge, second.is_logbridge) {
        (false, true) => format!("remove `{}`: logbridge prints the same lines", first.call),
        (true, false) => format!("remove `{}`: logbridge prints the same lines", second.call),
        _ => "install only one of them".to_owned(),
    };
    let finding = new_finding(&kind::SLOT_TAKEN, Severity::Error, file.place(second.at), text);
    Some(finding.at(file.line(second.at), 0..0).help(help))
}

/// Finds a call of `log::set_max_level` that overrides the level set by logbridge.
fn max_level_overridden(file: &File, installs: &[Install<'_>]) -> Option<Finding> {
    let at = file.find("set_max_level(").find(|at| {
        let function = file.function(*at);
        let code = file.code(function.clone());
        let argument = file.code(*at..closing(&file.code, at + "set_max_level".len()));
        let keeps_level =
            argument.contains(".filter()") || argument.contains("max_level()") || argument.contains("Trace");
        let composes = code.contains("set_boxed_logger(") || code.contains("set_logger(");
        // logbridge overrides a level that is set before its initialization.
        let is_before =
            installs.iter().any(|install| install.is_logbridge && function.contains(&install.at) && install.at > *at);
        !(keeps_level || composes || is_before)
    })?;
    let text = "this overrides the maximum level of `log` that logbridge sets for its filters: records below it are \
                never created, whatever RUST_LOG says";
    let help = "remove it: RUST_LOG, `Builder::filter_level` and `Bridge::levels` set the level too";
    let finding = new_finding(&kind::LEVEL_LOWERED, Severity::Warning, file.place(at), text);
    Some(finding.at(file.line(at), 0..0).help(help))
}

/// Finds a record after the shutdown in the same block.
fn record_after_shutdown(file: &File) -> Option<Finding> {
    for at in file.find(".shutdown(") {
        let start = file.statement(at).start;
        let receiver = file.code(start..at).to_ascii_lowercase();
        let is_log_provider = ["bridge", "provider"].iter().any(|word| receiver.contains(word));
        if !is_log_provider || ["trace", "meter", "metric", "fn "].iter().any(|word| receiver.contains(word)) {
            continue;
        }
        let mut end = closing(&file.code, at + ".shutdown".len());
        // A record about a failed shutdown is meant for the console.
        if receiver.contains("if let") || receiver.contains("match ") {
            let open = file.code.get(end..).and_then(|rest| rest.find('{')).map_or(end, |open| end + open);
            end = closing(&file.code, open);
        }
        let scope = scope(file, end);
        let statement_end = file.code.get(end..).and_then(|rest| rest.find(';')).map_or(end, |at| end + at);
        let mut records = LOG_MACROS
            .iter()
            .flat_map(|word| file.find(word))
            .filter(|record| *record > statement_end.min(scope.end) && scope.contains(record));
        let Some(record) = records.by_ref().min() else { continue };
        let text =
            format!("this is logged after the shutdown ({}): this record and later ones are not sent", file.place(at));
        let finding = new_finding(&kind::AFTER_SHUTDOWN, Severity::Warning, file.place(record), text);
        return Some(finding.at(file.line(record), 0..0).help("shut down last, after the last record"));
    }
    None
}
