//! What the ship thread says on stderr: one notice for a failure that lasts, one when it is over.

use crate::config::Endpoint;
use crate::notice::{self, Notice};
use crate::signal::Signal;
use crate::transport::{Cause, Outcome};

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
    /// The failure that was said last, until something is delivered again.
    failing: Option<String>,
    recovered_key: String,
}

impl Voice {
    pub(super) fn new(signal: Signal, endpoint: Endpoint) -> Self {
        let recovered_key = format!("recovered {endpoint}");
        Self { signal, endpoint, failing: None, recovered_key }
    }

    /// A retryable failure. Returns what it is in words. While the process ends it is not said here: the exit handler
    /// says how many items it cost, and why.
    pub(super) fn failed(&mut self, cause: &Cause, pending: u64, bound: &str, ending: bool) -> Failure {
        let text = format!("cannot deliver {} to {}: {cause}", self.signal.plural(), self.endpoint);
        let failure = Failure { text: text.clone(), help: cause.kind.help() };
        if ending {
            return failure;
        }
        let notice = Notice::new(text.clone(), text.clone())
            .note(format!("waiting in memory to be tried again: {} (the bound is {bound})", self.signal.count(pending)))
            .help(cause.kind.help());
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
                notice::say(&Notice::new(key, text).help("they arrived; its message says what to mend"));
            }
            Outcome::Partial { rejected, message } => {
                let rejected = (*rejected).min(items);
                let text =
                    format!("{} rejected {rejected} of {}: \"{message}\"", self.endpoint, self.signal.count(items));
                let key = format!("partial {} {message}", self.endpoint);
                notice::say(&Notice::new(key, text).help("what it rejected is lost; its message says why"));
            }
            Outcome::Refused { cause, .. } => {
                let text = format!("lost: {}, which {} refused: {cause}", self.signal.count(items), self.endpoint);
                self.say(cause, text);
            }
            Outcome::Unconfirmed { cause } => {
                let text = format!(
                    "perhaps lost: {}, which {} did not confirm: {cause}",
                    self.signal.count(items),
                    self.endpoint
                );
                self.say(cause, text);
            }
            Outcome::Retry { .. } => {}
        }
    }

    /// The time for one request with its tries is over.
    pub(super) fn gave_up(&self, cause: &Cause, items: u64) {
        let text = format!(
            "lost: {}, which could not be delivered to {} in time (OTEL_{}_EXPORT_TIMEOUT): {cause}",
            self.signal.count(items),
            self.endpoint,
            self.signal.processor(),
        );
        self.say(cause, text);
    }

    fn say(&self, cause: &Cause, text: String) {
        let key = format!("{} {cause}", self.endpoint);
        notice::say(&Notice::new(key, text).help(cause.kind.help()));
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
