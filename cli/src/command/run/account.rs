//! Everything that is known at the end, from which the lines, the JSON and the page are made.

use super::child::Ended;
use super::evidence::Evidence;
use super::findings::Circumstances;
use super::reports::Program;
use super::text::UNMATCHED;
use crate::command::inlet::Levels;
use logbridge::internals::diagnose::ProcessImages;
use logbridge::internals::finding::Finding;
use logbridge::internals::os;

#[derive(Debug)]
pub(super) struct Account {
    /// As it was written.
    pub(super) command: String,
    pub(super) ended: Ended,
    /// Where it was passed on to, if it was.
    pub(super) upstream: Option<String>,
    pub(super) evidence: Evidence,
    pub(super) programs: Vec<Program>,
    /// Programs with logbridge that began, by process.
    pub(super) images: Vec<ProcessImages>,
    pub(super) findings: Vec<Finding>,
}

/// So many log records of one target and level, and what became of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Flow {
    pub(super) target: String,
    pub(super) level: &'static str,
    pub(super) fate: ItemOutcome,
    pub(super) records: u64,
}

/// What became of log records.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum ItemOutcome {
    Arrived,
    /// It came in a request of which the endpoint rejected some.
    Partly,
    /// The endpoint refused it.
    Refused(String),
    /// It was given up.
    Dropped(String),
    /// It waited when the program ended.
    Pending,
    /// It was not to be sent, for another reason than a level.
    LeftOut(String),
    /// A level cut it.
    Below,
}

impl ItemOutcome {
    pub(super) fn words(&self) -> String {
        match self {
            Self::Arrived => "arrived".to_owned(),
            Self::Partly => "in requests that were taken in part".to_owned(),
            Self::Refused(why) => format!("refused: {why}"),
            Self::Dropped(why) => format!("dropped: {why}"),
            Self::Pending => "left waiting".to_owned(),
            Self::LeftOut(why) => why.clone(),
            Self::Below => "below the level".to_owned(),
        }
    }

    /// What it is painted as.
    pub(super) fn class(&self) -> &'static str {
        match self {
            Self::Arrived => "arrived",
            Self::Refused(_) => "refused",
            Self::Dropped(_) => "dropped",
            Self::Partly | Self::Pending => "pending",
            Self::LeftOut(_) => "leftout",
            Self::Below => "below",
        }
    }
}

/// Of what nobody knows the target, or the level.
pub(super) const UNKNOWN: &str = "(not known)";

impl Account {
    pub(super) fn new(command: String, ended: Ended, upstream: Option<String>, mut evidence: Evidence) -> Self {
        evidence.close();
        Self { command, ended, upstream, evidence, programs: Vec::new(), images: Vec::new(), findings: Vec::new() }
    }

    /// With what programs say of themselves, and what deserves a look.
    pub(super) fn judged(mut self, programs: Vec<Program>, circumstances: &Circumstances) -> Self {
        self.programs = programs;
        self.findings = super::findings::judge(&self, circumstances);
        self
    }

    /// Processes in which a program with logbridge was replaced by another one.
    pub(super) fn replaced(&self) -> impl Iterator<Item = &ProcessImages> {
        self.images.iter().filter(|images| images.begun > 1)
    }

    /// Those whose program came to no end that it could have seen, and that do not go on. Where a signal ended the program
    /// that was run, that tells more.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = &ProcessImages> {
        let has_report = |pid: u32| self.programs.iter().any(|program| program.pid == u64::from(pid));
        let is_one = move |images: &&ProcessImages| {
            images.begun == 1 && images.ended == 0 && !has_report(images.pid) && !os::is_running(images.pid)
        };
        self.images.iter().filter(|_| self.ended.signal.is_none()).filter(is_one)
    }

    /// So many log records were rejected of requests that were taken in part.
    pub(super) fn rejected_in_part(&self) -> u64 {
        let refused = self.evidence.services.values().flatten().map(|(_, scope)| scope.refused.all()).sum();
        let [[_, lost], ..] = self.evidence.sent_and_lost();
        lost.saturating_sub(refused)
    }

    /// All log records, each with what became of it.
    pub(super) fn flows(&self) -> Vec<Flow> {
        let mut flows = Vec::new();
        let mut add = |target: &str, level: &str, fate: ItemOutcome, records: u64| {
            let level = Levels::NAMES.into_iter().find(|name| *name == level).unwrap_or(UNKNOWN);
            if records > 0 {
                let target = if target.is_empty() { "(no target)" } else { target };
                flows.push(Flow { target: target.to_owned(), level, fate, records });
            }
        };
        let has_reports = !self.programs.is_empty();
        for (target, scope) in self.evidence.services.values().flatten() {
            for (level, name) in Levels::NAMES.into_iter().enumerate() {
                add(target, name, ItemOutcome::Arrived, scope.taken.0.get(level).copied().unwrap_or_default());
                let partly = scope.partly.0.get(level).copied().unwrap_or_default();
                add(target, name, ItemOutcome::Partly, partly);
                // A program with a report tells better what became of these: perhaps they were taken later.
                let refused = scope.refused.0.get(level).copied().filter(|_| !has_reports).unwrap_or_default();
                add(target, name, ItemOutcome::Refused("by the endpoint".to_owned()), refused);
            }
        }
        // These are among those that were taken in part.
        let mut told = self.rejected_in_part();
        for program in &self.programs {
            let otlp = &program.otlp;
            // What is told by target first, and what is left of the sum then.
            let mut rest = program.below + otlp.below;
            // What the console left out was sent all the same, and has arrived above.
            for cut in program.cuts.iter().filter(|cut| cut.stage != "console") {
                let fate =
                    if cut.is_by_text() { ItemOutcome::LeftOut(UNMATCHED.to_owned()) } else { ItemOutcome::Below };
                add(&cut.target, &cut.level, fate, cut.records);
                rest = rest.saturating_sub(cut.records);
            }
            add(UNKNOWN, UNKNOWN, ItemOutcome::Below, rest);
            let mut dropped = otlp.dropped.clone();
            for drop in &program.dropped {
                add(&drop.target, &drop.level, ItemOutcome::Dropped(drop.by.clone()), drop.records);
                if let Some((_, number)) = dropped.iter_mut().find(|(reason, _)| *reason == drop.by) {
                    *number = number.saturating_sub(drop.records);
                }
            }
            for (reason, number) in dropped {
                add(UNKNOWN, UNKNOWN, ItemOutcome::Dropped(reason), number);
            }
            for (reason, number) in &otlp.rejected {
                let among = told.min(*number);
                told -= among;
                add(UNKNOWN, UNKNOWN, ItemOutcome::Refused(reason.clone()), *number - among);
            }
            add(UNKNOWN, UNKNOWN, ItemOutcome::Refused("not confirmed".to_owned()), otlp.unconfirmed);
            add(UNKNOWN, UNKNOWN, ItemOutcome::Pending, otlp.pending);
            for (why, number) in [
                ("suppressed", otlp.suppressed),
                ("trace not sampled", otlp.unsampled),
                ("repeated too often", otlp.repeated),
            ] {
                add(UNKNOWN, UNKNOWN, ItemOutcome::LeftOut(why.to_owned()), number);
            }
        }
        flows
    }
}
