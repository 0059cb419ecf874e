//! Log records by target, level and outcome.

use super::report::RunReport;
use super::wording::UNMATCHED;
use crate::command::intake::LevelCounts;

/// A number of log records with the same target, level and outcome.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Flow {
    pub(super) target: String,
    pub(super) level: &'static str,
    pub(super) outcome: RecordOutcome,
    pub(super) records: u64,
}

/// The outcome of a log record.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum RecordOutcome {
    Arrived,
    /// The record was in a request of which the endpoint rejected some records.
    Partly,
    /// The endpoint refused the record.
    Refused(String),
    /// The program dropped the record.
    Dropped(String),
    /// The record was waiting when the program ended.
    Pending,
    /// The program did not send the record, for another reason than its level.
    LeftOut(String),
    /// The record was below its level.
    Below,
}

impl RecordOutcome {
    /// Formats the outcome. The JSON form has the same text, so it must not change.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Arrived => "arrived".to_owned(),
            Self::Partly => "in requests that were taken in part".to_owned(),
            Self::Refused(reason) => format!("refused: {reason}"),
            Self::Dropped(reason) => format!("dropped: {reason}"),
            Self::Pending => "left waiting".to_owned(),
            Self::LeftOut(reason) => reason.clone(),
            Self::Below => "below the level".to_owned(),
        }
    }
}

/// The placeholder for an unknown target or level.
pub(super) const UNKNOWN: &str = "(not known)";

/// Collects all log records that are known from the requests and from the reports of programs.
pub(super) fn flows(report: &RunReport) -> Vec<Flow> {
    let mut flows = Flows(Vec::new());
    flows.add_received(report);
    // Records that were rejected from an accepted request are in the requests above and in the programs' reports.
    let mut counted_twice = report.rejected_in_part();
    for program in &report.programs {
        let otlp = &program.otlp;
        // The reports name targets only for some of the filtered and dropped records. The rest has no target.
        let mut below = program.below + otlp.below;
        // Records that the console filtered are exported all the same.
        for stopped in program.filtered.iter().filter(|stopped| stopped.stage != "console") {
            let outcome = match stopped.is_by_message_filter() {
                true => RecordOutcome::LeftOut(UNMATCHED.to_owned()),
                false => RecordOutcome::Below,
            };
            flows.add(&stopped.target, &stopped.level, outcome, stopped.records);
            below = below.saturating_sub(stopped.records);
        }
        flows.add_unknown(RecordOutcome::Below, below);
        let mut dropped = otlp.dropped.clone();
        for stopped in &program.dropped {
            let outcome = RecordOutcome::Dropped(stopped.by.clone());
            flows.add(&stopped.target, &stopped.level, outcome, stopped.records);
            if let Some((_, number)) = dropped.iter_mut().find(|(reason, _)| *reason == stopped.by) {
                *number = number.saturating_sub(stopped.records);
            }
        }
        for (reason, number) in dropped {
            flows.add_unknown(RecordOutcome::Dropped(reason), number);
        }
        for (reason, number) in &otlp.rejected {
            let duplicates = counted_twice.min(*number);
            counted_twice -= duplicates;
            flows.add_unknown(RecordOutcome::Refused(reason.clone()), *number - duplicates);
        }
        flows.add_unknown(RecordOutcome::Refused("not confirmed".to_owned()), otlp.unconfirmed);
        flows.add_unknown(RecordOutcome::Pending, otlp.pending);
        for (reason, number) in [
            ("suppressed", otlp.suppressed),
            ("trace not sampled", otlp.unsampled),
            ("repeated too often", otlp.repeated),
        ] {
            flows.add_unknown(RecordOutcome::LeftOut(reason.to_owned()), number);
        }
    }
    flows.0
}

struct Flows(Vec<Flow>);

impl Flows {
    fn add(&mut self, target: &str, level: &str, outcome: RecordOutcome, records: u64) {
        let level = LevelCounts::NAMES.into_iter().find(|name| *name == level).unwrap_or(UNKNOWN);
        if records > 0 {
            let target = if target.is_empty() { "(no target)" } else { target };
            self.0.push(Flow { target: target.to_owned(), level, outcome, records });
        }
    }

    fn add_unknown(&mut self, outcome: RecordOutcome, records: u64) {
        self.add(UNKNOWN, UNKNOWN, outcome, records);
    }

    /// Adds the log records that arrived in requests.
    fn add_received(&mut self, report: &RunReport) {
        let has_reports = !report.programs.is_empty();
        for (target, scope) in report.observations.services.values().flatten() {
            for (level, name) in LevelCounts::NAMES.into_iter().enumerate() {
                self.add(target, name, RecordOutcome::Arrived, scope.accepted.get(level));
                self.add(target, name, RecordOutcome::Partly, scope.partly.get(level));
                // The report of a program knows the final outcome of refused records, which it may have sent again.
                if !has_reports {
                    let outcome = RecordOutcome::Refused("by the endpoint".to_owned());
                    self.add(target, name, outcome, scope.refused.get(level));
                }
            }
        }
    }
}
