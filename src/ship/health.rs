//! Decides when to report that requests to an endpoint fail. An outage and its end are reported at once, and
//! intermittent failures in one summary a minute. Pure.

use std::time::{Duration, Instant};

/// How long failures are counted before a summary. Longer than the rate limit of a notice.
const WINDOW: Duration = Duration::from_millis(60_500);

/// Tracks the outcomes of requests to one endpoint.
#[derive(Debug, Default)]
pub(super) struct Health {
    phase: Phase,
    /// Whether the last request failed.
    is_failing: bool,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Phase {
    /// Nothing to report.
    #[default]
    Calm,
    /// An outage was reported, and has not ended.
    Failing,
    /// The end of an outage was reported.
    Recovered { at: Instant },
    /// Failures began again soon after that, and are counted.
    Flapping { since: Instant },
}

/// Counts the requests of a window.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Counts {
    pub(super) requests: u64,
    /// Requests that failed and are retried.
    pub(super) failed: u64,
}

/// What to report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum HealthReport {
    /// Some requests failed during this time, but not the last one.
    Flapped(Counts, Duration),
    /// Some requests failed during this time, and so did the last one.
    StillFailing(Counts, Duration),
    /// No request has failed for a whole window.
    Steady,
}

impl Health {
    /// Counts a request that ended, with any outcome.
    pub(super) fn ended(&mut self) {
        self.counts.requests += 1;
    }

    /// Counts a request that failed and will be retried. Returns whether to report that now.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        self.is_failing = true;
        match self.phase {
            Phase::Recovered { at } if now.saturating_duration_since(at) < WINDOW => {
                self.phase = Phase::Flapping { since: now };
                self.counts = Counts { requests: 1, failed: 1 };
                return false;
            }
            Phase::Flapping { .. } => {}
            Phase::Calm | Phase::Failing | Phase::Recovered { .. } => self.phase = Phase::Failing,
        }
        self.counts.failed += 1;
        self.phase == Phase::Failing
    }

    /// Counts a request that was accepted. Returns whether to report the end of an outage.
    pub(super) fn accepted(&mut self, now: Instant) -> bool {
        self.is_failing = false;
        let is_over = self.phase == Phase::Failing;
        if is_over {
            self.phase = Phase::Recovered { at: now };
        }
        is_over
    }

    /// Returns when [`report`](Self::report) is due.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Flapping { since } => since.checked_add(WINDOW),
            _ => None,
        }
    }

    /// Returns what to report now. `is_over` if everything has an outcome and the process ends.
    pub(super) fn report(&mut self, now: Instant, is_over: bool) -> Option<HealthReport> {
        let Phase::Flapping { since } = self.phase else { return None };
        let passed = now.saturating_duration_since(since);
        // At the end, the previous summary is still true if nothing has failed since.
        if passed < WINDOW && (!is_over || self.counts.failed == 0) {
            return None;
        }
        let counts = std::mem::take(&mut self.counts);
        let (phase, report) = match counts.failed {
            _ if self.is_failing => (Phase::Failing, HealthReport::StillFailing(counts, passed)),
            0 => (Phase::Recovered { at: now }, HealthReport::Steady),
            _ => (Phase::Flapping { since: now }, HealthReport::Flapped(counts, passed)),
        };
        self.phase = phase;
        Some(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    /// A request fails, and is taken when it is tried again.
    fn flap(health: &mut Health, now: Instant) -> (bool, bool) {
        health.ended();
        let failed = health.failed(now);
        health.ended();
        (failed, health.accepted(now))
    }

    #[test]
    fn an_outage_and_its_end_are_reported_at_once() {
        let (mut health, start) = (Health::default(), Instant::now());
        assert!(health.failed(start) && health.failed(at(start, 1)), "the rate limit is another's");
        assert!(health.accepted(at(start, 2)) && !health.accepted(at(start, 3)));
        assert_eq!((health.due(), health.report(at(start, 90), true)), (None, None));
        assert_eq!(flap(&mut health, at(start, 100)), (true, true), "much later it is news again");
    }

    #[test]
    fn failures_that_come_and_go_are_summarized() {
        let (mut health, start) = (Health::default(), Instant::now());
        assert_eq!(flap(&mut health, start), (true, true));
        for second in 1..=12 {
            assert_eq!(flap(&mut health, at(start, second)), (false, false));
            health.ended();
            health.accepted(at(start, second));
        }
        assert_eq!(health.due(), Some(at(start, 1) + WINDOW));
        assert_eq!(health.report(at(start, 30), false), None);
        let counts = Counts { requests: 36, failed: 12 };
        assert_eq!(health.report(at(start, 62), false), Some(HealthReport::Flapped(counts, Duration::from_secs(61))));
        assert_eq!(flap(&mut health, at(start, 70)), (false, false));
        let counts = Counts { requests: 2, failed: 1 };
        assert_eq!(
            health.report(at(start, 80), true),
            Some(HealthReport::Flapped(counts, Duration::from_secs(18))),
            "at the end"
        );
        assert_eq!(health.report(at(start, 80), true), None);
        assert_eq!(health.report(at(start, 150), false), Some(HealthReport::Steady));
        assert_eq!(health.due(), None);
    }

    #[test]
    fn an_outage_that_lasts_longer_than_a_window_is_reported_as_one() {
        let (mut health, start) = (Health::default(), Instant::now());
        flap(&mut health, start);
        health.ended();
        assert!(!health.failed(at(start, 5)));
        let counts = Counts { requests: 1, failed: 1 };
        assert_eq!(
            health.report(at(start, 66), false),
            Some(HealthReport::StillFailing(counts, Duration::from_secs(61)))
        );
        assert!(health.failed(at(start, 70)) && health.accepted(at(start, 71)));
    }
}
