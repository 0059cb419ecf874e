//! What the ship thread says on stderr: one notice for a failure that lasts, one when it is over.

use std::sync::Arc;
use std::time::Duration;

use super::logs::Size;
use super::search::Hopeless;
use crate::config::Endpoint;
use crate::finding::{Finding, Kind, Severity, kind};
use crate::ledger::{Ended, Ledger};
use crate::notice::{self, Notice};
use crate::otlp::ItemSketch;
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
pub(crate) struct Failure {
    /// One sentence with the URL.
    pub(crate) text: String,
    pub(crate) help: &'static str,
}

#[derive(Debug)]
pub(super) struct Voice {
    signal: Signal,
    endpoint: Endpoint,
    ledger: Arc<Ledger>,
    /// The failure that was said last, until something is delivered again.
    failing: Option<String>,
    recovered_key: String,
    /// Whether the endpoint's limit has been told.
    told_limit: bool,
    /// Whether a clock that differs has been told.
    told_clock: bool,
}

impl Voice {
    pub(super) fn new(signal: Signal, endpoint: Endpoint, ledger: Arc<Ledger>) -> Self {
        let recovered_key = format!("recovered {endpoint}");
        Self { signal, endpoint, ledger, failing: None, recovered_key, told_limit: false, told_clock: false }
    }

    /// What does the work has ended by a panic, and begins anew.
    pub(super) fn restarted(&self) {
        self.ledger.observed.restarted();
    }

    /// A request has ended. `clock_offset` is by how many seconds the endpoint's clock is ahead.
    pub(super) fn heard(&mut self, outcome: &Outcome, clock_offset: Option<i64>) {
        let (ended, trouble) = match outcome {
            Outcome::Delivered => (Ended::Confirmed, None),
            Outcome::Partial { rejected, message } => {
                (Ended::Confirmed, Some(format!("it rejected {rejected}: \"{message}\"")))
            }
            Outcome::Refused { cause, .. } => (Ended::Refused, Some(cause.to_string())),
            Outcome::Retry { cause, .. } => (Ended::Failed, Some(cause.to_string())),
            Outcome::Unconfirmed { cause } => (Ended::Unconfirmed, Some(cause.to_string())),
        };
        self.ledger.observed.ended(self.signal, ended, trouble.as_deref(), clock_offset);
        if !self.told_clock
            && let Some(finding) = clock_offset.and_then(|offset| clock_finding(&self.endpoint.to_string(), offset))
        {
            self.told_clock = true;
            finding.notice().map(|notice| notice::say(&notice));
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
        let failure = self.failure(cause);
        if ending {
            return failure;
        }
        let text = failure.text.clone();
        let notice = Notice::new(kind::CANNOT_DELIVER.code, text.clone(), text.clone())
            .note(format!("waiting {waiting}"))
            .help(failure.help);
        notice::say(&notice);
        self.failing = Some(text);
        failure
    }

    /// The endpoint answered for good.
    pub(super) fn answered(&mut self, outcome: &Outcome, items: u64) {
        match outcome {
            Outcome::Delivered => self.recovered(),
            Outcome::Partial { rejected: 0, message } => {
                self.recovered();
                let key = format!("warned {} {message}", self.endpoint);
                let text = format!("{} took {} and warns: \"{message}\"", self.endpoint, self.signal.count(items));
                notice::say(
                    &Notice::new(kind::REFUSED.code, key, text).help("they arrived; its message says what to mend"),
                );
            }
            Outcome::Partial { rejected, message } => {
                let rejected = (*rejected).min(items);
                let said = if message.is_empty() { String::new() } else { format!(": \"{message}\"") };
                let text = format!("{} rejected {rejected} of {}{said}", self.endpoint, self.signal.count(items));
                let key = format!("partial {} {message}", self.endpoint);
                notice::say(&Notice::new(kind::REFUSED.code, key, text).error().help(
                    "its message is all it says of them, and they are lost: look at the endpoint's own log and limits",
                ));
            }
            Outcome::Refused { cause, .. } => {
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
    pub(super) fn refused_alone(&self, cause: &Cause, items: u64, sketch: Option<&ItemSketch>) {
        let lost = format!("lost: {}, which {} refused: {cause}", self.signal.count(items), self.endpoint);
        let Some(ItemSketch { kind, detail }) = sketch else { return self.say(&kind::REFUSED, cause, lost) };
        let key = format!("{} {cause} {kind}", self.endpoint);
        notice::say(
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
        let key = format!("{} {cause} one by one", self.endpoint);
        notice::say(&Notice::new(kind::REFUSED.code, key, text).error().help(cause.kind.help()));
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
        notice::say(&Notice::information(format!("limit {}", self.endpoint), text));
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
        let key = format!("{} {cause}", self.endpoint);
        notice::say(&Notice::new(kind.code, key, text).error().help(cause.kind.help()));
    }

    fn recovered(&mut self) {
        let Some(failure) = self.failing.take() else { return };
        // The next failure is news again.
        notice::forget(&failure);
        notice::say(&Notice::information(
            self.recovered_key.clone(),
            format!("{} reach {} again", self.signal.plural(), self.endpoint),
        ));
    }
}
