//! The result of `logbridge replay`: the records sent, lost and left.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::listing::{exited_processes, file_problem, paths, reason_to_skip};
use crate::command::terminal::{Style, paint, sanitize};
use crate::command::wording::plural;
use logbridge::internals::ledger::OtlpCounters;
use logbridge::internals::notice;
use logbridge::internals::outbox::survey::{RunState, Survey};
use logbridge::internals::ship::{End, Replayed};

/// The result of a replay.
#[derive(Debug)]
pub(super) struct Summary {
    endpoint: String,
    counters: OtlpCounters,
    /// The number of runs whose files are gone because all their records were handled.
    finished_runs: usize,
    /// Damaged files, under their new names.
    set_aside: Vec<PathBuf>,
    left: Vec<Left>,
    /// Why the replay ended early, and how to fix it.
    stopped: Option<(String, String)>,
    took: Duration,
}

/// Records, or a file, that remain in the spool.
#[derive(Debug)]
struct Left {
    records: u64,
    pid: Option<u32>,
    /// ` of process 12 (shop)`, or empty if the reason names the process.
    owner: String,
    reason: String,
    /// Another process will send them.
    is_cared_for: bool,
}

impl Summary {
    pub(super) fn new(
        endpoint: String,
        replayed: Replayed,
        [before, after]: [&Survey; 2],
        patience: Duration,
        took: Duration,
    ) -> Self {
        let stopped = match replayed.end {
            End::Done => None,
            End::GaveUp(failure) => {
                let cause = failure.as_ref().map_or("no response", |failure| failure.text.as_str());
                let help = failure.as_ref().map_or("", |failure| failure.help);
                Some((format!("gave up: no records were accepted for {patience:?}: {cause}"), help.to_owned()))
            }
            End::Halted(failure) => Some((failure.text, failure.help.to_owned())),
            End::Interrupted => Some(("interrupted".to_owned(), String::new())),
        };
        let count = |survey: &Survey| survey.runs.iter().filter(|run| run.is_left()).count();
        Self {
            endpoint,
            counters: replayed.counters,
            finished_runs: count(before).saturating_sub(count(after)),
            set_aside: after.set_aside.iter().filter(|path| !before.set_aside.contains(path)).cloned().collect(),
            left: left(after, stopped.is_some()),
            stopped,
            took,
        }
    }

    /// Returns why the replay ended early, and how to fix it.
    pub(super) fn stopped(&self) -> Option<(&str, &str)> {
        self.stopped.as_ref().map(|(reason, help)| (reason.as_str(), help.as_str()))
    }

    /// Returns whether all records of exited processes were delivered.
    pub(super) fn is_success(&self) -> bool {
        self.stopped.is_none()
            && self.lost() == 0
            && self.set_aside.is_empty()
            && self.left.iter().all(|left| left.is_cared_for)
    }

    fn lost(&self) -> u64 {
        self.counters.lost() + self.counters.unconfirmed
    }

    /// Formats the result as text.
    pub(super) fn text(&self, directory: &Path) -> String {
        let mut text = String::new();
        let mut row = |style: Style, word: &str, rest: &str| {
            let word = paint(style, &format!("{word:<9}"));
            let _infallible = writeln!(text, "{word}  {}", sanitize(rest));
        };
        let OtlpCounters { delivered, rejected, dropped, .. } = &self.counters;
        let took = format!("{:.1} s", self.took.as_secs_f64());
        let sent = format!("{} in {took}, to {}", plural(*delivered, "record"), self.endpoint);
        row(if *delivered > 0 { Style::Success } else { Style::Bold }, "sent", &sent);
        if self.finished_runs > 0 {
            row(Style::Bold, "done", &exited_processes(self.finished_runs as u64));
        }
        for (reason, number) in rejected {
            row(Style::Error, "rejected", &format!("{}: {reason}", plural(*number, "record")));
        }
        for (reason, number) in dropped {
            row(Style::Error, "lost", &format!("{}: {reason}", plural(*number, "record")));
        }
        for path in &self.set_aside {
            row(Style::Warning, "set aside", &format!("{}: damaged", path.display()));
        }
        for Left { records, owner, reason, is_cared_for, .. } in &self.left {
            let style = if *is_cared_for { Style::Bold } else { Style::Warning };
            // A running process may have sent some of them in the meantime.
            let about = if *is_cared_for { "about " } else { "" };
            match *records {
                0 => row(style, "left", reason),
                number => row(style, "left", &format!("{about}{}{owner}: {reason}", plural(number, "record"))),
            }
        }
        if self.stopped.is_some() {
            row(Style::Bold, "next", "run the same command again to send the records that are left");
        }
        if self.is_success() && self.left.is_empty() {
            row(Style::Bold, "left", &format!("nothing in {}", directory.display()));
        }
        text
    }

    /// Formats the result as JSON.
    pub(super) fn as_json(&self, directory: &Path) -> Value {
        let OtlpCounters { delivered, rejected, dropped, unconfirmed, .. } = &self.counters;
        let left = self.left.iter().map(|left| {
            json!({
                "process": left.pid, "records": left.records, "why": left.reason, "cared_for": left.is_cared_for,
            })
        });
        json!({
            "directory": directory.display().to_string(),
            "endpoint": self.endpoint,
            "dry_run": false,
            "runs": self.finished_runs,
            "sent": delivered,
            "rejected": by_reason(rejected),
            "lost": by_reason(dropped),
            "unconfirmed": unconfirmed,
            "set_aside": paths(&self.set_aside),
            "left": left.collect::<Vec<_>>(),
            "stopped": self.stopped.as_ref().map(|(reason, _)| reason),
            "seconds": self.took.as_secs_f64(),
            "notices": notice::history(),
        })
    }
}

fn by_reason<R: ToString>(numbers: &[(R, u64)]) -> Vec<Value> {
    numbers.iter().map(|(reason, number)| json!({ "records": number, "why": reason.to_string() })).collect()
}

/// Collects the records and files that remain in the spool.
fn left(after: &Survey, has_stopped: bool) -> Vec<Left> {
    let mut all = Vec::new();
    for run in after.runs.iter().filter(|run| run.files > 0) {
        let is_cared_for = matches!(run.state, RunState::Lives | RunState::Taken);
        let service = if run.service.is_empty() { String::new() } else { format!(" ({})", run.service) };
        let left = |owner: String, reason: String| Left {
            records: run.records,
            pid: Some(run.pid),
            owner,
            reason,
            is_cared_for,
        };
        match reason_to_skip(run) {
            Some(reason) => all.push(left(String::new(), reason)),
            None if run.records == 0 => {}
            None => {
                let reason = match has_stopped {
                    true => "not sent",
                    false => "its files could not be taken over; check that you can write to the directory",
                };
                all.push(left(format!(" of process {}{service}", run.pid), reason.to_owned()));
            }
        }
        if !is_cared_for {
            all.extend(run.trouble.iter().map(|(path, trouble)| Left {
                records: 0,
                pid: Some(run.pid),
                owner: String::new(),
                reason: file_problem(path, trouble),
                is_cared_for: false,
            }));
        }
    }
    all
}
