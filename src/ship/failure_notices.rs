//! Notices about requests that fail: one when an outage begins, one when it ends, and a summary of intermittent
//! failures.
//!
//! Constraint: two notices are the same if the kind of failure, the status, the endpoint and the signal are the same.
//! The server's text is not compared, because it may differ each time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bad_item_search::GiveUpReason;
use super::byte_size::ByteSize;
use super::failure::Failure;
use super::health::{Counts, Health, HealthReport};
use crate::config::Endpoint;
use crate::finding::{Finding, Kind, Severity, kind};
use crate::ledger::{Ledger, RequestResult};
use crate::notice::{self, Notice};
use crate::otlp::ItemSummary;
use crate::signal::Signal;
use crate::transport::{Cause, Outcome};

/// A clock offset of fewer seconds than this is not reported.
const CLOCK_TOLERANCE: i64 = 60;

/// Returns a finding if this machine's clock differs from the endpoint's by this many seconds, and that is too much.
pub(crate) fn clock_finding(endpoint: &str, offset: i64) -> Option<Finding> {
    if offset.abs() < CLOCK_TOLERANCE {
        return None;
    }
    let (amount, direction) =
        (Duration::from_secs(offset.unsigned_abs()), if offset > 0 { "behind" } else { "ahead of" });
    let text =
        format!("the clock of this machine is {amount:?} {direction} that of {endpoint}, by the date of its answers");
    let help = "set the clock (NTP); until then, search with a wider time range";
    Some(Finding::new(&kind::CLOCK_OFF, Severity::Warning, "clock", text).help(help))
}

/// Emits the notices about one signal and one endpoint.
#[derive(Debug)]
pub(super) struct FailureNotices {
    signal: Signal,
    endpoint: Endpoint,
    ledger: Arc<Ledger>,
    health: Health,
    /// The last failure that is retried, with the key of its notice.
    last_failure: Option<(String, Failure)>,
    /// Items lost when intermittent failures began, or at the last summary.
    lost_before: u64,
    limit_reported: bool,
    clock_reported: bool,
}

impl FailureNotices {
    pub(super) fn new(signal: Signal, endpoint: Endpoint, ledger: Arc<Ledger>) -> Self {
        Self {
            signal,
            endpoint,
            ledger,
            health: Health::default(),
            last_failure: None,
            lost_before: 0,
            limit_reported: false,
            clock_reported: false,
        }
    }

    /// Counts a restart of the worker after a panic.
    pub(super) fn note_restart(&self) {
        self.ledger.stats.count_restart();
    }

    /// Counts a request that ended. `clock_offset` is how many seconds the endpoint's clock is ahead.
    pub(super) fn note_outcome(&mut self, outcome: &Outcome, clock_offset: Option<i64>) {
        let (result, trouble) = match outcome {
            Outcome::Delivered => (RequestResult::Confirmed, None),
            Outcome::Partial { rejected, message } => {
                (RequestResult::Confirmed, Some(format!("it rejected {rejected}: \"{message}\"")))
            }
            Outcome::Rejected { cause, .. } => (RequestResult::Refused, Some(cause.to_string())),
            Outcome::Retry { cause, .. } => (RequestResult::Failed, Some(cause.to_string())),
            Outcome::Unconfirmed { cause } => (RequestResult::Unconfirmed, Some(cause.to_string())),
        };
        self.health.ended();
        self.ledger.stats.count_request(self.signal, result, trouble.as_deref(), clock_offset);
        if !self.clock_reported
            && let Some(finding) = clock_offset.and_then(|offset| clock_finding(&self.endpoint.to_string(), offset))
        {
            self.clock_reported = true;
            finding.notice().map(|notice| notice::emit(&notice));
        }
    }

    /// Returns a description of why a request failed.
    pub(super) fn failure(&self, cause: &Cause) -> Failure {
        let text = format!("cannot deliver {} to {}: {cause}", self.signal.plural(), self.endpoint);
        Failure { text, help: cause.kind.help() }
    }

    /// Reports a failure that is retried, and returns its description. With `ending`, emits no notice, because the exit
    /// handler reports how many items were lost, and why.
    pub(super) fn report_failure(&mut self, cause: &Cause, waiting: String, ending: bool) -> Failure {
        let (failure, key) = (self.failure(cause), self.key("failing", &cause.key()));
        let was_flapping = self.health.due().is_some();
        let is_news = self.health.failed(Instant::now());
        if !is_news && !was_flapping {
            self.lost_before = self.lost();
        }
        if is_news && !ending {
            notice::emit(
                &Notice::new(kind::CANNOT_DELIVER.code, key.clone(), failure.text.clone())
                    .note(waiting)
                    .help(failure.help),
            );
        }
        self.last_failure = Some((key, failure.clone()));
        failure
    }

    /// Reports intermittent failures if that is due. `is_over` if everything has an outcome and the process ends.
    /// Returns when the next report is due.
    pub(super) fn report_health(&mut self, is_over: bool) -> Option<Instant> {
        match self.health.report(Instant::now(), is_over) {
            Some(HealthReport::Flapped(counts, elapsed)) => self.report_flapping(counts, elapsed),
            Some(HealthReport::StillFailing(counts, elapsed)) => {
                if let Some((key, failure)) = &self.last_failure {
                    notice::reset_limit(key);
                    notice::emit(
                        &Notice::new(kind::CANNOT_DELIVER.code, key.clone(), failure.text.clone())
                            .note(self.failed_of(counts, elapsed))
                            .help(failure.help),
                    );
                }
            }
            Some(HealthReport::Steady) => self.report_recovery(),
            None => {}
        }
        self.health.due()
    }

    fn report_flapping(&mut self, counts: Counts, elapsed: Duration) {
        let lost = self.lost();
        let lost = lost.saturating_sub(std::mem::replace(&mut self.lost_before, lost));
        let (failed_of, key) = (self.failed_of(counts, elapsed), self.key("flapping", ""));
        let mut notice = match lost {
            0 => Notice::information(key, format!("{failed_of}; retries delivered them all")),
            lost => {
                let were = if lost == 1 { "was" } else { "were" };
                let text = format!("{failed_of}; {} {were} lost or not confirmed meanwhile", self.signal.count(lost));
                Notice::new(kind::CANNOT_DELIVER.code, key, text)
            }
        };
        if let Some((_, failure)) = &self.last_failure {
            notice = notice.note(format!("the last failure: {}", failure.text)).help(failure.help);
        }
        notice::emit(&notice);
    }

    fn lost(&self) -> u64 {
        let counters = self.ledger.snapshot();
        match self.signal {
            Signal::Logs => counters.otlp.lost() + counters.otlp.unconfirmed,
            Signal::Traces => counters.spans.lost() + counters.spans.unconfirmed,
        }
    }

    /// Returns `12 of 36 requests with logs to … failed in the last minute`.
    fn failed_of(&self, Counts { requests, failed, .. }: Counts, elapsed: Duration) -> String {
        let time = match elapsed.as_secs() {
            60..=120 => "minute".to_owned(),
            seconds => format!("{} s", seconds.max(1)),
        };
        let (what, endpoint) = (self.signal.plural(), &self.endpoint);
        format!("{failed} of {requests} requests with {what} to {endpoint} failed in the last {time}")
    }

    /// Returns the key of a notice, which includes the signal and the endpoint.
    fn key(&self, kind: &str, detail: &str) -> String {
        format!("{kind} {} {} {detail}", self.signal.plural(), self.endpoint)
    }

    /// Reports the final outcome of a request.
    pub(super) fn report_outcome(&mut self, outcome: &Outcome, items: u64) {
        match outcome {
            Outcome::Delivered => self.note_accepted(),
            Outcome::Partial { rejected: 0, message } => {
                self.note_accepted();
                let key = self.key("warned", "");
                let text = format!("{} accepted {} and warns: \"{message}\"", self.endpoint, self.signal.count(items));
                let help = "nothing is lost; its message says what to correct";
                notice::emit(&Notice::new(kind::REFUSED.code, key, text).help(help));
            }
            Outcome::Partial { rejected, message } => {
                self.note_accepted();
                let rejected = (*rejected).min(items);
                let message = if message.is_empty() { String::new() } else { format!(": \"{message}\"") };
                let text = format!("{} rejected {rejected} of {}{message}", self.endpoint, self.signal.count(items));
                let key = self.key("partial", "");
                let help =
                    "they are lost, and the endpoint does not say which they are: look at its own log and limits";
                notice::emit(&Notice::new(kind::REFUSED.code, key, text).error().help(help));
            }
            Outcome::Rejected { cause, .. } => self.emit_error(&kind::REFUSED, cause, self.lost_text(cause, items)),
            Outcome::Unconfirmed { cause } => {
                let (items, endpoint) = (self.signal.count(items), &self.endpoint);
                let text = format!("perhaps lost: {items}, which {endpoint} did not confirm: {cause}");
                self.emit_error(&kind::UNCONFIRMED, cause, text);
            }
            Outcome::Retry { .. } => {}
        }
    }

    fn lost_text(&self, cause: &Cause, items: u64) -> String {
        format!("lost: {}, which {} refused: {cause}", self.signal.count(items), self.endpoint)
    }

    /// Reports an item that was refused alone, and names it if it can be read. Items of the same kind are reported once
    /// a minute.
    pub(super) fn report_refused_item(&self, cause: &Cause, items: u64, summary: Option<&ItemSummary>) {
        let lost = self.lost_text(cause, items);
        let Some(ItemSummary { kind, detail }) = summary else { return self.emit_error(&kind::REFUSED, cause, lost) };
        let key = self.key("refused", &format!("{} {kind}", cause.key()));
        notice::emit(
            &Notice::new(kind::REFUSED.code, key, format!("{lost}; it is {kind}: {detail}"))
                .error()
                .help(cause.kind.help()),
        );
    }

    /// Reports that several items of a request were refused alone, because not every one of them got a notice. `unsent`
    /// others were not sent, because they are no smaller than an item that was too large.
    pub(super) fn report_refused_items(&self, cause: &Cause, items: u64, unsent: u64) {
        let items = self.signal.count(items);
        let more = match unsent {
            0 => String::new(),
            1 => "; and 1 more of at least that size was not sent".to_owned(),
            _ => format!("; and {unsent} more of at least that size were not sent"),
        };
        let text = format!("lost: {items}, each refused separately by {}: {cause}{more}", self.endpoint);
        let key = self.key("one by one", &cause.key());
        notice::emit(&Notice::new(kind::REFUSED.code, key, text).error().help(cause.kind.help()));
    }

    /// Reports that the endpoint refuses every request, and how many items it refused this time.
    pub(super) fn report_refused_all(&self, cause: &Cause, items: u64, why: GiveUpReason) {
        let why = match why {
            GiveUpReason::EmptyRefused => {
                "it refused both halves of them and an empty request too, so the endpoint seems to be at fault, not \
                 one of them"
            }
            GiveUpReason::EverythingRefused => {
                "it refused every part of them that was sent, so the endpoint seems to be at fault, not one of them"
            }
        };
        self.emit_error(&kind::REFUSED, cause, format!("{}; {why}", self.lost_text(cause, items)));
    }

    /// Reports once that the endpoint limits the size of requests.
    pub(super) fn report_limit(&mut self, bytes: usize, too_large: usize) {
        if std::mem::replace(&mut self.limit_reported, true) {
            return;
        }
        let (bytes, too_large) = (ByteSize(bytes), ByteSize(too_large));
        let text = format!(
            "{} refuses {} in requests of {too_large}: from now on, requests have at most {bytes}",
            self.endpoint,
            self.signal.plural(),
        );
        notice::emit(&Notice::information(format!("limit {}", self.endpoint), text));
    }

    /// Reports that the time for all attempts of a request is over.
    pub(super) fn report_timeout(&self, cause: &Cause, items: u64) {
        let text = format!(
            "lost: {}, which could not be delivered to {} in time (OTEL_{}_EXPORT_TIMEOUT): {cause}",
            self.signal.count(items),
            self.endpoint,
            self.signal.processor(),
        );
        self.emit_error(&kind::CANNOT_DELIVER, cause, text);
    }

    fn emit_error(&self, kind: &'static Kind, cause: &Cause, text: String) {
        let key = self.key(kind.code, &cause.key());
        notice::emit(&Notice::new(kind.code, key, text).error().help(cause.kind.help()));
    }

    fn note_accepted(&mut self) {
        if self.health.accepted(Instant::now()) {
            // Makes sure that the next failure is reported again.
            self.last_failure.as_ref().inspect(|(key, _)| notice::reset_limit(key));
            self.report_recovery();
        }
    }

    fn report_recovery(&self) {
        let text = format!("{} reach {} again", self.signal.plural(), self.endpoint);
        notice::emit(&Notice::information(self.key("recovered", ""), text));
    }
}
