//! Notices about an overload: how many records were dropped, how fast records arrive and are delivered, what to change.
//!
//! Constraints:
//! * A log call only sets a flag, and wakes the exporter thread for the first loss since the last notice.
//! * The first notice is emitted a second after the first loss, so that it has meaningful numbers, and later ones at
//!   most once a minute. When the process ends, one more is emitted at once, even if threads continue to lose records.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use log::Level;

use super::byte_size::ByteSize;
use crate::config::{LogDelivery, Overload};
use crate::finding::kind;
use crate::ledger::{DropReason, Ledger, OtlpCounters};
use crate::notice::{self, Notice};
use crate::outbox::{Loss, Outbox};
use crate::signal::Signal;

const KEY: &str = "overload";
const TOO_LARGE_KEY: &str = "too large for the outbox";
/// How long losses are counted before a notice.
const DELAY: Duration = Duration::from_secs(1);
/// The shortest time between two notices.
const INTERVAL: Duration = Duration::from_secs(60);
/// The time over which rates are measured.
const WINDOW: Duration = Duration::from_secs(10);
/// A rate over less time than this is meaningless.
const MIN_WINDOW: Duration = Duration::from_millis(100);
/// How many samples a window has.
const SAMPLES: u32 = 10;

/// The numbers of records that were accepted and delivered by a certain time.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    accepted: u64,
    delivered: u64,
}

impl Sample {
    fn new(at: Instant, otlp: &OtlpCounters) -> Self {
        Self { at, accepted: otlp.accepted, delivered: otlp.delivered }
    }
}

const MEMORY: &str = "LOGBRIDGE_MAX_BYTES";
const SPOOL: &str = "LOGBRIDGE_SPOOL_MAX_BYTES";

/// Emits the notices about records that were dropped because the outbox was full.
#[derive(Debug)]
pub(super) struct OverloadNotices {
    max_bytes: usize,
    /// The environment variable that sets it.
    variable: &'static str,
    max_queue: Option<usize>,
    overload: Overload,
    samples: VecDeque<Sample>,
    /// Lost records reported so far.
    reported: u64,
    /// Records reported so far that are larger than the whole outbox.
    reported_too_large: u64,
    reported_at: Option<Instant>,
    /// When the losses since then are reported.
    due_at: Option<Instant>,
    /// Whether the notice at the end of the process was emitted.
    is_reported_at_end: bool,
    /// Whether the notice about an outbox that fills up was emitted.
    is_growth_reported: bool,
    /// Called with each sample, about once a second.
    each_second: fn(),
}

impl OverloadNotices {
    pub(super) fn new(delivery: &LogDelivery, each_second: fn()) -> Self {
        Self::with_bounds(delivery.max_bytes, delivery.max_queue, delivery.overload, each_second)
    }

    fn with_bounds(max_bytes: usize, max_queue: Option<usize>, overload: Overload, each_second: fn()) -> Self {
        Self {
            max_bytes,
            variable: MEMORY,
            max_queue,
            overload,
            samples: VecDeque::new(),
            reported: 0,
            reported_too_large: 0,
            reported_at: None,
            due_at: None,
            is_reported_at_end: false,
            is_growth_reported: false,
            each_second,
        }
    }

    /// Takes a sample if one is due, and reports losses if a notice is due. Returns when the next notice is due.
    pub(super) fn report(&mut self, ledger: &Ledger, outbox: &Outbox, ending: bool) -> Option<Instant> {
        // While the spool is unusable, the bound in memory applies.
        (self.max_bytes, self.variable) = match outbox.spool().filter(|spool| spool.is_usable()) {
            Some(spool) => (spool.max_bytes(), SPOOL),
            None => (outbox.max_bytes(), MEMORY),
        };
        let now = Instant::now();
        if self.samples.back().is_none_or(|last| now - last.at >= WINDOW / SAMPLES) {
            self.sample(Sample::new(now, &ledger.snapshot().otlp));
            if let Some(notice) = self.growth_notice(now, outbox.use_and_bound()) {
                notice::emit(&notice);
            }
            (self.each_second)();
        }
        if self.due_at.is_none() && outbox.has_unreported_losses() {
            let at = now + DELAY;
            self.due_at = Some(self.reported_at.map_or(at, |reported| at.max(reported + INTERVAL)));
        }
        let at_once = ending && !self.is_reported_at_end;
        if self.due_at.is_some_and(|at| at_once || at <= now) {
            self.due_at = None;
            self.is_reported_at_end |= ending;
            // Before they are counted: a loss in the meantime is reported by this notice or the next one.
            outbox.mark_losses_reported();
            let otlp = ledger.snapshot().otlp;
            let losses = outbox.losses();
            let notices =
                [(KEY, self.full_notice(now, &otlp, &losses)), (TOO_LARGE_KEY, self.too_large_notice(&otlp, &losses))];
            for (key, notice) in notices {
                let Some(notice) = notice else { continue };
                notice::reset_limit(key);
                notice::emit(&notice);
                self.reported_at = Some(now);
            }
        }
        self.due_at
    }

    fn sample(&mut self, sample: Sample) {
        self.samples.push_back(sample);
        // The first sample is the newest one that is older than the window. Rates are measured from it.
        while self.samples.get(1).is_some_and(|second| sample.at - second.at >= WINDOW) {
            self.samples.pop_front();
        }
    }

    /// Returns how fast records arrived and were delivered since the first sample, if that was long enough ago.
    fn rates(&self, now: Instant, accepted: u64, delivered: u64) -> Option<String> {
        let first = self.samples.front().filter(|first| now - first.at >= MIN_WINDOW)?;
        let time = (now - first.at).as_secs_f64();
        let rate = |from: u64, to: u64| (to.saturating_sub(from) as f64 / time).round() as u64;
        let (arrived, sent) = (rate(first.accepted, accepted), rate(first.delivered, delivered));
        Some(format!(
            "over the last {time:.1} s: {arrived} records per second arrived, {sent} per second were delivered"
        ))
    }

    /// Returns a notice if the outbox fills up although the endpoint accepts records. Returns no other one until the
    /// outbox is nearly empty.
    fn growth_notice(&mut self, now: Instant, (used, bound): (usize, usize)) -> Option<Notice> {
        if used < bound / 4 {
            self.is_growth_reported = false;
        }
        let (first, last) = (*self.samples.front()?, *self.samples.back()?);
        // If nothing is delivered or records were lost, other notices report that.
        let is_growing = used > bound / 2 && last.delivered > first.delivered && self.due_at.is_none();
        if !is_growing || std::mem::replace(&mut self.is_growth_reported, true) {
            return None;
        }
        let text =
            format!("the outbox is more than half full: {} of {} wait to be sent", ByteSize(used), ByteSize(bound));
        let mut notice = Notice::new(kind::QUEUE_GROWS.code, "growing", text);
        if let Some(rates) = self.rates(now, last.accepted, last.delivered) {
            notice = notice.note(rates);
        }
        Some(
            notice.help(format!(
                "before records are dropped, log less, use a faster endpoint, or raise {}",
                self.variable
            )),
        )
    }

    /// Returns a notice about records larger than the whole outbox, or `None` if there are no new ones.
    fn too_large_notice(&mut self, otlp: &OtlpCounters, losses: &[Loss]) -> Option<Notice> {
        let is_too_large = |reason: DropReason| reason == DropReason::TooLarge;
        let lost = otlp.dropped.iter().find(|(reason, _)| is_too_large(*reason)).map_or(0, |(_, records)| *records);
        let new = lost.saturating_sub(std::mem::replace(&mut self.reported_too_large, lost));
        if new == 0 {
            return None;
        }
        let so_far = if new == lost { String::new() } else { format!(", {lost} so far") };
        let (were, is) = if new == 1 { ("was", "it is") } else { ("were", "each is") };
        let text =
            format!("{} {were} dropped because {is} larger than the whole outbox{so_far}", Signal::Logs.count(new));
        let mut notice = Notice::new(kind::OVERLOAD.code, TOO_LARGE_KEY, text).error();
        if let Some(largest) = losses.iter().find(|loss| is_too_large(loss.reason)) {
            notice = notice.note(largest_loss(largest));
        }
        let bound = ByteSize(self.max_bytes);
        Some(notice.note(format!("the bound is {bound}")).help(format!("shorten them, or raise {}", self.variable)))
    }

    /// Returns a notice about records dropped because the outbox was full, or `None` if there are no new ones.
    fn full_notice(&mut self, now: Instant, otlp: &OtlpCounters, losses: &[Loss]) -> Option<Notice> {
        let reasons: Vec<_> = otlp.dropped.iter().filter(|(reason, _)| reason.is_overload()).collect();
        let lost: u64 = reasons.iter().map(|(_, records)| records).sum();
        let new = lost.saturating_sub(self.reported);
        if new == 0 {
            return None;
        }
        let is_first = self.reported == 0;
        self.reported = lost;
        let so_far = if is_first { String::new() } else { format!(", {lost} so far") };
        let were = if new == 1 { "was" } else { "were" };
        let text = format!("{} {were} dropped because the outbox is full{so_far}", Signal::Logs.count(new));
        let mut notice = Notice::new(kind::OVERLOAD.code, KEY, text).error();
        for (reason, records) in reasons {
            notice = notice.note(format!("{records}: {reason}"));
        }
        if let Some(largest) = losses.iter().find(|loss| loss.reason.is_overload()) {
            notice = notice.note(largest_loss(largest));
        }
        if let Some(rates) = self.rates(now, otlp.accepted, otlp.delivered) {
            notice = notice.note(rates);
        }
        let (bound, variable) = match self.max_queue {
            Some(queue) => (format!("{} or {queue} records", ByteSize(self.max_bytes)), " or OTEL_BLRP_MAX_QUEUE_SIZE"),
            None => (ByteSize(self.max_bytes).to_string(), ""),
        };
        Some(notice.note(format!("the bound is {bound}, the policy {}", self.overload)).help(format!(
            "log less (RUST_LOG, LOGBRIDGE_OTLP_LEVEL), use a faster endpoint, raise {}{variable}, or set \
             LOGBRIDGE_OVERLOAD to select which records are dropped",
            self.variable
        )))
    }
}

fn largest_loss(loss: &Loss) -> String {
    let level = loss.level.map_or("no level", |level: Level| level.as_str());
    let target = if loss.target.is_empty() { "other targets" } else { &loss.target };
    format!("most: {} from {target} at {level}", loss.records)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::outbox::{FrameBuffer, Wake};

    fn notices() -> OverloadNotices {
        OverloadNotices::with_bounds(64 << 20, None, Overload::DropOldest, || ())
    }

    fn counters(accepted: u64, delivered: u64, dropped: &[(DropReason, u64)]) -> OtlpCounters {
        OtlpCounters { accepted, delivered, dropped: dropped.to_vec(), ..OtlpCounters::default() }
    }

    #[test]
    fn the_notice_has_numbers_reasons_rates_and_what_to_change() {
        let mut notices = notices();
        let start = Instant::now();
        notices.sample(Sample::new(start, &counters(1_000, 100, &[])));
        let dropped = [(DropReason::EvictedOldest, 700), (DropReason::OutboxFull, 50), (DropReason::Shutdown, 9)];
        let losses = [Loss {
            reason: DropReason::EvictedOldest,
            target: "shop::db".to_owned(),
            level: Some(Level::Debug),
            records: 600,
        }];
        let now = start + Duration::from_secs(4);
        let notice = notices.full_notice(now, &counters(9_000, 140, &dropped), &losses).expect("news");
        assert_eq!(notice.text, "750 records were dropped because the outbox is full");
        assert_eq!(
            notice.notes,
            [
                "700: it made room in the full outbox for a newer record",
                "50: the outbox was full",
                "most: 600 from shop::db at DEBUG",
                "over the last 4.0 s: 2000 records per second arrived, 10 per second were delivered",
                "the bound is 64 MiB, the policy drop-oldest",
            ]
        );
        assert!(notice.help.is_some_and(|help| help.contains("LOGBRIDGE_MAX_BYTES, or set LOGBRIDGE_OVERLOAD")));
        assert_eq!(notices.full_notice(now, &counters(9_000, 140, &dropped), &losses), None, "reported already");
        let dropped = [(DropReason::OutboxFull, 751)];
        let notice = notices.full_notice(now, &counters(9_000, 140, &dropped), &[]).expect("news");
        assert_eq!(notice.text, "1 record was dropped because the outbox is full, 751 so far");
    }

    #[test]
    fn losses_are_gathered_before_a_notice_and_reported_once_at_the_end() {
        let ledger = Arc::new(Ledger::new());
        let outbox = Outbox::new(64 << 10, 1, Arc::clone(&ledger));
        let lose = || {
            ledger.count_dropped(0, Signal::Logs, DropReason::OutboxFull);
            let mut frame = FrameBuffer::default();
            frame.begin(|_no_scope| ());
            frame.end(9, false);
            outbox.count_loss(0, DropReason::OutboxFull, frame.bytes())
        };
        let mut notices = notices();
        assert_eq!(notices.report(&ledger, &outbox, false), None, "there is nothing to report");
        assert_eq!([lose(), lose()], [Wake::Yes, Wake::No]);
        let at = notices.report(&ledger, &outbox, false).expect("in a while");
        assert!(at > Instant::now() && notices.reported == 0);
        assert_eq!((notices.report(&ledger, &outbox, true), notices.reported), (None, 2), "there is no later");
        assert_eq!(lose(), Wake::Yes);
        let at = notices.report(&ledger, &outbox, true).expect("not again and again");
        assert!(at > Instant::now() + INTERVAL / 2 && notices.reported == 2);
    }

    #[test]
    fn an_outbox_that_fills_while_the_endpoint_takes_records_is_reported_once() {
        let mut notices = notices();
        let start = Instant::now();
        notices.sample(Sample::new(start, &counters(1_000, 0, &[])));
        let now = start + Duration::from_secs(2);
        notices.sample(Sample::new(now, &counters(9_000, 0, &[])));
        let (half, most) = (40 << 20, 64 << 20);
        assert_eq!(notices.growth_notice(now, (half, most)), None, "nothing was delivered: that is said elsewhere");
        notices.sample(Sample::new(now, &counters(9_000, 100, &[])));
        let notice = notices.growth_notice(now, (half, most)).expect("news");
        assert_eq!(notice.text, "the outbox is more than half full: 40 MiB of 64 MiB wait to be sent");
        assert_eq!(
            notice.notes,
            ["over the last 2.0 s: 4000 records per second arrived, 50 per second were delivered"]
        );
        assert_eq!(notices.growth_notice(now, (half, most)), None);
        assert_eq!(notices.growth_notice(now, (1 << 20, most)), None);
        assert!(notices.growth_notice(now, (half, most)).is_some(), "it was nearly empty meanwhile");
    }

    #[test]
    fn rates_are_those_of_the_last_seconds() {
        let mut notices = notices();
        let start = Instant::now();
        for second in 0..60 {
            notices.sample(Sample::new(start + Duration::from_secs(second), &counters(second, 0, &[])));
        }
        let first = notices.samples.front().expect("samples");
        assert_eq!((first.accepted, notices.samples.len()), (49, 11));
    }
}
