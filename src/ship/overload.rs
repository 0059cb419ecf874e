//! What the ship thread says of an overload: how much was dropped, how fast records come and leave, what to change.
//!
//! Constraints:
//! * The callers only set a flag, and wake the ship thread for the first record after it was told.
//! * Said a second after the first loss, so that there is something to say, then once a minute at most; once at the end of
//!   the process, at once. Threads that go on losing records while it ends get no more than that.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use log::Level;

use super::logs::Size;
use crate::config::{LogDelivery, Overload};
use crate::finding::kind;
use crate::ledger::{DropReason, Ledger, OtlpCounters};
use crate::notice::{self, Notice};
use crate::outbox::{Loss, Outbox};
use crate::signal::Signal;

const KEY: &str = "overload";
const TOO_LARGE_KEY: &str = "too large for the outbox";
/// How long losses are gathered before they are told.
const GATHER: Duration = Duration::from_secs(1);
/// How long after that the next ones are told.
const QUIET: Duration = Duration::from_secs(60);
/// The rates are those of so much time.
const WINDOW: Duration = Duration::from_secs(10);
/// In less time than this, a rate says nothing.
const LEAST: Duration = Duration::from_millis(100);
/// How many samples of that are kept.
const SAMPLES: u32 = 10;

/// How many records had come and left at a time.
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

#[derive(Debug)]
pub(super) struct OverloadVoice {
    max_bytes: usize,
    /// What changes that.
    variable: &'static str,
    max_queue: Option<usize>,
    overload: Overload,
    samples: VecDeque<Sample>,
    /// How many lost records have been told.
    told: u64,
    /// How many of those that no room would have been enough for.
    told_too_large: u64,
    told_at: Option<Instant>,
    /// When the losses since then are told.
    tell_at: Option<Instant>,
    /// The process ends, and it has been told since.
    told_at_end: bool,
    /// That the outbox fills has been told.
    told_growing: bool,
}

impl OverloadVoice {
    pub(super) fn new(delivery: &LogDelivery) -> Self {
        Self {
            max_bytes: delivery.max_bytes,
            variable: MEMORY,
            max_queue: delivery.max_queue,
            overload: delivery.overload,
            samples: VecDeque::new(),
            told: 0,
            told_too_large: 0,
            told_at: None,
            tell_at: None,
            told_at_end: false,
            told_growing: false,
        }
    }

    /// Takes a sample now and then, and tells what was lost when it is time. Returns when that is.
    pub(super) fn watch(&mut self, ledger: &Ledger, outbox: &Outbox, ending: bool) -> Option<Instant> {
        // While the spool cannot be used, it is the memory that was full.
        (self.max_bytes, self.variable) = match outbox.spool().filter(|spool| spool.is_usable()) {
            Some(spool) => (spool.max_bytes(), SPOOL),
            None => (outbox.max_bytes(), MEMORY),
        };
        let now = Instant::now();
        if self.samples.back().is_none_or(|last| now - last.at >= WINDOW / SAMPLES) {
            self.sample(Sample::new(now, &ledger.snapshot().otlp));
            if let Some(notice) = self.growing(now, outbox.use_and_bound()) {
                notice::emit(&notice);
            }
            super::tick();
        }
        if self.tell_at.is_none() && outbox.has_untold_losses() {
            let at = now + GATHER;
            self.tell_at = Some(self.told_at.map_or(at, |told| at.max(told + QUIET)));
        }
        let at_once = ending && !self.told_at_end;
        if self.tell_at.is_some_and(|at| at_once || at <= now) {
            self.tell_at = None;
            self.told_at_end |= ending;
            // Before they are counted: what is lost meanwhile is told with this or the next notice.
            outbox.tell_losses();
            let otlp = ledger.snapshot().otlp;
            let losses = outbox.losses();
            let notices = [(KEY, self.notice(now, &otlp, &losses)), (TOO_LARGE_KEY, self.too_large(&otlp, &losses))];
            for (key, notice) in notices {
                let Some(notice) = notice else { continue };
                notice::reset_limit(key);
                notice::emit(&notice);
                self.told_at = Some(now);
            }
        }
        self.tell_at
    }

    fn sample(&mut self, sample: Sample) {
        self.samples.push_back(sample);
        // One stays that is older than the window, where there is any: from it on, the rates are counted.
        while self.samples.get(1).is_some_and(|second| sample.at - second.at >= WINDOW) {
            self.samples.pop_front();
        }
    }

    /// How fast records came and left since the first sample, where that was long enough ago.
    fn rates(&self, now: Instant, accepted: u64, delivered: u64) -> Option<String> {
        let first = self.samples.front().filter(|first| now - first.at >= LEAST)?;
        let time = (now - first.at).as_secs_f64();
        let rate = |from: u64, to: u64| (to.saturating_sub(from) as f64 / time).round() as u64;
        let (came, left) = (rate(first.accepted, accepted), rate(first.delivered, delivered));
        Some(format!("over the last {time:.1} s: {came} records a second came, {left} a second were delivered"))
    }

    /// What is said where the outbox fills although the endpoint takes records: until it is nearly empty again, once.
    fn growing(&mut self, now: Instant, (used, bound): (usize, usize)) -> Option<Notice> {
        if used < bound / 4 {
            self.told_growing = false;
        }
        let (first, last) = (*self.samples.front()?, *self.samples.back()?);
        // Where it takes none, that has been said, and where there was a loss, that will be.
        let is_growing = used > bound / 2 && last.delivered > first.delivered && self.tell_at.is_none();
        if !is_growing || std::mem::replace(&mut self.told_growing, true) {
            return None;
        }
        let text = format!("the outbox is more than half full: {} of {} wait to be sent", Size(used), Size(bound));
        let mut notice = Notice::new(kind::QUEUE_GROWS.code, "growing", text);
        if let Some(rates) = self.rates(now, last.accepted, last.delivered) {
            notice = notice.note(rates);
        }
        Some(notice.help(format!(
            "log less, give it a faster endpoint, or raise {}, before records are dropped",
            self.variable
        )))
    }

    /// What is said of records that are larger than all the room there is. `None` where nothing is new.
    fn too_large(&mut self, otlp: &OtlpCounters, losses: &[Loss]) -> Option<Notice> {
        let is_too_large = |reason: DropReason| reason == DropReason::TooLarge;
        let lost = otlp.dropped.iter().find(|(reason, _)| is_too_large(*reason)).map_or(0, |(_, records)| *records);
        let new = lost.saturating_sub(std::mem::replace(&mut self.told_too_large, lost));
        if new == 0 {
            return None;
        }
        let so_far = if new == lost { String::new() } else { format!(", {lost} so far") };
        let (were, is) = if new == 1 { ("was", "it is") } else { ("were", "each is") };
        let text =
            format!("{} {were} dropped because {is} larger than the whole outbox{so_far}", Signal::Logs.count(new));
        let mut notice = Notice::new(kind::OVERLOAD.code, TOO_LARGE_KEY, text).error();
        if let Some(most) = losses.iter().find(|loss| is_too_large(loss.reason)) {
            notice = notice.note(most_of_them(most));
        }
        let bound = Size(self.max_bytes);
        Some(notice.note(format!("the bound is {bound}")).help(format!("shorten them, or raise {}", self.variable)))
    }

    /// `None` where nothing is new.
    fn notice(&mut self, now: Instant, otlp: &OtlpCounters, losses: &[Loss]) -> Option<Notice> {
        let reasons: Vec<_> = otlp.dropped.iter().filter(|(reason, _)| reason.is_overload()).collect();
        let lost: u64 = reasons.iter().map(|(_, records)| records).sum();
        let new = lost.saturating_sub(self.told);
        if new == 0 {
            return None;
        }
        let is_first = self.told == 0;
        self.told = lost;
        let so_far = if is_first { String::new() } else { format!(", {lost} so far") };
        let were = if new == 1 { "was" } else { "were" };
        let text = format!("{} {were} dropped because the outbox is full{so_far}", Signal::Logs.count(new));
        let mut notice = Notice::new(kind::OVERLOAD.code, KEY, text).error();
        for (reason, records) in reasons {
            notice = notice.note(format!("{records}: {reason}"));
        }
        if let Some(most) = losses.iter().find(|loss| loss.reason.is_overload()) {
            notice = notice.note(most_of_them(most));
        }
        if let Some(rates) = self.rates(now, otlp.accepted, otlp.delivered) {
            notice = notice.note(rates);
        }
        let (bound, variable) = match self.max_queue {
            Some(queue) => (format!("{} or {queue} records", Size(self.max_bytes)), " or OTEL_BLRP_MAX_QUEUE_SIZE"),
            None => (Size(self.max_bytes).to_string(), ""),
        };
        Some(notice.note(format!("the bound is {bound}, the policy {}", self.overload)).help(format!(
            "log less (RUST_LOG, LOGBRIDGE_OTLP_LEVEL), give it a faster endpoint, raise {}{variable}, or \
             choose with LOGBRIDGE_OVERLOAD what goes",
            self.variable
        )))
    }
}

fn most_of_them(most: &Loss) -> String {
    let level = most.level.map_or("no level", |level: Level| level.as_str());
    let target = if most.target.is_empty() { "other targets" } else { &most.target };
    format!("most: {} from {target} at {level}", most.records)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::outbox::{HEADER, Wake, begin_frame, end_frame};

    fn voice() -> OverloadVoice {
        OverloadVoice {
            max_bytes: 64 << 20,
            variable: MEMORY,
            max_queue: None,
            overload: Overload::DropOldest,
            samples: VecDeque::new(),
            told: 0,
            told_too_large: 0,
            told_at: None,
            tell_at: None,
            told_at_end: false,
            told_growing: false,
        }
    }

    fn counters(accepted: u64, delivered: u64, dropped: &[(DropReason, u64)]) -> OtlpCounters {
        OtlpCounters { accepted, delivered, dropped: dropped.to_vec(), ..OtlpCounters::default() }
    }

    #[test]
    fn the_notice_has_numbers_reasons_rates_and_what_to_change() {
        let mut voice = voice();
        let start = Instant::now();
        voice.sample(Sample::new(start, &counters(1_000, 100, &[])));
        let dropped = [(DropReason::EvictedOldest, 700), (DropReason::OutboxFull, 50), (DropReason::Shutdown, 9)];
        let losses = [Loss {
            reason: DropReason::EvictedOldest,
            target: "shop::db".to_owned(),
            level: Some(Level::Debug),
            records: 600,
        }];
        let now = start + Duration::from_secs(4);
        let notice = voice.notice(now, &counters(9_000, 140, &dropped), &losses).expect("news");
        assert_eq!(notice.text, "750 records were dropped because the outbox is full");
        assert_eq!(
            notice.notes,
            [
                "700: it made room in the full outbox for a newer record",
                "50: the outbox was full",
                "most: 600 from shop::db at DEBUG",
                "over the last 4.0 s: 2000 records a second came, 10 a second were delivered",
                "the bound is 64 MiB, the policy drop-oldest",
            ]
        );
        assert!(
            notice.help.is_some_and(|help| help.contains("LOGBRIDGE_MAX_BYTES, or choose with LOGBRIDGE_OVERLOAD"))
        );
        assert_eq!(voice.notice(now, &counters(9_000, 140, &dropped), &losses), None, "told already");
        let dropped = [(DropReason::OutboxFull, 751)];
        let notice = voice.notice(now, &counters(9_000, 140, &dropped), &[]).expect("news");
        assert_eq!(notice.text, "1 record was dropped because the outbox is full, 751 so far");
    }

    #[test]
    fn losses_are_gathered_before_they_are_told_and_told_once_at_the_end() {
        let ledger = Arc::new(Ledger::new());
        let outbox = Outbox::new(64 << 10, 1, Arc::clone(&ledger));
        let lose = || {
            ledger.count_dropped(0, Signal::Logs, DropReason::OutboxFull);
            let mut frame = crate::otlp::Scratch::default();
            begin_frame(&mut frame);
            end_frame(&mut frame, HEADER, 9, false);
            outbox.count_loss(0, DropReason::OutboxFull, &frame.buf)
        };
        let mut voice = voice();
        assert_eq!(voice.watch(&ledger, &outbox, false), None, "there is nothing to tell");
        assert_eq!([lose(), lose()], [Wake::Yes, Wake::No]);
        let at = voice.watch(&ledger, &outbox, false).expect("in a while");
        assert!(at > Instant::now() && voice.told == 0);
        assert_eq!((voice.watch(&ledger, &outbox, true), voice.told), (None, 2), "there is no later");
        assert_eq!(lose(), Wake::Yes);
        let at = voice.watch(&ledger, &outbox, true).expect("not again and again");
        assert!(at > Instant::now() + QUIET / 2 && voice.told == 2);
    }

    #[test]
    fn an_outbox_that_fills_while_the_endpoint_takes_records_is_told_once() {
        let mut voice = voice();
        let start = Instant::now();
        voice.sample(Sample::new(start, &counters(1_000, 0, &[])));
        let now = start + Duration::from_secs(2);
        voice.sample(Sample::new(now, &counters(9_000, 0, &[])));
        let (half, most) = (40 << 20, 64 << 20);
        assert_eq!(voice.growing(now, (half, most)), None, "nothing was delivered: that is said elsewhere");
        voice.sample(Sample::new(now, &counters(9_000, 100, &[])));
        let notice = voice.growing(now, (half, most)).expect("news");
        assert_eq!(notice.text, "the outbox is more than half full: 40 MiB of 64 MiB wait to be sent");
        assert_eq!(notice.notes, ["over the last 2.0 s: 4000 records a second came, 50 a second were delivered"]);
        assert_eq!(voice.growing(now, (half, most)), None);
        assert_eq!(voice.growing(now, (1 << 20, most)), None);
        assert!(voice.growing(now, (half, most)).is_some(), "it was nearly empty meanwhile");
    }

    #[test]
    fn rates_are_those_of_the_last_seconds() {
        let mut voice = voice();
        let start = Instant::now();
        for second in 0..60 {
            voice.sample(Sample::new(start + Duration::from_secs(second), &counters(second, 0, &[])));
        }
        let first = voice.samples.front().expect("samples");
        assert_eq!((first.accepted, voice.samples.len()), (49, 11));
    }
}
