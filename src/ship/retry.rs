//! Decides when a failed request is sent again, and when an ending process stops retrying. Pure, except for the clock.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

use super::control::ControlState;
use crate::transport::CauseKind;

/// The longest pause between two attempts while the process ends, if little time is left.
const EXIT_PAUSE: Duration = Duration::from_millis(250);
/// Otherwise, the longest pause is the remaining time divided by this, so that a long shutdown does not hammer the
/// endpoint.
const EXIT_TRIES: u32 = 12;
/// How long an exit retries an endpoint that has confirmed nothing in this process. Such an endpoint may never recover:
/// a mesh without a collector behind it answers 503, and must not delay every command-line tool by the whole exit
/// timeout.
const EXIT_PATIENCE: Duration = Duration::from_secs(1);
/// An endpoint that failed for this long before the exit gets one more attempt. The backoff has then reached its
/// maximum.
const FAILING_FOR_LONG: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Retry {
    backoff: ExponentialBackoff,
    /// The backoff ends at this time.
    pub(super) at: Option<Instant>,
    /// The endpoint asked not to retry before this time.
    not_before: Option<Instant>,
    /// The newest flush for which the backoff was skipped.
    skipped_for: u64,
    /// How long all attempts of a request may take together, if that is limited.
    export_timeout: Option<Duration>,
    /// When the first attempt began.
    pub(super) since: Option<Instant>,
    /// When the first attempt failed while the process was ending.
    failed_at_exit: Option<Instant>,
    /// Whether the last answer was invalid for the protocol.
    garbled: bool,
}

fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(30))
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}

impl Retry {
    pub(super) fn new(export_timeout: Option<Duration>) -> Self {
        Self {
            backoff: backoff(),
            at: None,
            not_before: None,
            skipped_for: 0,
            export_timeout,
            since: None,
            failed_at_exit: None,
            garbled: false,
        }
    }

    /// Schedules the next attempt after a failed one, and returns its time. If the process ends, pauses are short.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        after: Option<Duration>,
        deadline: Option<Instant>,
    ) -> Option<Instant> {
        let longest = deadline.map(|deadline| EXIT_PAUSE.max(deadline.saturating_duration_since(now) / EXIT_TRIES));
        let pause = self.backoff.next().map(|pause| longest.map_or(pause, |longest| pause.min(longest)));
        self.at = pause.map(|pause| now + pause);
        self.not_before = after.map(|after| now + after);
        if deadline.is_some() {
            self.failed_at_exit.get_or_insert(now);
        }
        self.at.max(self.not_before)
    }

    /// Returns whether an ending process should stop retrying, because the endpoint is unlikely to recover in time.
    /// `confirmed` if it has ever confirmed anything.
    pub(super) fn is_in_vain_at_exit(&self, now: Instant, confirmed: bool) -> bool {
        let Some(first) = self.failed_at_exit else { return false };
        let failed_for_long = self.since.is_some_and(|since| first.duration_since(since) >= FAILING_FOR_LONG);
        failed_for_long || (!confirmed && now.duration_since(first) >= EXIT_PATIENCE)
    }

    /// Returns whether the time for all attempts is over.
    pub(super) fn is_over(&self) -> bool {
        self.export_timeout.zip(self.since).is_some_and(|(most, since)| since.elapsed() >= most)
    }

    pub(super) fn reset(&mut self) {
        if self.at.take().is_some() {
            self.backoff = backoff();
        }
        self.not_before = None;
        self.since = None;
        self.failed_at_exit = None;
        self.garbled = false;
    }

    /// Returns whether an ending process should stop retrying after a failure of this kind.
    pub(super) fn is_hopeless_at_exit(&mut self, kind: CauseKind) -> bool {
        // A single answer may be garbled in transit, but a port that speaks another protocol always answers like this.
        let again = std::mem::replace(&mut self.garbled, kind == CauseKind::Protocol);
        kind.is_hopeless_at_exit() && (kind != CauseKind::Protocol || again)
    }

    /// Returns until when to wait before the next attempt.
    ///
    /// A new flush skips the backoff and starts again with short pauses, because a caller waits for it. A delay named
    /// by the endpoint is respected.
    pub(super) fn wait_until(&mut self, orders: &ControlState) -> Option<Instant> {
        let now = Instant::now();
        let is_new_flush = orders.flush_wanted > self.skipped_for;
        if is_new_flush && self.at.is_some() {
            self.backoff = backoff();
        }
        let at = if is_new_flush { self.not_before } else { self.at.max(self.not_before) };
        let wait = at.filter(|at| *at > now);
        if wait.is_none() {
            self.skipped_for = orders.flush_wanted;
        }
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the pauses after this many consecutive failures, in an exit that began with this much time left.
    fn pauses(retry: &mut Retry, left: Duration, failures: usize) -> Vec<Duration> {
        let start = Instant::now();
        let mut now = start;
        let pause = |_| {
            let next = retry.failed(now, None, Some(start + left)).expect("another try");
            let pause = next - now;
            now = next;
            pause
        };
        (0..failures).map(pause).collect()
    }

    #[test]
    fn an_exit_tries_again_and_again_until_its_deadline() {
        let left = Duration::from_secs(3);
        let mut retry = Retry::new(None);
        // As it is after some minutes without an answer.
        for _ in 0..12 {
            retry.failed(Instant::now(), None, None);
        }
        for pause in pauses(&mut retry, left, 11) {
            assert!(pause <= EXIT_PAUSE, "{pause:?}");
        }
        let long = pauses(&mut Retry::new(None), Duration::from_secs(600), 6);
        assert!(long[5] > 4 * EXIT_PAUSE, "a long shutdown is no hammer: {long:?}");
    }

    #[test]
    fn the_time_that_the_endpoint_names_counts() {
        let mut retry = Retry::new(None);
        let now = Instant::now();
        let after = Duration::from_secs(60);
        assert_eq!(retry.failed(now, Some(after), Some(now + after / 20)), Some(now + after));
    }

    #[test]
    fn an_exit_is_patient_with_an_endpoint_that_has_answered_before() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs_f64(seconds);
        let deadline = Some(at(100.0));
        let mut retry = Retry { since: Some(start), ..Retry::new(None) };
        assert!(!retry.is_in_vain_at_exit(at(90.0), false), "the process does not end");
        for seconds in [20.0, 20.9, 21.1] {
            retry.failed(at(seconds), None, deadline);
            assert!(!retry.is_in_vain_at_exit(at(seconds), true), "{seconds}");
            assert_eq!(retry.is_in_vain_at_exit(at(seconds), false), seconds > 21.0, "{seconds}");
        }
        retry.reset();
        retry.since = Some(at(22.0));
        retry.failed(at(22.0), None, deadline);
        assert!(!retry.is_in_vain_at_exit(at(22.0), false), "something was answered in between");
    }

    #[test]
    fn an_endpoint_that_failed_for_long_gets_one_more_try() {
        let start = Instant::now();
        let exit = start + FAILING_FOR_LONG;
        let mut retry = Retry { since: Some(start), ..Retry::new(None) };
        retry.failed(exit - Duration::from_millis(1), None, None);
        retry.failed(exit, None, Some(exit + Duration::from_secs(3)));
        assert!(retry.is_in_vain_at_exit(exit, true) && retry.is_in_vain_at_exit(exit, false));
    }

    #[test]
    fn a_garbled_answer_is_hopeless_at_exit_when_it_comes_again() {
        let mut retry = Retry::new(None);
        assert!(retry.is_hopeless_at_exit(CauseKind::ConnectionRefused));
        assert!(!retry.is_hopeless_at_exit(CauseKind::Protocol));
        assert!(retry.is_hopeless_at_exit(CauseKind::Protocol));
        retry.reset();
        assert!(!retry.is_hopeless_at_exit(CauseKind::Protocol), "something else came between");
        assert!(!retry.is_hopeless_at_exit(CauseKind::Busy) && !retry.is_hopeless_at_exit(CauseKind::Protocol));
    }
}
