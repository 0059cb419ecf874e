//! What dead processes have left in the spool, sent beside what this one writes; and the care of the spool's directory.
//!
//! Constraints:
//! * A worker of its own: it shares the thread with the live records and delays none of them by more than one request's
//!   gathering.
//! * Records keep the resource of the process that wrote them, so a request holds those of one run only, oldest first.
//! * Nobody waits for it: neither a flush nor the end of the process. What is not sent stays where it is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::batch::gather;
use super::feed::{Feed, Request};
use super::logs::Size;
use crate::config::Delivery;
use crate::finding::kind;
use crate::ledger::{DropReason, Fate, Ledger};
use crate::notice::{self, Notice};
use crate::outbox::{Adopted, Directory, Ending, Left, Outbox, Skipped, Spool};
use crate::signal::Signal;

/// How often the directory is looked at.
const LOOK: Duration = Duration::from_secs(3);
/// Smaller requests than live ones: where this process is killed too, what was on its way comes twice.
const REQUEST_BYTES: usize = 1 << 20;
/// How often while it cannot be used.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(super) struct RecoveryFeed {
    ledger: Arc<Ledger>,
    outbox: Arc<Outbox>,
    spool: Arc<Spool>,
    directory: Directory,
    /// Oldest first. The segments that were read are of the first one.
    runs: VecDeque<Adopted>,
    /// How many records were read since everything was sent.
    read: u64,
    /// Runs with files that cannot be sent: they are ours, so that they are told of once.
    kept: Vec<Adopted>,
    /// What was read, and how far the first one is used up.
    segments: VecDeque<Left>,
    offset: usize,
    /// Segments that the last request used up, and where the next one begins in the segment after those.
    sent: (usize, usize),
    max_batch: u64,
    max_bytes: usize,
    spare: Vec<u8>,
    look_at: Instant,
    sync_at: Option<Instant>,
    /// Nothing more is sent.
    ending: bool,
    /// Each run that is found, and that was sent, is told of.
    tells_of_runs: bool,
}

impl RecoveryFeed {
    pub(super) fn new(ledger: Arc<Ledger>, outbox: Arc<Outbox>, spool: Arc<Spool>, delivery: &Delivery) -> Self {
        let now = std::time::Instant::now();
        Self {
            ledger,
            outbox,
            directory: Directory(spool.directory().to_owned()),
            sync_at: spool.config().sync.map(|every| (now + every).into()),
            spool,
            runs: VecDeque::new(),
            read: 0,
            kept: Vec::new(),
            segments: VecDeque::new(),
            offset: 0,
            sent: (0, 0),
            max_batch: delivery.max_batch.map_or(u64::MAX, |most| most as u64),
            max_bytes: usize::MAX,
            spare: Vec::new(),
            look_at: now.into(),
            ending: false,
            tells_of_runs: true,
        }
    }

    /// For somebody who watches it.
    #[cfg(feature = "cli")]
    pub(super) fn watched(self) -> Self {
        Self { tells_of_runs: false, ..self }
    }

    fn look(&mut self) {
        if self.outbox.look_after_spool() {
            let text = format!("the spool in {} can be used again", self.spool.directory().display());
            notice::say(&Notice::information("spool is back", text));
        }
        // Where it cannot be read, that is told when a file is to be made.
        let Ok(found) = self.directory.adopt() else { return };
        self.outbox.note_others_in_spool(found.bytes);
        if self.tells_of_runs {
            self.tell_found(&found.runs);
        }
        self.runs.extend(found.runs);
    }

    fn sync(&mut self, now: Instant) {
        let Some(every) = self.spool.config().sync else { return };
        if self.sync_at.is_some_and(|at| at <= now) {
            self.sync_at = Some(now + every);
            let spool = Arc::clone(&self.spool);
            // A disk takes its time, in which records are to be sent.
            drop(tokio::task::spawn_blocking(move || spool.sync()));
        }
    }

    fn room(&self) -> usize {
        self.outbox.request_bytes().min(self.max_bytes).min(REQUEST_BYTES)
    }

    /// Reads what fits into the next request.
    fn fill(&mut self) {
        let room = self.room();
        let bytes = |segments: &VecDeque<Left>| segments.iter().map(|left| left.segment.bytes().len()).sum::<usize>();
        while bytes(&self.segments).saturating_sub(self.offset) < room {
            let Some(run) = self.runs.front_mut() else { return };
            match run.next() {
                Some(Ok(left)) => {
                    let damaged = left.damage.map_or(0, |damage| damage.records);
                    let records = left.segment.records();
                    self.read += records;
                    self.ledger.adopt(records + damaged);
                    if damaged > 0 {
                        self.ledger.resolve(Signal::Logs, &[(Fate::Dropped(DropReason::Damaged), damaged)]);
                    }
                    if records > 0 {
                        self.segments.push_back(left);
                    } else {
                        self.finish(left);
                    }
                }
                Some(Err(skipped)) => self.tell_skipped(&skipped),
                None if self.segments.is_empty() => self.finish_run(),
                // Another run has another resource.
                None => return,
            }
        }
    }

    fn finish(&self, left: Left) {
        let (damage, length) = (left.damage, left.length);
        match (left.finish(), damage) {
            (Some(path), Some(damage)) => {
                let text = format!(
                    "{} in the spool were damaged and are lost: the file is {} now",
                    Signal::Logs.count(damage.records),
                    path.display()
                );
                let notice = Notice::new(kind::SPOOL_TROUBLE.code, text.clone(), text);
                notice::say(&notice.help("delete it when nobody wants to look at it any more"));
            }
            _ => self.spool.freed(length),
        }
    }

    fn tell_skipped(&self, skipped: &Skipped) {
        let (text, help) = match skipped {
            Skipped::Empty(length) => return self.spool.freed(*length),
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
        notice::say(&Notice::new(kind::SPOOL_TROUBLE.code, text.clone(), text).help(help));
    }

    fn finish_run(&mut self) {
        self.kept.extend(self.runs.pop_front().and_then(Adopted::finish));
        if self.runs.is_empty() && self.read > 0 && self.tells_of_runs {
            let records = Signal::Logs.count(std::mem::take(&mut self.read));
            let directory = self.spool.directory().display();
            let text = format!("{records} that other processes left in {directory} have been sent");
            notice::say(&Notice::information("spool sent", text));
        }
    }

    /// Once a minute at most: where processes come and go, this is nothing special.
    fn tell_found(&self, runs: &[Adopted]) {
        let left: Vec<(&Adopted, u64)> =
            runs.iter().map(|run| (run, run.estimate())).filter(|(_, records)| *records > 0).collect();
        let records: u64 = left.iter().map(|(_, records)| records).sum();
        let sudden = left.iter().any(|(run, _)| run.ending == Ending::Sudden);
        let is_replaced = left.iter().any(|(run, _)| run.is_replaced);
        let who = match left.as_slice() {
            [] => return,
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
        let text = format!("{who} {ended}: about {records} left in {directory} are sent now");
        notice::say(&Notice::information("spool found", text));
    }
}

impl Feed for RecoveryFeed {
    fn collect(&mut self, at_once: bool, _held: bool) {
        // There is no other time when this is asked for.
        self.ending |= at_once;
        let now = Instant::now();
        let soon = self.spool.take_look_soon();
        if !self.ending && !self.spool.is_ending() && (soon || self.look_at <= now) {
            self.look();
        }
        if self.look_at <= now {
            self.look_at = now + if self.spool.is_usable() { LOOK } else { LOOK_AGAIN };
        }
        self.sync(now);
    }

    fn settled(&self) -> u64 {
        u64::MAX
    }

    fn is_empty(&self) -> bool {
        self.ending || (self.segments.is_empty() && self.runs.is_empty())
    }

    fn is_waiting(&self) -> bool {
        false
    }

    fn due_at(&self) -> Option<Instant> {
        self.sync_at.into_iter().chain([self.look_at]).min()
    }

    fn request(&mut self) -> Option<Request> {
        self.fill();
        let resource = self.segments.front()?.resource.clone();
        let spare = std::mem::take(&mut self.spare);
        let queue = self.segments.iter().take_while(|left| left.resource == resource).map(|left| &left.segment);
        let batch = gather(queue, self.offset, &resource, self.room(), self.max_batch, spare);
        self.sent = (batch.segments, batch.offset);
        Some(Request { body: Bytes::from(batch.body), encoding: None, items: batch.records })
    }

    fn settle_some(&mut self, fates: &[(Fate, u64)]) {
        self.ledger.resolve(Signal::Logs, fates);
    }

    fn settle(&mut self, fates: &[(Fate, u64)]) {
        self.settle_some(fates);
        let (segments, offset) = self.sent;
        let used: Vec<Left> = self.segments.drain(..segments.min(self.segments.len())).collect();
        used.into_iter().for_each(|left| self.finish(left));
        self.offset = offset;
        if offset > 0
            && let Some(left) = self.segments.front()
        {
            left.consume(left.segment.records() - left.segment.records_from(offset));
        }
        self.outbox.made_room();
    }

    fn give_up(&mut self, _rest: u64) {}

    fn take_back(&mut self, request: Request) {
        self.spare = Vec::from(request.body);
    }

    fn limit(&mut self, bytes: usize) {
        self.max_bytes = bytes;
    }

    /// It stays for another process.
    fn drop_all(&mut self) {
        self.segments.clear();
        self.runs.clear();
    }

    fn trim(&mut self) {
        self.spare = Vec::new();
    }

    fn pending(&self) -> u64 {
        self.ledger.snapshot().otlp.pending
    }

    fn bound(&self) -> String {
        Size(self.spool.max_bytes()).to_string()
    }

    fn keeps(&self) -> bool {
        true
    }

    fn place(&self) -> &'static str {
        "in the spool"
    }
}
