//! Records: sealed segments of the outbox become requests by gathering.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::batch::gather;
use super::feed::{Feed, Request};
use crate::config::Delivery;
use crate::ledger::{DropReason, Fate, Ledger};
use crate::outbox::{Outbox, Segment};
use crate::signal::Signal;

pub(super) struct LogFeed {
    ledger: Arc<Ledger>,
    outbox: Arc<Outbox>,
    resource: Vec<u8>,
    schedule_delay: Duration,
    max_batch: u64,
    /// What the endpoint takes, where that is less than the outbox's own bound.
    max_bytes: usize,
    /// Sealed segments, and how far the first one is used up.
    segments: VecDeque<Segment>,
    offset: usize,
    /// Segments that the last request used up, and where the next one begins in the segment after those.
    sent: (usize, usize),
    /// When the current segments are handed over although they are not full.
    seal_at: Option<Instant>,
    /// Segments that ever left the queue.
    left: u64,
    /// The buffer of the last request, to be used again.
    spare: Vec<u8>,
}

impl LogFeed {
    pub(super) fn new(ledger: Arc<Ledger>, outbox: Arc<Outbox>, resource: Vec<u8>, delivery: &Delivery) -> Self {
        Self {
            ledger,
            outbox,
            resource,
            schedule_delay: delivery.schedule_delay,
            max_batch: delivery.max_batch.map_or(u64::MAX, |most| most as u64),
            max_bytes: usize::MAX,
            segments: VecDeque::new(),
            offset: 0,
            sent: (0, 0),
            seal_at: None,
            left: 0,
            spare: Vec::new(),
        }
    }
}

impl Feed for LogFeed {
    fn collect(&mut self, at_once: bool, held: bool) {
        let now = Instant::now();
        if !self.outbox.is_waiting() {
            self.seal_at = None;
        } else if self.seal_at.is_none() {
            self.seal_at = Some(now + self.schedule_delay);
        }
        // While the endpoint fails, what is new stays in its segments: they fill up instead of becoming many small ones.
        let due = !held && self.seal_at.is_some_and(|at| at <= now);
        if due || (at_once && self.outbox.is_waiting()) {
            self.outbox.seal();
            self.seal_at = None;
        }
        self.outbox.take_sealed(&mut self.segments);
    }

    fn settled(&self) -> u64 {
        self.left
    }

    fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    fn is_waiting(&self) -> bool {
        self.outbox.is_waiting()
    }

    fn due_at(&self) -> Option<Instant> {
        self.seal_at
    }

    fn request(&mut self) -> Option<Request> {
        let spare = std::mem::take(&mut self.spare);
        let max_bytes = self.outbox.request_bytes().min(self.max_bytes);
        let batch = gather(&self.segments, self.offset, &self.resource, max_bytes, self.max_batch, spare);
        self.sent = (batch.segments, batch.offset);
        Some(Request { body: Bytes::from(batch.body), encoding: None, items: batch.records })
    }

    fn settle_some(&mut self, fates: &[(Fate, u64)]) {
        self.ledger.resolve(Signal::Logs, fates);
        self.outbox.release(fates.iter().map(|(_, records)| records).sum());
    }

    fn settle(&mut self, fates: &[(Fate, u64)]) {
        self.settle_some(fates);
        let (segments, offset) = self.sent;
        for segment in self.segments.drain(..segments.min(self.segments.len())) {
            self.outbox.recycle(segment);
        }
        self.left += segments as u64;
        self.offset = offset;
    }

    fn take_back(&mut self, request: Request) {
        // Without a copy, as soon as the client has let go of it.
        self.spare = Vec::from(request.body);
    }

    fn limit(&mut self, bytes: usize) {
        self.max_bytes = bytes;
    }

    fn drop_all(&mut self) {
        self.outbox.seal();
        self.outbox.take_sealed(&mut self.segments);
        let mut left = 0;
        for (index, segment) in std::mem::take(&mut self.segments).into_iter().enumerate() {
            left += if index == 0 { segment.records_from(self.offset) } else { segment.records() };
            self.outbox.recycle(segment);
        }
        self.offset = 0;
        if left > 0 {
            self.ledger.resolve(Signal::Logs, &[(Fate::Dropped(DropReason::Shutdown), left)]);
            self.outbox.release(left);
        }
    }

    fn trim(&mut self) {
        self.outbox.trim();
        self.spare = Vec::new();
    }

    fn pending(&self) -> u64 {
        self.ledger.snapshot().otlp.pending
    }

    fn bound(&self) -> String {
        Size(self.outbox.max_bytes()).to_string()
    }
}

/// So many bytes, in words.
pub(super) struct Size(pub(super) usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 10 << 20 => write!(f, "{} MiB", bytes >> 20),
            bytes if bytes >= 10 << 10 => write!(f, "{} KiB", bytes >> 10),
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}
