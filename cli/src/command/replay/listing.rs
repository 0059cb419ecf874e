//! The contents of a spool directory, as `logbridge replay --dry-run` shows them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use indicatif::{HumanBytes, HumanCount, HumanDuration};
use serde_json::{Value, json};

use crate::command::terminal::{Style, paint, sanitize};
use crate::command::wording::plural;
use logbridge::internals::clock::{Timestamp, nanos};
use logbridge::internals::outbox::Ending;
use logbridge::internals::outbox::survey::{FileProblem, RunState, Survey, SurveyedRun};
use logbridge::internals::signal::Signal;

/// Formats a number of exited processes.
pub(super) fn exited_processes(number: u64) -> String {
    if number == 1 { "1 exited process".to_owned() } else { format!("{} exited processes", HumanCount(number)) }
}

/// Formats the number of records of exited processes: `1,204 records of 2 exited processes`.
pub(super) fn waiting_records(survey: &Survey) -> String {
    let left: Vec<&SurveyedRun> = survey.runs.iter().filter(|run| run.is_left() && run.records > 0).collect();
    let records = left.iter().map(|run| run.records).sum();
    format!("{} of {}", plural(records, "record"), exited_processes(left.len() as u64))
}

/// Returns why the records of a process are not sent, or `None` if they can be sent.
pub(super) fn reason_to_skip(run: &SurveyedRun) -> Option<String> {
    let pid = run.pid;
    match &run.state {
        RunState::Left(_) => None,
        RunState::Lives => Some(format!("process {pid} is running and sends them itself")),
        RunState::Taken => Some(format!("another process is sending the records of process {pid}")),
        RunState::TooYoung => Some(format!(
            "process {pid} has no run file that shows whether it is running; its records can be sent when they are a \
             minute old"
        )),
        RunState::Unreadable(error) => Some(format!("cannot read the run file of process {pid}: {error}")),
    }
}

/// Formats why a file, or a part of it, cannot be sent.
pub(super) fn file_problem(path: &Path, trouble: &FileProblem) -> String {
    let path = path.display();
    match trouble {
        FileProblem::Damaged(1) => format!("{path}: 1 record is damaged"),
        FileProblem::Damaged(number) => format!("{path}: {} are damaged", Signal::Logs.count(*number)),
        FileProblem::Head => format!("{path}: not a spool file, or its header is damaged"),
        FileProblem::Unreadable(error) => format!("{path}: cannot be read: {error}"),
        FileProblem::Version(version) => {
            format!("{path}: layout version {version}: use the `logbridge replay` of the version that wrote it")
        }
    }
}

/// Formats the survey as text.
pub(super) fn listing(survey: &Survey, directory: &Path, endpoint: &str) -> String {
    let mut text = String::new();
    let shown: Vec<&SurveyedRun> = survey.runs.iter().filter(|run| run.is_left() && run.records > 0).collect();
    let headline = match shown.is_empty() {
        true => format!("nothing in {} can be sent", directory.display()),
        false => format!("{} in {}", waiting_records(survey), directory.display()),
    };
    let _infallible = writeln!(text, "{}", paint(Style::Bold, &sanitize(&headline)));
    if !shown.is_empty() {
        let _infallible = writeln!(text, "without --dry-run, they are sent to {}\n", sanitize(endpoint));
        text.push_str(&table(&shown));
    }
    let mut skipped: Vec<String> = Vec::new();
    for run in survey.runs.iter().filter(|run| run.files > 0) {
        skipped.extend(reason_to_skip(run).map(|reason| match run.records {
            0 => reason,
            number => format!("about {}: {reason}", plural(number, "record")),
        }));
    }
    let mut unusable: Vec<String> = Vec::new();
    for run in survey.runs.iter().filter(|run| run.is_left()) {
        unusable.extend(run.trouble.iter().map(|(path, trouble)| file_problem(path, trouble)));
    }
    unusable.extend(survey.set_aside.iter().map(|path| {
        format!("{}: damaged and set aside earlier; delete it unless you want to examine it", path.display())
    }));
    for (heading, style, lines) in [("skipped", Style::Bold, skipped), ("cannot be sent", Style::Warning, unusable)] {
        if !lines.is_empty() {
            let _infallible = writeln!(text, "\n{}", paint(style, heading));
            lines.iter().for_each(|line| text.push_str(&format!("  {}\n", sanitize(line))));
        }
    }
    text
}

fn table(runs: &[&SurveyedRun]) -> String {
    const HEADINGS: [&str; 6] = ["PROCESS", "ENDED", "SERVICE", "RECORDS", "ON DISK", "OLDEST"];
    let rows: Vec<[String; 6]> = runs
        .iter()
        .map(|run| {
            [
                run.pid.to_string(),
                ending(run).unwrap_or("?").to_owned(),
                if run.service.is_empty() { "?".to_owned() } else { sanitize(&run.service) },
                HumanCount(run.records).to_string(),
                HumanBytes(run.bytes).to_string(),
                run.oldest.map_or_else(|| "?".to_owned(), |at| format!("{} ({})", to_the_second(at), age(at))),
            ]
        })
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(HEADINGS.get(column).map(|heading| heading.len())).max().unwrap_or(0)
    };
    let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(width);
    let line = |[pid, ended, service, records, size, oldest]: [&str; 6]| {
        format!("  {pid:>a$}  {ended:<b$}  {service:<c$}  {records:>d$}  {size:>e$}  {oldest}")
    };
    let mut text = format!("{}\n", paint(Style::Dim, &line(HEADINGS)));
    rows.iter().for_each(|row| text.push_str(&format!("{}\n", line(row.each_ref().map(String::as_str)))));
    text
}

/// Returns how the process of a run ended, if that is known.
fn ending(run: &SurveyedRun) -> Option<&'static str> {
    match run.state {
        RunState::Left(Ending::Orderly) => Some("orderly"),
        RunState::Left(Ending::Sudden) => Some("suddenly"),
        _ => None,
    }
}

/// Formats a time in Unix nanoseconds by RFC 3339, without the fraction.
fn to_the_second(at: u64) -> String {
    let time = Timestamp(at).to_string();
    format!("{}Z", time.get(..19).unwrap_or(&time))
}

fn age(at: u64) -> String {
    let age = Duration::from_nanos(nanos(SystemTime::now()).saturating_sub(at));
    format!("{} ago", HumanDuration(age))
}

/// Formats the survey as JSON.
pub(super) fn as_json(survey: &Survey, directory: &Path, endpoint: &str) -> Value {
    let runs = survey.runs.iter().map(|run| {
        let state = match &run.state {
            RunState::Left(_) => "left",
            RunState::Lives => "alive",
            RunState::Taken => "taken",
            RunState::TooYoung => "too-young",
            RunState::Unreadable(_) => "unreadable",
        };
        json!({
            "process": run.pid,
            "state": state,
            "ended": ending(run),
            "service_name": (!run.service.is_empty()).then_some(run.service.as_str()),
            "records": run.records,
            "damaged_records": run.damaged,
            "files": run.files,
            "bytes": run.bytes,
            "oldest": run.oldest.map(|at| Timestamp(at).to_string()),
            "trouble": run.trouble.iter().map(|(path, trouble)| file_problem(path, trouble)).collect::<Vec<_>>(),
        })
    });
    json!({
        "directory": directory.display().to_string(),
        "endpoint": endpoint,
        "dry_run": true,
        "runs": runs.collect::<Vec<_>>(),
        "set_aside": paths(&survey.set_aside),
    })
}

pub(super) fn paths<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Vec<String> {
    paths.into_iter().map(|path| path.display().to_string()).collect()
}
