//! What is said of the spool's directory, and of what lies in it.

use super::RecoveryFeed;
use crate::escape::OneLine;
use crate::finding::kind;
use crate::notice::{self, Notice};
use crate::outbox::{Adopted, Ending, Found, Skipped};
use crate::signal::Signal;

impl RecoveryFeed {
    /// The directory itself, and what others have put there.
    pub(super) fn tell_surroundings(&mut self, found: &Found) {
        let directory = self.spool.directory().display().to_string();
        let directory = OneLine(&directory);
        if let Some(why) = &found.exposure
            && !std::mem::replace(&mut self.told_exposure, true)
        {
            let text = format!("the spool in {directory} is not private: {why}");
            let notice = Notice::new(kind::SPOOL_TROUBLE.code, "spool exposed", text)
                .note("whoever can write there can remove records; what other users put there is not sent")
                .help("use a directory of this user only: chmod 700, or a new one below it, which is made so");
            notice::emit(&notice);
        }
        if found.foreign > 0 && !std::mem::replace(&mut self.told_foreign, true) {
            let text = format!(
                "the spool in {directory} has files that are not sent: they belong to other users, or are no regular files"
            );
            let notice = Notice::new(kind::SPOOL_TROUBLE.code, "spool foreign", text)
                .help("`logbridge replay --any-owner` sends them, where it may open them");
            notice::emit(&notice);
        }
    }

    pub(super) fn tell_skipped(&self, skipped: &Skipped) {
        let (text, help) = match skipped {
            Skipped::Empty(length) => return self.spool.freed(*length),
            // Once for all of them: whoever can write there may have put many.
            Skipped::Unreadable(path, why) => {
                let text = format!("{} in the spool cannot be sent: {why}", path.display());
                let notice = Notice::new(kind::SPOOL_TROUBLE.code, format!("spool unreadable {why}"), text);
                notice::emit(&notice.help("delete it when nobody wants to look at it any more"));
                return;
            }
            Skipped::SetAside(path, why) => (
                format!("{} in the spool cannot be sent: {why}", path.display()),
                "delete it when nobody wants to look at it any more",
            ),
            Skipped::Version(path, version) => (
                format!(
                    "{} in the spool is of version {version} of its layout, which this one cannot read",
                    path.display()
                ),
                "`logbridge replay` of the version that wrote it sends what is in it",
            ),
        };
        notice::emit(&Notice::new(kind::SPOOL_TROUBLE.code, text.clone(), text).help(help));
    }

    /// Once a minute at most: where processes come and go, this is nothing special.
    pub(super) fn tell_found(&self, found: &Found) {
        let left: Vec<(&Adopted, u64)> =
            found.runs.iter().map(|run| (run, run.estimate())).filter(|(_, records)| *records > 0).collect();
        let records: u64 = left.iter().map(|(_, records)| records).sum();
        let sudden = left.iter().any(|(run, _)| run.ending == Ending::Sudden);
        let is_replaced = left.iter().any(|(run, _)| run.is_replaced);
        let who = match left.as_slice() {
            [] => return,
            several if found.has_more => format!("at least {} processes", several.len()),
            [(run, _)] if run.is_replaced && run.pid == std::process::id() => {
                format!("the previous program in this process ({})", run.pid)
            }
            [(run, _)] if run.pid == 0 => "a process".to_owned(),
            [(run, _)] => format!("process {}", run.pid),
            several => format!("{} processes", several.len()),
        };
        let ended = match (sudden, left.len()) {
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
}
