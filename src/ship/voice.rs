//! What the ship thread says on stderr: one notice for a failure that lasts, one when it is over.

use std::fmt;

use crate::config::Endpoint;
use crate::notice::{self, Notice};
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
    endpoint: Endpoint,
    /// The failure that was said last, until something is delivered again.
    failing: Option<String>,
    recovered_key: String,
}

impl Voice {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        let recovered_key = format!("recovered {endpoint}");
        Self { endpoint, failing: None, recovered_key }
    }

    /// A retryable failure. Returns what it is in words. While the process ends it is not said here: the exit handler
    /// says how many records it cost, and why.
    pub(super) fn failed(&mut self, cause: &Cause, pending: u64, bound: usize, ending: bool) -> Failure {
        let text = format!("cannot deliver logs to {}: {cause}", self.endpoint);
        let failure = Failure { text: text.clone(), help: cause.kind.help() };
        if ending {
            return failure;
        }
        let notice = Notice::new(text.clone(), text.clone())
            .note(format!("waiting in memory to be tried again: {} (the bound is {})", Records(pending), Bytes(bound)))
            .help(cause.kind.help());
        notice::say(&notice);
        self.failing = Some(text);
        failure
    }

    /// The endpoint answered for good.
    pub(super) fn answered(&mut self, outcome: &Outcome, records: u64) {
        match outcome {
            Outcome::Delivered => self.recovered(),
            Outcome::Partial { rejected: 0, message } => {
                self.recovered();
                let key = format!("warned {} {message}", self.endpoint);
                let text = format!("{} took {} and warns: \"{message}\"", self.endpoint, Records(records));
                notice::say(&Notice::new(key, text).help("the records arrived; its message says what to mend"));
            }
            Outcome::Partial { rejected, message } => {
                let rejected = (*rejected).min(records);
                let text = format!("{} rejected {rejected} of {}: \"{message}\"", self.endpoint, Records(records));
                let key = format!("partial {} {message}", self.endpoint);
                notice::say(&Notice::new(key, text).help("the records it rejected are lost; its message says why"));
            }
            Outcome::Refused { cause, .. } => {
                let text = format!("lost: {}, which {} refused: {cause}", Records(records), self.endpoint);
                self.say(cause, text);
            }
            Outcome::Unconfirmed { cause } => {
                let text =
                    format!("perhaps lost: {}, which {} did not confirm: {cause}", Records(records), self.endpoint);
                self.say(cause, text);
            }
            Outcome::Retry { .. } => {}
        }
    }

    fn say(&self, cause: &Cause, text: String) {
        let key = format!("{} {cause}", self.endpoint);
        notice::say(&Notice::new(key, text).help(cause.kind.help()));
    }

    fn recovered(&mut self) {
        let Some(failure) = self.failing.take() else { return };
        // The next failure is news again.
        notice::forget(&failure);
        notice::say(&Notice::information(self.recovered_key.clone(), format!("logs reach {} again", self.endpoint)));
    }
}

struct Records(u64);

impl fmt::Display for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, if self.0 == 1 { "record" } else { "records" })
    }
}

struct Bytes(usize);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 10 << 20 => write!(f, "{} MiB", bytes >> 20),
            bytes if bytes >= 10 << 10 => write!(f, "{} KiB", bytes >> 10),
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}
