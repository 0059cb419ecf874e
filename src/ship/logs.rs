//! Records: sealed groups of the outbox become requests by gathering.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::batch::gather;
use super::feed::{Feed, Request};
use super::overload::OverloadVoice;
use crate::config::LogDelivery;
use crate::finding::kind;
use crate::ledger::{DropReason, ItemOutcome, Ledger, ScopeCounts};
use crate::notice::{self, Notice};
use crate::otlp::nested_len;
use crate::outbox::{Group, InOrder, Offsets, Outbox, Spool};
use crate::signal::Signal;

pub(super) struct LogFeed {
    ledger: Arc<Ledger>,
    outbox: Arc<Outbox>,
    resource: Vec<u8>,
    schedule_delay: Duration,
    max_batch: u64,
    /// What the endpoint takes, where that is less than the outbox's own bound.
    max_bytes: usize,
    /// The groups of the request that is sent next or now, and how far the first one is used up. All others stay in the
    /// outbox, where an overload policy may drop them.
    groups: VecDeque<Group>,
    offsets: Offsets,
    /// Groups that the last request used up, and where the next one begins in the group after those.
    sent: (usize, Offsets),
    /// What is in the last request of each scope.
    shares: Vec<(Box<[u8]>, ScopeCounts)>,
    /// When the current segments are handed over although they are not full.
    seal_at: Option<Instant>,
    /// The buffer of the last request, to be used again.
    spare: Vec<u8>,
    voice: OverloadVoice,
}

impl LogFeed {
    pub(super) fn new(ledger: Arc<Ledger>, outbox: Arc<Outbox>, resource: Vec<u8>, delivery: &LogDelivery) -> Self {
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
            shares: Vec::new(),
            seal_at: None,
            spare: Vec::new(),
            voice: OverloadVoice::new(delivery),
        }
    }

    /// How long a request may be.
    fn room(&self) -> usize {
        self.outbox.request_bytes().min(self.max_bytes)
    }

    /// Takes over what fits into the next request.
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

impl Feed for LogFeed {
    fn collect(&mut self, at_once: bool, held: bool) {
        let now = Instant::now();
        if !self.outbox.is_waiting() {
            self.seal_at = None;
        } else if self.seal_at.is_none() {
            self.seal_at = now.checked_add(self.schedule_delay);
        }
        // While the endpoint fails, what is new stays in its segments: they fill up instead of becoming many small ones.
        // Where there was no room for somebody, and nothing else to send, waiting for the schedule would cost records.
        // Asked only where there is something to seal: whoever presses before somebody else gets in is not forgotten.
        let is_pressed = |feed: &Self| feed.outbox.is_waiting() && feed.outbox.take_pressed() && feed.is_empty();
        let due = !held && (self.seal_at.is_some_and(|at| at <= now) || is_pressed(self));
        if due || (at_once && self.outbox.is_waiting()) {
            self.outbox.seal();
            self.seal_at = None;
        }
    }

    fn settled(&self) -> u64 {
        let left = self.outbox.left();
        self.groups.front().map_or(left, |group| group.number().min(left))
    }

    fn is_empty(&self) -> bool {
        self.groups.is_empty() && !self.outbox.has_sealed()
    }

    fn is_waiting(&self) -> bool {
        self.outbox.is_waiting()
    }

    fn due_at(&self) -> Option<Instant> {
        self.seal_at
    }

    fn request(&mut self) -> Option<Request> {
        self.fill();
        if self.groups.is_empty() {
            // What there was has been dropped in this moment.
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
        self.shares = batch.shares;
        Some(Request { body: Bytes::from(batch.body), encoding: None, items: batch.records })
    }

    fn settle_some(&mut self, fates: &[(ItemOutcome, u64)]) {
        self.ledger.resolve(Signal::Logs, fates);
        self.outbox.release(fates.iter().map(|(_, records)| records).sum());
    }

    fn settle(&mut self, fates: &[(ItemOutcome, u64)]) {
        self.settle_some(fates);
        for (scope, share) in self.shares.drain(..) {
            self.ledger.stats.count_sent(&scope, share);
        }
        let (groups, offsets) = self.sent;
        for group in self.groups.drain(..groups.min(self.groups.len())) {
            group.into_segments().for_each(|segment| self.outbox.recycle(segment));
        }
        self.offsets = offsets;
        if let Some(group) = self.groups.front_mut() {
            group.consume(offsets);
        }
        self.outbox.made_room();
    }

    fn take_back(&mut self, request: Request) {
        // Without a copy, as soon as the client has let go of it.
        self.spare = Vec::from(request.body);
    }

    fn limit(&mut self, bytes: usize) {
        self.max_bytes = bytes;
    }

    fn give_up(&mut self, rest: u64) {
        // What is in files stays there as a whole: no part of a request that was being taken apart is noted in them.
        if !self.groups.iter().all(Group::is_in_files) {
            self.settle(&[(ItemOutcome::Dropped(DropReason::Shutdown), rest)]);
        }
    }

    fn drop_all(&mut self) {
        // Who waits for room must not get any after this.
        self.outbox.close();
        self.outbox.seal();
        self.groups.extend(std::iter::from_fn(|| self.outbox.take_sealed()));
        let mut left = 0;
        for (index, group) in std::mem::take(&mut self.groups).into_iter().enumerate() {
            let offsets = if index == 0 { self.offsets } else { [0; 2] };
            // Those in files stay for another process, and their records stay pending.
            for (segment, offset) in group.into_segments_from(offsets).filter(|(segment, _)| !segment.is_in_file()) {
                left += segment.records_from(offset);
                self.outbox.recycle(segment);
            }
        }
        self.offsets = [0; 2];
        self.outbox.retire();
        if let Some(spool) = self.outbox.spool() {
            spool.leave_run();
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

    fn watch(&mut self, ending: bool) -> Option<std::time::Instant> {
        if let Some(spool) = self.outbox.spool() {
            tell_trouble(spool, self.outbox.max_bytes());
        }
        self.voice.watch(&self.ledger, &self.outbox, ending)
    }

    fn pending(&self) -> u64 {
        self.ledger.snapshot().otlp.pending
    }

    fn bound(&self) -> String {
        let bytes = self.outbox.spool().map_or_else(|| self.outbox.max_bytes(), |spool| spool.max_bytes());
        Size(bytes).to_string()
    }

    fn place(&self) -> &'static str {
        if self.outbox.spool().is_some() { "in the spool" } else { "in memory" }
    }

    fn keeps(&self) -> bool {
        self.groups.iter().all(Group::is_in_files)
    }

    fn is_safe(&self) -> bool {
        self.outbox.spool().is_some() && !self.outbox.holds_memory()
    }

    fn end(&mut self) {
        if self.is_empty() && !self.is_waiting() {
            self.outbox.retire();
        }
    }
}

/// Says why records do not go into the spool.
fn tell_trouble(spool: &Spool, memory: usize) {
    if let Some(trouble) = spool.untold_trouble() {
        let directory = spool.directory().display();
        let text = format!("the spool in {directory} cannot be used: {trouble}");
        let bound = Size(memory);
        let notice = Notice::new(kind::SPOOL_TROUBLE.code, format!("spool {trouble}"), text)
            .note(format!("records wait in memory (up to {bound}) until it can: if the process is killed, they are lost"))
            .help("see to it that this user can write there and that the disk has room, or name another LOGBRIDGE_SPOOL_DIR");
        notice::emit(&notice);
    }
}

/// So many bytes, in words.
pub(super) struct Size(pub(super) usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 10 << 20 || (bytes > 0 && bytes % (1 << 20) == 0) => write!(f, "{} MiB", bytes >> 20),
            bytes if bytes >= 10 << 10 => write!(f, "{} KiB", bytes >> 10),
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}
