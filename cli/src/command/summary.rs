//! What became of a spool that was sent by hand.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::HumanCount;
use serde_json::{Value, json};

use super::listing::{paths, records, trouble, why_not};
use super::terminal::{Look, paint, plain};
use logbridge::internals::ledger::OtlpCounters;
use logbridge::internals::notice;
use logbridge::internals::outbox::survey::{RunState, Survey};
use logbridge::internals::ship::{End, Replayed};

/// What became of it.
#[derive(Debug)]
pub(super) struct Summary {
    endpoint: String,
    counters: OtlpCounters,
    /// Runs that are gone: all that could be sent of them was.
    runs: usize,
    /// Files that were damaged, under the names they have now.
    set_aside: Vec<PathBuf>,
    left: Vec<Left>,
    /// Why it ended before everything was sent.
    stopped: Option<(String, String)>,
    took: Duration,
}

/// Something that is still there.
#[derive(Debug)]
struct Left {
    records: u64,
    pid: Option<u32>,
    /// Of which process, where the reason does not say it.
    whose: String,
    why: String,
    /// It is somebody else's, and in good hands.
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
                let cause = failure.as_ref().map_or("no answer came", |failure| failure.text.as_str());
                let help = failure.as_ref().map_or("", |failure| failure.help);
                Some((format!("gave up: nothing was taken for {patience:?}: {cause}"), help.to_owned()))
            }
            End::Halted(failure) => Some((failure.text, failure.help.to_owned())),
            End::Interrupted => Some(("interrupted".to_owned(), String::new())),
        };
        let count = |survey: &Survey| survey.runs.iter().filter(|run| run.is_left()).count();
        Self {
            endpoint,
            counters: replayed.counters,
            runs: count(before).saturating_sub(count(after)),
            set_aside: after.set_aside.iter().filter(|path| !before.set_aside.contains(path)).cloned().collect(),
            left: left(after, stopped.is_some()),
            stopped,
            took,
        }
    }

    /// Why it ended before everything was sent, and what to change.
    pub(super) fn stopped(&self) -> Option<(&str, &str)> {
        self.stopped.as_ref().map(|(why, help)| (why.as_str(), help.as_str()))
    }

    /// Whether everything that dead processes left was delivered.
    pub(super) fn is_good(&self) -> bool {
        self.stopped.is_none()
            && self.lost() == 0
            && self.set_aside.is_empty()
            && self.left.iter().all(|left| left.is_cared_for)
    }

    fn lost(&self) -> u64 {
        self.counters.lost() + self.counters.unconfirmed
    }

    /// In lines.
    pub(super) fn text(&self, directory: &Path) -> String {
        let mut text = String::new();
        let mut row = |look: Look, word: &str, rest: &str| {
            let word = paint(look, &format!("{word:<9}"));
            let _infallible = writeln!(text, "{word}  {}", plain(rest));
        };
        let OtlpCounters { delivered, rejected, dropped, .. } = &self.counters;
        let processes = if self.runs == 1 { "process" } else { "processes" };
        let took = format!("{:.1} s", self.took.as_secs_f64());
        let sent = format!("{} in {took}, to {}", records(*delivered), self.endpoint);
        row(if *delivered > 0 { Look::Good } else { Look::Bold }, "sent", &sent);
        if self.runs > 0 {
            row(Look::Bold, "done", &format!("{} dead {processes}", HumanCount(self.runs as u64)));
        }
        for (reason, number) in rejected {
            row(Look::Bad, "rejected", &format!("{}: {reason}", records(*number)));
        }
        for (reason, number) in dropped {
            row(Look::Bad, "lost", &format!("{}: {reason}", records(*number)));
        }
        for path in &self.set_aside {
            row(Look::Warning, "set aside", &format!("{}: it was damaged", path.display()));
        }
        for left in &self.left {
            let look = if left.is_cared_for { Look::Bold } else { Look::Warning };
            // Those of the living come and go.
            let about = if left.is_cared_for { "about " } else { "" };
            match left.records {
                0 => row(look, "left", &left.why),
                number => row(look, "left", &format!("{about}{}{}: {}", records(number), left.whose, left.why)),
            }
        }
        if self.stopped.is_some() {
            row(Look::Bold, "next", "nothing of what is left is lost: the same command sends it");
        }
        if self.is_good() && self.left.is_empty() {
            row(Look::Bold, "left", &format!("nothing in {}", directory.display()));
        }
        text
    }

    /// For programs.
    pub(super) fn as_json(&self, directory: &Path) -> Value {
        let OtlpCounters { delivered, rejected, dropped, unconfirmed, .. } = &self.counters;
        let left = self.left.iter().map(
            |left| json!({ "process": left.pid, "records": left.records, "why": left.why, "cared_for": left.is_cared_for }),
        );
        json!({
            "directory": directory.display().to_string(),
            "endpoint": self.endpoint,
            "dry_run": false,
            "runs": self.runs,
            "sent": delivered,
            "rejected": reasons(rejected),
            "lost": reasons(dropped),
            "unconfirmed": unconfirmed,
            "set_aside": paths(&self.set_aside),
            "left": left.collect::<Vec<_>>(),
            "stopped": self.stopped.as_ref().map(|(why, _)| why),
            "seconds": self.took.as_secs_f64(),
            "notices": notice::history(),
        })
    }
}

fn reasons<R: ToString>(numbers: &[(R, u64)]) -> Vec<Value> {
    numbers.iter().map(|(reason, number)| json!({ "records": number, "why": reason.to_string() })).collect()
}

/// What is still there, and why.
fn left(after: &Survey, has_stopped: bool) -> Vec<Left> {
    let mut all = Vec::new();
    for run in after.runs.iter().filter(|run| run.files > 0) {
        let is_cared_for = matches!(run.state, RunState::Lives | RunState::Taken);
        let service = if run.service.is_empty() { String::new() } else { format!(" ({})", run.service) };
        let left =
            |whose: String, why: String| Left { records: run.records, pid: Some(run.pid), whose, why, is_cared_for };
        match why_not(run) {
            Some(why) => all.push(left(String::new(), why)),
            None if run.records == 0 => {}
            None => {
                let why = match has_stopped {
                    true => "not sent",
                    false => "its files could not be taken over: may you write in this directory?",
                };
                all.push(left(format!(" of process {}{service}", run.pid), why.to_owned()));
            }
        }
        if !is_cared_for {
            all.extend(run.trouble.iter().map(|(path, kind)| Left {
                records: 0,
                pid: Some(run.pid),
                whose: String::new(),
                why: trouble(path, kind),
                is_cared_for: false,
            }));
        }
    }
    all
}
