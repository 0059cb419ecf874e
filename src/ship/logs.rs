//! The source of log requests: it collects sealed groups of the outbox.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::batch::gather;
use super::byte_size::ByteSize;
use super::overload_notices::OverloadNotices;
use super::request_source::{Request, RequestSource};
use crate::config::LogDelivery;
use crate::finding::kind;
use crate::ledger::{DropReason, ItemOutcome, Ledger, ScopeCounts};
use crate::notice::{self, Notice};
use crate::otlp::nested_len;
use crate::outbox::{Group, InOrder, Offsets, Outbox, Spool};
use crate::signal::Signal;

/// Turns the records of an outbox into requests.
pub(super) struct LogSource {
    ledger: Arc<Ledger>,
    outbox: Arc<Outbox>,
    resource: Vec<u8>,
    schedule_delay: Duration,
    max_batch: u64,
    /// The size limit of the endpoint, if it is lower than the outbox's own bound.
    max_bytes: usize,
    /// The groups of the next or current request, and where it begins in the first one. All other groups stay in the
    /// outbox, where an overload policy may drop them.
    groups: VecDeque<Group>,
    offsets: Offsets,
    /// How many groups the last request used up, and where the next one begins in the following group.
    sent: (usize, Offsets),
    /// How many records of each scope are in the last request.
    scopes: Vec<(Box<[u8]>, ScopeCounts)>,
    /// When the open groups are sealed even if they are not full.
    seal_at: Option<Instant>,
    /// The buffer of the last request, for reuse.
    spare: Vec<u8>,
    notices: OverloadNotices,
}

impl LogSource {
    pub(super) fn new(
        ledger: Arc<Ledger>,
        outbox: Arc<Outbox>,
        resource: Vec<u8>,
        delivery: &LogDelivery,
        each_second: fn(),
    ) -> Self {
        Self {
            ledger,
            outbox,
            resource,
            schedule_delay: delivery.schedule_delay,
            max_batch: delivery.max_batch.map_or(u64::MAX, |most| most as u64),
            max_bytes: usize::MAX,
            groups: VecDeque::new(),
            offsets: [0; 2],
            sent: (0, [0; 2]),
            scopes: Vec::new(),
            seal_at: None,
            spare: Vec::new(),
            notices: OverloadNotices::new(delivery, each_second),
        }
    }

    /// Returns how long a request may be.
    fn room(&self) -> usize {
        self.outbox.request_bytes().min(self.max_bytes)
    }

    /// Takes sealed groups until the next request is full.
    fn fill(&mut self) {
        let room = self.room();
        let measure = |group: &Group, offsets: Offsets| {
            let frames = InOrder::from(group.lanes(), offsets).map(|(_, frame)| (nested_len(frame.record.len()), 1));
            frames.fold((0, 0), |sum: (usize, u64), frame| (sum.0 + frame.0, sum.1 + frame.1))
        };
        let (mut bytes, mut records) = (0, 0);
        let mut add = |group: &Group, offsets| {
            let (more_bytes, more_records) = measure(group, offsets);
            bytes += more_bytes;
            records += more_records;
            bytes < room && records < self.max_batch
        };
        let mut has_room = true;
        for (index, group) in self.groups.iter().enumerate() {
            has_room = add(group, if index == 0 { self.offsets } else { [0; 2] });
        }
        while has_room && let Some(group) = self.outbox.take_sealed() {
            has_room = add(&group, [0; 2]);
            self.groups.push_back(group);
        }
    }
}

impl RequestSource for LogSource {
    fn collect(&mut self, at_once: bool, held: bool) {
        let now = Instant::now();
        if !self.outbox.has_unsealed() {
            self.seal_at = None;
        } else if self.seal_at.is_none() {
            self.seal_at = now.checked_add(self.schedule_delay);
        }
        // While the endpoint fails, new records stay in their segments, which fill up instead of becoming many small
        // ones. If a log call found no room and nothing else can be sent, waiting for the schedule would lose records.
        // The request is only taken if there is something to seal, so that an earlier one is not forgotten.
        let seal_requested =
            |source: &Self| source.outbox.has_unsealed() && source.outbox.take_seal_request() && source.is_empty();
        let due = !held && (self.seal_at.is_some_and(|at| at <= now) || seal_requested(self));
        if due || (at_once && self.outbox.has_unsealed()) {
            self.outbox.seal();
            self.seal_at = None;
        }
    }

    fn settled(&self) -> u64 {
        let left = self.outbox.oldest_group();
        self.groups.front().map_or(left, |group| group.number().min(left))
    }

    fn is_empty(&self) -> bool {
        self.groups.is_empty() && !self.outbox.has_sealed()
    }

    fn has_unsealed(&self) -> bool {
        self.outbox.has_unsealed()
    }

    fn due_at(&self) -> Option<Instant> {
        self.seal_at
    }

    fn next_request(&mut self) -> Option<Request> {
        self.fill();
        if self.groups.is_empty() {
            // The groups have been evicted meanwhile.
            return None;
        }
        let spare = std::mem::take(&mut self.spare);
        let batch = gather(
            self.groups.iter().map(Group::lanes),
            self.offsets,
            &self.resource,
            self.room(),
            self.max_batch,
            spare,
        );
        self.sent = (batch.groups, batch.offsets);
        self.scopes = batch.scopes;
        Some(Request { body: Bytes::from(batch.body), encoding: None, items: batch.records })
    }

    fn settle_some(&mut self, outcomes: &[(ItemOutcome, u64)]) {
        self.ledger.resolve(Signal::Logs, outcomes);
        self.outbox.release(outcomes.iter().map(|(_, records)| records).sum());
    }

    fn settle(&mut self, outcomes: &[(ItemOutcome, u64)]) {
        self.settle_some(outcomes);
        for (scope, counts) in self.scopes.drain(..) {
            self.ledger.stats.count_sent(&scope, counts);
        }
        let (groups, offsets) = self.sent;
        for group in self.groups.drain(..groups.min(self.groups.len())) {
            group.into_segments().for_each(|segment| self.outbox.recycle(segment));
        }
        self.offsets = offsets;
        if let Some(group) = self.groups.front_mut() {
            group.consume(offsets);
        }
        self.outbox.notify_waiters();
    }

    fn take_back(&mut self, request: Request) {
        // This does not copy if the client holds no other reference.
        self.spare = Vec::from(request.body);
    }

    fn set_max_bytes(&mut self, bytes: usize) {
        self.max_bytes = bytes;
    }

    fn give_up(&mut self, rest: u64) {
        // All records of the request stay in their files, because files cannot mark parts of a request that was being
        // split.
        if !self.groups.iter().all(Group::is_in_files) {
            self.settle(&[(ItemOutcome::Dropped(DropReason::Shutdown), rest)]);
        }
    }

    fn drop_all(&mut self) {
        // Threads that wait for space must not get any after this.
        self.outbox.close();
        self.outbox.seal();
        self.groups.extend(std::iter::from_fn(|| self.outbox.take_sealed()));
        let mut left = 0;
        for (index, group) in std::mem::take(&mut self.groups).into_iter().enumerate() {
            let offsets = if index == 0 { self.offsets } else { [0; 2] };
            // Segments in files stay for another process, and their records stay pending.
            for (segment, offset) in group.into_segments_from(offsets).filter(|(segment, _)| !segment.is_in_file()) {
                left += segment.records_from(offset);
                self.outbox.recycle(segment);
            }
        }
        self.offsets = [0; 2];
        self.outbox.retire();
        if let Some(spool) = self.outbox.spool() {
            spool.release_run();
        }
        if left > 0 {
            self.ledger.resolve(Signal::Logs, &[(ItemOutcome::Dropped(DropReason::Shutdown), left)]);
            self.outbox.release(left);
        }
    }

    fn trim(&mut self) {
        self.outbox.trim();
        self.spare = Vec::new();
    }

    fn prepare(&self) {
        self.outbox.prepare();
    }

    fn report_losses(&mut self, ending: bool) -> Option<std::time::Instant> {
        if let Some(spool) = self.outbox.spool() {
            report_spool_error(spool, self.outbox.max_bytes());
        }
        self.notices.report(&self.ledger, &self.outbox, ending)
    }

    fn pending(&self) -> u64 {
        self.ledger.snapshot().otlp.pending
    }

    fn bound_text(&self) -> String {
        let bytes = self.outbox.spool().map_or_else(|| self.outbox.max_bytes(), |spool| spool.max_bytes());
        ByteSize(bytes).to_string()
    }

    fn place_text(&self) -> &'static str {
        if self.outbox.spool().is_some() { "in the spool" } else { "in memory" }
    }

    fn keeps_refused(&self) -> bool {
        self.groups.iter().all(Group::is_in_files)
    }

    fn is_durable(&self) -> bool {
        self.outbox.spool().is_some() && !self.outbox.holds_memory()
    }

    fn clean_up(&mut self) {
        if self.is_empty() && !self.has_unsealed() {
            self.outbox.retire();
        }
    }
}

/// Reports once why records do not go into the spool.
fn report_spool_error(spool: &Spool, memory: usize) {
    if let Some(error) = spool.take_unreported_error() {
        let directory = spool.directory().display();
        let text = format!("the spool in {directory} cannot be used: {error}");
        let bound = ByteSize(memory);
        let notice = Notice::new(kind::SPOOL_TROUBLE.code, format!("spool {error}"), text)
            .note(format!("until then, records wait in memory (up to {bound}) and are lost if the process is killed"))
            .help(
                "check this user's permissions and the free disk space, or name another directory: LOGBRIDGE_SPOOL_DIR",
            );
        notice::emit(&notice);
    }
}
