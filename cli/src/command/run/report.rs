//! The report of a run: everything known at its end, from which the text, the JSON and the page are made.

use super::child::Ended;
use super::observations::Observations;
use super::program_reports::ProgramReport;
use logbridge::internals::diagnose::ProcessImages;
use logbridge::internals::finding::Finding;
use logbridge::internals::os;

/// The report of a run.
#[derive(Debug)]
pub(super) struct RunReport {
    /// The command, without secrets.
    pub(super) command: String,
    pub(super) ended: Ended,
    /// The endpoint to which requests were forwarded.
    pub(super) upstream: Option<String>,
    pub(super) observations: Observations,
    pub(super) programs: Vec<ProgramReport>,
    /// Programs with logbridge that started, by process.
    pub(super) images: Vec<ProcessImages>,
    pub(super) findings: Vec<Finding>,
}

impl RunReport {
    /// Creates a report without programs and findings.
    pub(super) fn new(command: String, ended: Ended, upstream: Option<String>, mut observations: Observations) -> Self {
        observations.finish();
        Self { command, ended, upstream, observations, programs: Vec::new(), images: Vec::new(), findings: Vec::new() }
    }

    /// Returns the processes in which `exec` replaced a program with logbridge.
    pub(super) fn replaced(&self) -> impl Iterator<Item = &ProcessImages> {
        self.images.iter().filter(|images| images.begun > 1)
    }

    /// Returns the processes whose program ended without running its exit handlers.
    ///
    /// Returns none if a signal ended the command, because that signal is the better explanation.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = &ProcessImages> {
        let has_report = |pid: u32| self.programs.iter().any(|program| program.pid == u64::from(pid));
        let is_unfinished = move |images: &&ProcessImages| {
            images.begun == 1 && images.ended == 0 && !has_report(images.pid) && !os::is_running(images.pid)
        };
        self.images.iter().filter(|_| self.ended.signal.is_none()).filter(is_unfinished)
    }

    /// Returns the number of log records that the endpoint rejected from requests that it accepted.
    pub(super) fn rejected_in_part(&self) -> u64 {
        let refused = self.observations.services.values().flatten().map(|(_, scope)| scope.refused.total()).sum();
        let [[_, lost], ..] = self.observations.sent_and_lost();
        lost.saturating_sub(refused)
    }
}
