//! The outcome of an OTLP request, as observations and findings use it.

use logbridge::internals::transport::Outcome;

/// Describes the outcome of a request in a few words.
pub(super) fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Delivered => "accepted".to_owned(),
        Outcome::Partial { rejected: 0, message } => format!("accepted with the message {message:?}"),
        Outcome::Partial { rejected, message } => format!("accepted, but {rejected} rejected: {message:?}"),
        Outcome::Rejected { cause, .. } | Outcome::Retry { cause, .. } | Outcome::Unconfirmed { cause } => {
            cause.text.clone()
        }
    }
}
