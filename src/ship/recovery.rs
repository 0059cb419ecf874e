//! Sends the records that other processes left in the spool, and maintains the spool directory.
//!
//! Constraints:
//! * This source has its own worker. The worker shares the thread with live records and delays them at most by the time
//!   to collect one request, for which it opens a bounded number of files.
//! * A bounded number of runs is held at a time. If more are left, the next scan follows at once.
//! * Records keep the resource of the process that wrote them. The oldest are sent first.
//! * Neither a flush nor the end of the process waits for it. Records that are not sent stay in the spool.

mod notices;
mod recovered_group;
mod spool_scans;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use notices::RecoveryNotices;
use recovered_group::RecoveredGroup;
use spool_scans::SpoolScans;
use tokio::time::Instant;

use super::batch::gather;
use super::byte_size::ByteSize;
use super::control::Control;
use super::request_source::{Request, RequestSource};
use crate::config::LogDelivery;
use crate::ledger::{DropReason, ItemOutcome, Ledger};
use crate::outbox::{Offsets, Outbox, RecoveredRun, RecoveredSegment, ScanResult, SkippedFile, Spool};
use crate::signal::Signal;

/// How often the directory is scanned.
const SCAN_INTERVAL: Duration = Duration::from_secs(3);
/// How often the directory is scanned while it is unusable.
const UNUSABLE_INTERVAL: Duration = Duration::from_secs(1);
/// The size of recovery requests. Smaller than live ones, because the current request is sent twice if this process is
/// killed too.
const REQUEST_BYTES: usize = 1 << 20;
/// The maximum number of runs held, not counting runs with files that cannot be sent.
const MAX_RUNS: usize = 512;
/// If fewer runs than this are held, more are taken.
const FEW_RUNS: usize = 128;
/// The maximum number of files read for one request.
const MAX_FILES: usize = 64;
/// The maximum number of runs with unsendable files that stay locked, so that no other process reports them.
const MAX_KEPT_RUNS: usize = 64;

/// Turns the records of ended processes into requests.
pub(super) struct RecoverySource {
    ledger: Arc<Ledger>,
    outbox: Arc<Outbox>,
    spool: Arc<Spool>,
    scans: SpoolScans,
    notices: RecoveryNotices,
    /// Oldest first. The segments that were read last belong to the first run.
    runs: VecDeque<RecoveredRun>,
    /// Runs with files that cannot be sent. They stay locked, so that they are reported once.
    kept: Vec<RecoveredRun>,
    /// The groups that were read, and where the next request begins in the first one.
    groups: VecDeque<RecoveredGroup>,
    offsets: Offsets,
    /// How many groups the last request used up, and where the next one begins in the following group.
    sent: (usize, Offsets),
    max_batch: u64,
    max_bytes: usize,
    /// The buffer of the last request, for reuse.
    spare: Vec<u8>,
    sync_at: Option<Instant>,
    /// Whether the process or the pipeline is ending, so that nothing more is sent.
    ending: bool,
}

impl RecoverySource {
    pub(super) fn new(
        ledger: Arc<Ledger>,
        outbox: Arc<Outbox>,
        spool: Arc<Spool>,
        delivery: &LogDelivery,
        control: Arc<Control>,
    ) -> Self {
        Self {
            ledger,
            outbox,
            scans: SpoolScans::new(Arc::clone(&spool), control),
            notices: RecoveryNotices::new(Arc::clone(&spool)),
            sync_at: spool.config().sync.and_then(|every| Instant::now().checked_add(every)),
            spool,
            runs: VecDeque::new(),
            kept: Vec::new(),
            groups: VecDeque::new(),
            offsets: [0; 2],
            sent: (0, [0; 2]),
            max_batch: delivery.max_batch.map_or(u64::MAX, |max| max as u64),
            max_bytes: usize::MAX,
            spare: Vec::new(),
            ending: false,
        }
    }

    /// Creates a source for a caller that waits for it and reports the runs itself.
    pub(super) fn in_foreground(self) -> Self {
        Self { scans: self.scans.in_foreground(), notices: self.notices.without_runs(), ..self }
    }

    /// Returns whether the last scan left runs for the next one.
    pub(super) fn has_more(&self) -> bool {
        self.scans.has_more()
    }

    /// Takes more of the runs that the last scan left, if there is space for them.
    pub(super) fn scan_more(&mut self) {
        if self.scans.has_more() && self.runs.len() < FEW_RUNS {
            self.scan(false);
        }
    }

    fn scan(&mut self, anew: bool) {
        if let Some(found) = self.scans.start(anew, MAX_RUNS.saturating_sub(self.runs.len())) {
            self.take_found(found);
        }
    }

    fn take_found(&mut self, found: ScanResult) {
        match found.bytes {
            Some(bytes) => self.outbox.set_total_bytes_in_spool(bytes),
            None => self.spool.note_freed(found.freed),
        }
        self.notices.report_scan(&found);
        self.runs.extend(found.runs);
    }

    fn sync(&mut self, now: Instant) {
        let Some(every) = self.spool.config().sync else { return };
        if self.sync_at.is_some_and(|at| at <= now) {
            self.sync_at = now.checked_add(every);
            let spool = Arc::clone(&self.spool);
            // On another thread, because disks are slow and records must be sent meanwhile.
            drop(tokio::task::spawn_blocking(move || spool.sync()));
        }
    }

    /// Returns how long a request may be.
    fn room(&self) -> usize {
        self.outbox.request_bytes().min(self.max_bytes).min(REQUEST_BYTES)
    }

    /// Reads as many records as fit into the next request.
    fn fill(&mut self) {
        let room = self.room();
        let bytes =
            |group: &RecoveredGroup| group.lanes().iter().flatten().map(|segment| segment.bytes().len()).sum::<usize>();
        let used: usize = self.offsets.iter().sum();
        for step in 0.. {
            let Some(run) = self.runs.front_mut() else { return };
            // Each run takes one more step than it has files.
            let is_full = step >= 2 * MAX_FILES
                || self.groups.len() >= MAX_FILES
                || self.groups.iter().map(bytes).sum::<usize>() >= room.saturating_add(used);
            // Both lanes of a group are sent together.
            let last = self.groups.back().filter(|last| last.run.is_none()).and_then(RecoveredGroup::first);
            if is_full && last.is_none_or(|last| run.next_group() != Some(last.group)) {
                return;
            }
            match run.next() {
                Some(Ok(segment)) => self.take_segment(segment),
                Some(Err(skipped)) => {
                    if let SkippedFile::Empty(length) = skipped {
                        self.spool.note_freed(length);
                    }
                    self.notices.report_skipped(&skipped);
                }
                None => self.end_run(),
            }
        }
    }

    fn take_segment(&mut self, recovered: RecoveredSegment) {
        let damaged = recovered.damage.map_or(0, |damage| damage.records);
        let records = recovered.segment.records();
        self.notices.note_read(records);
        self.ledger.adopt(records + damaged);
        if damaged > 0 {
            self.ledger.resolve(Signal::Logs, &[(ItemOutcome::Dropped(DropReason::Damaged), damaged)]);
        }
        if records == 0 {
            return self.finish_segment(recovered);
        }
        let alone = match self.groups.back_mut() {
            Some(group) => group.join(recovered),
            None => Some(recovered),
        };
        self.groups.extend(alone.map(RecoveredGroup::new));
    }

    /// Takes the first run off the queue, because all its segments were read.
    fn end_run(&mut self) {
        let Some(run) = self.runs.pop_front() else { return };
        match self.groups.back_mut().filter(|last| last.first().is_some_and(|recovered| run.has(recovered))) {
            Some(last) => last.run = Some(run),
            None => self.finish_run(run),
        }
    }

    fn finish_segment(&self, recovered: RecoveredSegment) {
        let (damage, length) = (recovered.damage, recovered.length);
        match (recovered.finish(), damage) {
            (Some(path), Some(damage)) => self.notices.report_damaged(&path, damage.records),
            _ => self.spool.note_freed(length),
        }
    }

    fn finish_run(&mut self, run: RecoveredRun) {
        if let Some(kept) = run.finish() {
            if self.kept.len() < MAX_KEPT_RUNS { self.kept.push(kept) } else { self.scans.ignore(kept) }
        }
        if self.runs.is_empty() && self.groups.is_empty() && !self.scans.has_more() {
            self.notices.report_all_sent();
        }
    }
}

impl RequestSource for RecoverySource {
    fn collect(&mut self, at_once: bool, _held: bool) {
        // `at_once` is only set when the worker is stopped.
        self.ending |= at_once;
        let now = Instant::now();
        if let Some(found) = self.scans.take_finished() {
            self.take_found(found);
        }
        let is_due = self.scans.next_at() <= now;
        if !self.ending && !self.spool.is_ending() && !self.scans.is_running() {
            if self.spool.take_scan_request() || is_due {
                if self.outbox.check_spool() {
                    self.notices.report_usable();
                }
                self.scan(true);
            } else {
                self.scan_more();
            }
        }
        if is_due {
            let interval = if self.spool.is_usable() { SCAN_INTERVAL } else { UNUSABLE_INTERVAL };
            self.scans.schedule(now + interval);
        }
        self.sync(now);
    }

    /// No flush waits for this source.
    fn settled(&self) -> u64 {
        u64::MAX
    }

    fn is_empty(&self) -> bool {
        self.ending || (self.groups.is_empty() && self.runs.is_empty())
    }

    fn has_unsealed(&self) -> bool {
        false
    }

    fn due_at(&self) -> Option<Instant> {
        self.sync_at.into_iter().chain([self.scans.next_at()]).min()
    }

    fn next_request(&mut self) -> Option<Request> {
        self.fill();
        let (room, mut body) = (self.room(), std::mem::take(&mut self.spare));
        let (mut items, mut used, mut offsets) = (0, 0, self.offsets);
        body.clear();
        // Collects the groups of one resource after the other.
        while items < self.max_batch
            && let Some(RecoveredSegment { resource, .. }) = self.groups.get(used).and_then(RecoveredGroup::first)
        {
            let is_alike =
                |group: &&RecoveredGroup| group.first().is_some_and(|recovered| recovered.resource == *resource);
            let queue = self.groups.iter().skip(used).take_while(is_alike).map(RecoveredGroup::lanes);
            let rest = room.saturating_sub(body.len());
            let spare = if items == 0 { std::mem::take(&mut body) } else { Vec::new() };
            let batch = gather(queue, offsets, resource, rest, self.max_batch - items, spare);
            if items == 0 {
                body = batch.body;
            } else if batch.body.len() <= rest {
                body.extend_from_slice(&batch.body);
            } else {
                // A single record is collected even if it exceeds the limit.
                break;
            }
            items += batch.records;
            used += batch.groups;
            offsets = batch.offsets;
            if offsets != [0; 2] {
                break;
            }
        }
        self.sent = (used, offsets);
        (items > 0).then(|| Request { body: Bytes::from(body), encoding: None, items })
    }

    fn settle_some(&mut self, outcomes: &[(ItemOutcome, u64)]) {
        self.ledger.resolve(Signal::Logs, outcomes);
    }

    fn settle(&mut self, outcomes: &[(ItemOutcome, u64)]) {
        self.settle_some(outcomes);
        let (groups, offsets) = self.sent;
        let used: Vec<RecoveredGroup> = self.groups.drain(..groups.min(self.groups.len())).collect();
        for RecoveredGroup { lanes, run } in used {
            lanes.into_iter().flatten().for_each(|recovered| self.finish_segment(recovered));
            if let Some(run) = run {
                self.finish_run(run);
            }
        }
        self.offsets = offsets;
        if let Some(group) = self.groups.front() {
            for (recovered, offset) in group.lanes.iter().zip(offsets) {
                if let Some(recovered) = recovered.as_ref().filter(|_| offset > 0) {
                    recovered.consume(recovered.segment.records() - recovered.segment.records_from(offset));
                }
            }
        }
        self.outbox.notify_waiters();
    }

    /// The records stay in the spool for another process.
    fn give_up(&mut self, _rest: u64) {}

    fn take_back(&mut self, request: Request) {
        self.spare = Vec::from(request.body);
    }

    fn set_max_bytes(&mut self, bytes: usize) {
        self.max_bytes = bytes;
    }

    /// The records stay in the spool for another process.
    fn drop_all(&mut self) {
        self.groups.clear();
        self.runs.clear();
        self.scans.cancel();
    }

    fn trim(&mut self) {
        self.spare = Vec::new();
    }

    fn pending(&self) -> u64 {
        self.ledger.snapshot().otlp.pending
    }

    fn bound_text(&self) -> String {
        ByteSize(self.spool.max_bytes()).to_string()
    }

    fn keeps_refused(&self) -> bool {
        true
    }

    fn place_text(&self) -> &'static str {
        "in the spool"
    }
}
