//! Notices about the spool directory and its contents.

use std::path::Path;
use std::sync::Arc;

use crate::escape::OneLine;
use crate::finding::kind;
use crate::notice::{self, Notice};
use crate::outbox::{Ending, RecoveredRun, ScanResult, SkippedFile, Spool};
use crate::signal::Signal;

/// Advice for files that are set aside.
const DELETE_HELP: &str = "delete it when it is no longer needed";

/// Emits the notices about a spool directory.
pub(super) struct RecoveryNotices {
    spool: Arc<Spool>,
    /// Whether to report the runs that are found and sent. The command `replay` reports them itself.
    reports_runs: bool,
    /// Records read since the last report that everything was sent.
    read: u64,
    exposure_reported: bool,
    foreign_reported: bool,
}

impl RecoveryNotices {
    pub(super) fn new(spool: Arc<Spool>) -> Self {
        Self { spool, reports_runs: true, read: 0, exposure_reported: false, foreign_reported: false }
    }

    /// Does not report the runs that are found and sent.
    pub(super) fn without_runs(self) -> Self {
        Self { reports_runs: false, ..self }
    }

    /// Reports the result of a scan.
    pub(super) fn report_scan(&mut self, found: &ScanResult) {
        if self.reports_runs {
            self.report_runs(found);
            self.report_directory(found);
        }
    }

    /// Reports whether the directory is private, and files of other users.
    fn report_directory(&mut self, found: &ScanResult) {
        let directory = self.spool.directory().display().to_string();
        let directory = OneLine(&directory);
        if let Some(why) = &found.exposure
            && !std::mem::replace(&mut self.exposure_reported, true)
        {
            let text = format!("the spool in {directory} is not private: {why}");
            let notice = Notice::new(kind::SPOOL_TROUBLE.code, "spool exposed", text)
                .note("other users who can write there can remove records; their own files are not sent")
                .help(
                    "use a directory of this user only (chmod 700), or a new directory below it, which is created so",
                );
            notice::emit(&notice);
        }
        if found.foreign > 0 && !std::mem::replace(&mut self.foreign_reported, true) {
            let text = format!(
                "the spool in {directory} has files that are not sent: they belong to other users, or are not regular \
                 files"
            );
            let notice = Notice::new(kind::SPOOL_TROUBLE.code, "spool foreign", text)
                .help("`logbridge replay --any-owner` sends them, if it may open them");
            notice::emit(&notice);
        }
    }

    /// Reports the runs that are sent now, at most once a minute, because this is normal if processes start and end
    /// often.
    fn report_runs(&self, found: &ScanResult) {
        let runs = found.runs.iter().map(|run| (run, run.estimate()));
        let runs: Vec<(&RecoveredRun, u64)> = runs.filter(|(_, records)| *records > 0).collect();
        let records: u64 = runs.iter().map(|(_, records)| records).sum();
        let is_sudden = runs.iter().any(|(run, _)| run.ending == Ending::Sudden);
        let is_replaced = runs.iter().any(|(run, _)| run.is_replaced);
        let who = match runs.as_slice() {
            [] => return,
            several if found.has_more => format!("at least {} processes", several.len()),
            [(run, _)] if run.is_replaced && run.pid == std::process::id() => {
                format!("the previous program in this process ({})", run.pid)
            }
            [(run, _)] if run.pid == 0 => "a process".to_owned(),
            [(run, _)] => format!("process {}", run.pid),
            several => format!("{} processes", several.len()),
        };
        let ended = match (is_sudden, runs.len()) {
            (false, _) => "ended before everything was delivered",
            (true, 1) if is_replaced => "called `exec` without a flush",
            (true, _) if is_replaced => "were killed, crashed, or called `exec` without a flush",
            (true, 1) => "was killed or crashed",
            (true, _) => "were killed or crashed",
        };
        let (records, directory) = (Signal::Logs.count(records), self.spool.directory().display());
        let and_more = if found.has_more { ", and those of the others," } else { "" };
        let text = format!("{who} {ended}: about {records} left in {directory}{and_more} are sent now");
        notice::emit(&Notice::information("spool found", text));
    }

    /// Reports a file from which nothing is sent.
    pub(super) fn report_skipped(&self, skipped: &SkippedFile) {
        let (text, help) = match skipped {
            SkippedFile::Empty(_) => return,
            // One notice for all of them, because another user may have created many.
            SkippedFile::Unreadable(path, why) => {
                let notice =
                    Notice::new(kind::SPOOL_TROUBLE.code, format!("spool unreadable {why}"), cannot_be_sent(path, why));
                notice::emit(&notice.help(DELETE_HELP));
                return;
            }
            SkippedFile::SetAside(path, why) => (cannot_be_sent(path, why), DELETE_HELP),
            SkippedFile::Version(path, version) => (
                format!(
                    "{} in the spool has version {version} of the layout, which this version cannot read",
                    path.display()
                ),
                "send it with `logbridge replay` of the version that wrote it",
            ),
        };
        notice::emit(&Notice::new(kind::SPOOL_TROUBLE.code, text.clone(), text).help(help));
    }

    /// Reports damaged records in a file that was set aside.
    pub(super) fn report_damaged(&self, path: &Path, records: u64) {
        let records = Signal::Logs.count(records);
        let text = format!("{records} in the spool were damaged and are lost: the file is {} now", path.display());
        let notice = Notice::new(kind::SPOOL_TROUBLE.code, text.clone(), text).error();
        notice::emit(&notice.help(DELETE_HELP));
    }

    /// Reports that the directory is usable again.
    pub(super) fn report_usable(&self) {
        let text = format!("the spool in {} can be used again", self.spool.directory().display());
        notice::emit(&Notice::information("spool is back", text));
    }

    /// Counts records that were read, for [`report_all_sent`](Self::report_all_sent).
    pub(super) fn note_read(&mut self, records: u64) {
        self.read += records;
    }

    /// Reports that all records that were read have been sent.
    pub(super) fn report_all_sent(&mut self) {
        if self.read > 0 && self.reports_runs {
            let records = Signal::Logs.count(std::mem::take(&mut self.read));
            let directory = self.spool.directory().display();
            let text = format!("{records} that other processes left in {directory} have been sent");
            notice::emit(&Notice::information("spool sent", text));
        }
    }
}

fn cannot_be_sent(path: &Path, why: &str) -> String {
    format!("{} in the spool cannot be sent: {why}", path.display())
}
