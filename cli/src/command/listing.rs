//! What lies in a spool directory, as `logbridge replay --dry-run` shows it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use indicatif::{HumanBytes, HumanCount, HumanDuration};
use serde_json::{Value, json};

use super::terminal::{Look, paint, plain};
use logbridge::internals::clock::{Timestamp, nanos};
use logbridge::internals::outbox::Ending;
use logbridge::internals::outbox::survey::{FileProblem, RunState, Survey, SurveyedRun};
use logbridge::internals::signal::Signal;

/// So many records, in words, with a separator between thousands.
pub(super) fn records(number: u64) -> String {
    format!("{} record{}", HumanCount(number), if number == 1 { "" } else { "s" })
}

fn processes(number: usize) -> String {
    if number == 1 { "1 dead process".to_owned() } else { format!("{} dead processes", HumanCount(number as u64)) }
}

/// What the runs of dead processes hold: `1,204 records of 2 dead processes`.
pub(super) fn waiting(survey: &Survey) -> String {
    let left: Vec<&SurveyedRun> = survey.runs.iter().filter(|run| run.is_left() && run.records > 0).collect();
    format!("{} of {}", records(left.iter().map(|run| run.records).sum()), processes(left.len()))
}

/// Why a process is not asked for its records, where there is a reason.
pub(super) fn why_not(run: &SurveyedRun) -> Option<String> {
    let pid = run.pid;
    match &run.state {
        RunState::Left(_) => None,
        RunState::Lives => Some(format!("process {pid} lives, and sends them itself")),
        RunState::Taken => Some(format!("another process has what process {pid} left, and sends it")),
        RunState::TooYoung => Some(format!(
            "process {pid} has no file that says whether it lives: what it wrote may be sent when it is a minute old"
        )),
        RunState::Unreadable(why) => Some(format!("the file of the run of process {pid} cannot be read: {why}")),
    }
}

/// Why a file is not sent, or not all of it.
pub(super) fn trouble(path: &Path, trouble: &FileProblem) -> String {
    let path = path.display();
    match trouble {
        FileProblem::Damaged(number) => format!("{path}: {} in it damaged", are(*number)),
        FileProblem::Head => format!("{path}: it is no file of a spool, or its head is damaged"),
        FileProblem::Unreadable(why) => format!("{path}: it cannot be read: {why}"),
        FileProblem::Version(version) => {
            format!(
                "{path}: it is of version {version} of the layout: `logbridge replay` of the version that wrote it sends it"
            )
        }
    }
}

fn are(number: u64) -> String {
    format!("{} {}", Signal::Logs.count(number), if number == 1 { "is" } else { "are" })
}

/// Everything that is there, in lines.
pub(super) fn listing(survey: &Survey, directory: &Path, endpoint: &str) -> String {
    let mut text = String::new();
    let shown: Vec<&SurveyedRun> = survey.runs.iter().filter(|run| run.is_left() && run.records > 0).collect();
    let headline = match shown.is_empty() {
        true => format!("nothing in {} can be sent", directory.display()),
        false => format!("{} in {}", waiting(survey), directory.display()),
    };
    let _infallible = writeln!(text, "{}", paint(Look::Bold, &plain(&headline)));
    if !shown.is_empty() {
        let _infallible = writeln!(text, "without --dry-run they are sent to {}\n", plain(endpoint));
        text.push_str(&table(&shown));
    }
    let mut beside: Vec<String> = Vec::new();
    for run in survey.runs.iter().filter(|run| run.files > 0) {
        beside.extend(why_not(run).map(|why| match run.records {
            0 => why,
            number => format!("about {}: {why}", records(number)),
        }));
    }
    let mut bad: Vec<String> = Vec::new();
    for run in survey.runs.iter().filter(|run| run.is_left()) {
        bad.extend(run.trouble.iter().map(|(path, kind)| trouble(path, kind)));
    }
    bad.extend(survey.set_aside.iter().map(|path| {
        format!("{}: it was damaged and set aside before: delete it when nobody wants to look at it", path.display())
    }));
    for (heading, look, lines) in [("left to others", Look::Bold, beside), ("not to be sent", Look::Warning, bad)] {
        if !lines.is_empty() {
            let _infallible = writeln!(text, "\n{}", paint(look, heading));
            lines.iter().for_each(|line| text.push_str(&format!("  {}\n", plain(line))));
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
                ended(run).to_owned(),
                if run.service.is_empty() { "?".to_owned() } else { plain(&run.service) },
                HumanCount(run.records).to_string(),
                HumanBytes(run.bytes).to_string(),
                run.oldest.map_or_else(|| "?".to_owned(), |at| format!("{} ({})", second(at), age(at))),
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
    let mut text = format!("{}\n", paint(Look::Dim, &line(HEADINGS)));
    rows.iter().for_each(|row| text.push_str(&format!("{}\n", line(row.each_ref().map(String::as_str)))));
    text
}

fn ended(run: &SurveyedRun) -> &'static str {
    match run.state {
        RunState::Left(Ending::Orderly) => "orderly",
        RunState::Left(Ending::Sudden) => "suddenly",
        _ => "?",
    }
}

/// RFC 3339, to the second.
fn second(at: u64) -> String {
    let time = Timestamp(at).to_string();
    format!("{}Z", time.get(..19).unwrap_or(&time))
}

fn age(at: u64) -> String {
    let age = Duration::from_nanos(nanos(SystemTime::now()).saturating_sub(at));
    format!("{} ago", HumanDuration(age))
}

/// The same for programs.
pub(super) fn as_json(survey: &Survey, directory: &Path, endpoint: &str) -> Value {
    let runs = survey.runs.iter().map(|run| {
        let state = match &run.state {
            RunState::Left(_) => "left",
            RunState::Lives => "alive",
            RunState::Taken => "taken",
            RunState::TooYoung => "too-young",
            RunState::Unreadable(_) => "unreadable",
        };
        let ended = match run.state {
            RunState::Left(Ending::Orderly) => json!("orderly"),
            RunState::Left(Ending::Sudden) => json!("suddenly"),
            _ => Value::Null,
        };
        json!({
            "process": run.pid,
            "state": state,
            "ended": ended,
            "service_name": (!run.service.is_empty()).then_some(run.service.as_str()),
            "records": run.records,
            "damaged_records": run.damaged,
            "files": run.files,
            "bytes": run.bytes,
            "oldest": run.oldest.map(|at| Timestamp(at).to_string()),
            "trouble": run.trouble.iter().map(|(path, kind)| trouble(path, kind)).collect::<Vec<_>>(),
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

pub(super) fn paths<'a>(paths: impl IntoIterator<Item = &'a std::path::PathBuf>) -> Vec<String> {
    paths.into_iter().map(|path| path.display().to_string()).collect()
}
