//! What the ship thread says on stderr: one notice for a failure that lasts, one when it is over, and a summary of
//! failures that come and go.
//!
//! Constraint: what makes two notices the same is the kind of failure, the status, the endpoint and the signal, and never
//! a server's words, which may be different each time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::health::{Counts, Health, News};
use super::logs::Size;
use super::search::Hopeless;
use crate::config::Endpoint;
use crate::finding::{Finding, Kind, Severity, kind};
use crate::ledger::{Ledger, RequestResult};
use crate::notice::{self, Notice};
use crate::otlp::ItemSummary;
use crate::signal::Signal;
use crate::transport::{Cause, Outcome};

/// A clock that differs by less than this many seconds deserves no word.
const CLOCK_TOLERANCE: i64 = 60;

/// That the clock differs from that of an endpoint, by so many seconds; none where that is little.
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

/// What the last request that failed failed of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// One sentence with the URL.
    pub text: String,
    pub help: &'static str,
}

#[derive(Debug)]
pub(super) struct Voice {
    signal: Signal,
    endpoint: Endpoint,
    ledger: Arc<Ledger>,
    health: Health,
    /// The last request that failed, of those that may be tried again.
    last_failure: Option<(String, Failure)>,
    /// How many items were lost when failures began to come and go, or at the last summary.
    lost_before: u64,
    /// Whether the endpoint's limit has been told.
    told_limit: bool,
    /// Whether a clock that differs has been told.
    told_clock: bool,
}

impl Voice {
    pub(super) fn new(signal: Signal, endpoint: Endpoint, ledger: Arc<Ledger>) -> Self {
        let health = Health::default();
        Self {
            signal,
            endpoint,
            ledger,
            health,
            last_failure: None,
            lost_before: 0,
            told_limit: false,
            told_clock: false,
        }
    }

    /// What does the work has ended by a panic, and begins anew.
    pub(super) fn restarted(&self) {
        self.ledger.stats.count_restart();
    }

    /// A request has ended. `clock_offset` is by how many seconds the endpoint's clock is ahead.
    pub(super) fn heard(&mut self, outcome: &Outcome, clock_offset: Option<i64>) {
        let (ended, trouble) = match outcome {
            Outcome::Delivered => (RequestResult::Confirmed, None),
            Outcome::Partial { rejected, message } => {
                (RequestResult::Confirmed, Some(format!("it rejected {rejected}: \"{message}\"")))
            }
            Outcome::Rejected { cause, .. } => (RequestResult::Refused, Some(cause.to_string())),
            Outcome::Retry { cause, .. } => (RequestResult::Failed, Some(cause.to_string())),
            Outcome::Unconfirmed { cause } => (RequestResult::Unconfirmed, Some(cause.to_string())),
        };
        self.health.ended();
        self.ledger.stats.count_request(self.signal, ended, trouble.as_deref(), clock_offset);
        if !self.told_clock
            && let Some(finding) = clock_offset.and_then(|offset| clock_finding(&self.endpoint.to_string(), offset))
        {
            self.told_clock = true;
            finding.notice().map(|notice| notice::emit(&notice));
        }
    }

    /// What a request failed of, in words.
    pub(super) fn failure(&self, cause: &Cause) -> Failure {
        let text = format!("cannot deliver {} to {}: {cause}", self.signal.plural(), self.endpoint);
        Failure { text, help: cause.kind.help() }
    }

    /// A retryable failure. Returns what it is in words. While the process ends it is not said here: the exit handler
    /// says how many items it cost, and why.
    pub(super) fn failed(&mut self, cause: &Cause, waiting: &str, ending: bool) -> Failure {
        let (failure, key) = (self.failure(cause), self.key("failing", &cause.key()));
        let was_flapping = self.health.due().is_some();
        let is_news = self.health.failed(Instant::now());
        if !is_news && !was_flapping {
            self.lost_before = self.lost();
        }
        if is_news && !ending {
            notice::emit(
                &Notice::new(kind::CANNOT_DELIVER.code, key.clone(), failure.text.clone())
                    .note(format!("waiting {waiting}"))
                    .help(failure.help),
            );
        }
        self.last_failure = Some((key, failure.clone()));
        failure
    }

    /// Says what is due of failures that come and go. `is_over`: everything was settled, and the process ends. Returns
    /// when the next thing is due.
    pub(super) fn watch(&mut self, is_over: bool) -> Option<Instant> {
        match self.health.news(Instant::now(), is_over) {
            Some(News::Flapped(counts, passed)) => self.say_flapped(counts, passed),
            Some(News::StillFailing(counts, passed)) => {
                if let Some((key, failure)) = &self.last_failure {
                    notice::reset_limit(key);
                    notice::emit(
                        &Notice::new(kind::CANNOT_DELIVER.code, key.clone(), failure.text.clone())
                            .note(self.failed_of(counts, passed))
                            .help(failure.help),
                    );
                }
            }
            Some(News::Steady) => self.say_recovered(),
            None => {}
        }
        self.health.due()
    }

    fn say_flapped(&mut self, counts: Counts, passed: Duration) {
        let lost = self.lost();
        let lost = lost.saturating_sub(std::mem::replace(&mut self.lost_before, lost));
        let (failed_of, key) = (self.failed_of(counts, passed), self.key("flapping", ""));
        let mut notice = match lost {
            0 => Notice::information(key, format!("{failed_of}; all were delivered when they were tried again")),
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

    /// `12 of 36 requests with logs to … failed in the last minute`.
    fn failed_of(&self, Counts { requests, failed, .. }: Counts, passed: Duration) -> String {
        let time = match passed.as_secs() {
            60..=120 => "minute".to_owned(),
            seconds => format!("{} s", seconds.max(1)),
        };
        let (what, endpoint) = (self.signal.plural(), &self.endpoint);
        format!("{failed} of {requests} requests with {what} to {endpoint} failed in the last {time}")
    }

    /// The key of a notice, where it differs between signals.
    fn key(&self, kind: &str, detail: &str) -> String {
        format!("{kind} {} {} {detail}", self.signal.plural(), self.endpoint)
    }

    /// The endpoint answered for good.
    pub(super) fn answered(&mut self, outcome: &Outcome, items: u64) {
        match outcome {
            Outcome::Delivered => self.taken(),
            Outcome::Partial { rejected: 0, message } => {
                self.taken();
                let key = self.key("warned", "");
                let text = format!("{} took {} and warns: \"{message}\"", self.endpoint, self.signal.count(items));
                notice::emit(
                    &Notice::new(kind::REFUSED.code, key, text).help("they arrived; its message says what to mend"),
                );
            }
            Outcome::Partial { rejected, message } => {
                self.taken();
                let rejected = (*rejected).min(items);
                let said = if message.is_empty() { String::new() } else { format!(": \"{message}\"") };
                let text = format!("{} rejected {rejected} of {}{said}", self.endpoint, self.signal.count(items));
                let key = self.key("partial", "");
                notice::emit(&Notice::new(kind::REFUSED.code, key, text).error().help(
                    "its message is all it says of them, and they are lost: look at the endpoint's own log and limits",
                ));
            }
            Outcome::Rejected { cause, .. } => {
                let text = format!("lost: {}, which {} refused: {cause}", self.signal.count(items), self.endpoint);
                self.say(&kind::REFUSED, cause, text);
            }
            Outcome::Unconfirmed { cause } => {
                let text = format!(
                    "perhaps lost: {}, which {} did not confirm: {cause}",
                    self.signal.count(items),
                    self.endpoint
                );
                self.say(&kind::UNCONFIRMED, cause, text);
            }
            Outcome::Retry { .. } => {}
        }
    }

    /// One item was refused when it was alone; it is named where it can be read. Those of the same kind are told once a
    /// minute.
    pub(super) fn refused_alone(&self, cause: &Cause, items: u64, sketch: Option<&ItemSummary>) {
        let lost = format!("lost: {}, which {} refused: {cause}", self.signal.count(items), self.endpoint);
        let Some(ItemSummary { kind, detail }) = sketch else { return self.say(&kind::REFUSED, cause, lost) };
        let key = self.key("refused", &format!("{} {kind}", cause.key()));
        notice::emit(
            &Notice::new(kind::REFUSED.code, key, format!("{lost}; it is {kind}: {detail}"))
                .error()
                .help(cause.kind.help()),
        );
    }

    /// More than one item of a request was refused when it was alone: those that are of the same kind as another were not
    /// named. So many others were `untried`, since they are no smaller than one of those that were too large.
    pub(super) fn refused_one_by_one(&self, cause: &Cause, items: u64, untried: u64) {
        let items = self.signal.count(items);
        let more = match untried {
            0 => String::new(),
            1 => "; and 1 more of at least that size was not tried".to_owned(),
            _ => format!("; and {untried} more of at least that size were not tried"),
        };
        let text = format!("lost: {items} one by one, which {} refused: {cause}{more}", self.endpoint);
        let key = self.key("one by one", &cause.key());
        notice::emit(&Notice::new(kind::REFUSED.code, key, text).error().help(cause.kind.help()));
    }

    /// The endpoint refuses whatever it is sent: this many items at once.
    pub(super) fn refused_all(&self, cause: &Cause, items: u64, why: Hopeless) {
        let why = match why {
            Hopeless::EmptyRefused => {
                "it took neither half of them, and no empty request, so it seems to be the endpoint and not one of them"
            }
            Hopeless::EverythingRefused => {
                "it refused the parts of them that it was sent, so it seems to be the endpoint and not one of them"
            }
        };
        let lost = format!("lost: {}, which {} refused: {cause}; {why}", self.signal.count(items), self.endpoint);
        self.say(&kind::REFUSED, cause, lost);
    }

    /// The endpoint takes only so much at once.
    pub(super) fn limited(&mut self, bytes: usize, too_large: usize) {
        if std::mem::replace(&mut self.told_limit, true) {
            return;
        }
        let (bytes, too_large) = (Size(bytes), Size(too_large));
        let text = format!(
            "{} refuses {} in requests of {too_large}: from now on they are sent in requests of {bytes} at most",
            self.endpoint,
            self.signal.plural(),
        );
        notice::emit(&Notice::information(format!("limit {}", self.endpoint), text));
    }

    /// The time for one request with its tries is over.
    pub(super) fn gave_up(&self, cause: &Cause, items: u64) {
        let text = format!(
            "lost: {}, which could not be delivered to {} in time (OTEL_{}_EXPORT_TIMEOUT): {cause}",
            self.signal.count(items),
            self.endpoint,
            self.signal.processor(),
        );
        self.say(&kind::CANNOT_DELIVER, cause, text);
    }

    fn say(&self, kind: &'static Kind, cause: &Cause, text: String) {
        let key = self.key(kind.code, &cause.key());
        notice::emit(&Notice::new(kind.code, key, text).error().help(cause.kind.help()));
    }

    /// The endpoint took a request.
    fn taken(&mut self) {
        if self.health.taken(Instant::now()) {
            // The next failure is news again.
            self.last_failure.as_ref().inspect(|(key, _)| notice::reset_limit(key));
            self.say_recovered();
        }
    }

    fn say_recovered(&self) {
        let text = format!("{} reach {} again", self.signal.plural(), self.endpoint);
        notice::emit(&Notice::information(self.key("recovered", ""), text));
    }
}
