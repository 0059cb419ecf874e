//! What an answer of gRPC means, and its status in words.

use std::error::Error;

use http::StatusCode;
use tonic::{Code, Status};

use super::super::cause;
use super::super::outcome::{Cause, CauseKind, Outcome, server_words};
use super::answer::Seen;
use super::{ANSWER_LIMIT, Broken};
use crate::ledger::RejectReason;
use crate::otlp::{read_export_response, read_retry_info};

/// The status of a success.
const OK: &str = "0";
/// The status that says nothing.
const UNKNOWN: &str = "2";
/// tonic's words for an answer that ends too early.
const TRUNCATED: [&str; 2] = ["missing grpc-status trailer", "Unexpected EOF"];

/// What a message says that came with the status OK.
pub(super) fn success(answer: &[u8]) -> Outcome {
    match read_export_response(answer) {
        Some(response) => Outcome::confirmed(response),
        None => {
            let text = "it answered OK with a message that is no OTLP answer".to_owned();
            Outcome::Unconfirmed { cause: Cause::new(CauseKind::NotOtlp, text) }
        }
    }
}

/// What any other answer means, and why there is none.
pub(super) fn failure(status: &Status, seen: &Seen) -> Outcome {
    if let Some((_, outcome)) = &seen.refusal {
        return outcome.clone();
    }
    // What never reached a gRPC server: the connection, TLS, another protocol.
    if let Some(error) = status.source() {
        if let Some(broken) = chain(error).find_map(|error| error.downcast_ref::<Broken>()) {
            return Outcome::Retry { cause: Cause::new(CauseKind::TlsSetUp, &broken.0), after: None };
        }
        if chain(error).any(|error| error.is::<hyper_util::client::legacy::Error>() || error.is::<hyper::Error>()) {
            return cause::outcome(error);
        }
    }
    let Some(code) = seen.status.as_deref().filter(|code| *code != OK) else { return unreadable(status, seen) };
    let cause = |kind, what: &str| Cause::new(kind, describe(status, code, what)).with_status(code.parse().ok());
    let refused = |reason, kind, what: &str| Outcome::Refused { reason, cause: cause(kind, what) };
    let too_large = || refused(RejectReason::TooLarge, CauseKind::TooLarge, "the request is too large for it");
    let said = status.message();
    let after = read_retry_info(&seen.details);
    match status.code() {
        // The servers of Go and of tonic have no code of their own for it.
        Code::ResourceExhausted if said.contains("larger than max") => too_large(),
        Code::OutOfRange if said.contains("message length too large") => too_large(),
        Code::ResourceExhausted if after.is_none() => refused(
            RejectReason::OtherStatus,
            CauseKind::Exhausted,
            "it has no room, and does not say that this passes",
        ),
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Outcome::Retry { cause: cause(CauseKind::Busy, "try again later"), after },
        Code::InvalidArgument => refused(RejectReason::Malformed, CauseKind::Final, "it could not read the request"),
        Code::Unauthenticated | Code::PermissionDenied => {
            refused(RejectReason::Auth, CauseKind::Auth, "it refused the credentials")
        }
        Code::Unimplemented => {
            refused(RejectReason::NotFound, CauseKind::Unimplemented, "nothing takes this signal there")
        }
        _ => refused(RejectReason::OtherStatus, CauseKind::Final, "it refused"),
    }
}

/// Whether the endpoint refused the request as one that it cannot read, which may be due to its compression.
pub(super) fn is_unreadable(status: &Status, seen: &Seen) -> bool {
    match &seen.refusal {
        Some((status, _)) => matches!(*status, StatusCode::BAD_REQUEST | StatusCode::UNSUPPORTED_MEDIA_TYPE),
        None => seen.status.is_some() && status.code() == Code::Unimplemented,
    }
}

/// The server has said nothing, or OK, and tonic says what it could not read.
fn unreadable(status: &Status, seen: &Seen) -> Outcome {
    let said = status.message();
    let unconfirmed = |text: String| Outcome::Unconfirmed { cause: Cause::new(CauseKind::NotOtlp, text) };
    if said.contains(&format!("the limit is: {ANSWER_LIMIT} bytes")) {
        return unconfirmed("it answered with more than 4 MiB, which is no OTLP answer".to_owned());
    }
    match &seen.status {
        Some(_) if said.contains("Missing response message") => {
            unconfirmed("it answered OK without a message".to_owned())
        }
        Some(_) => unconfirmed(format!("it answered OK with a message that cannot be read: {}", server_words(said))),
        None if !seen.is_grpc => {
            let text = format!("it does not answer as a gRPC server does: {}", server_words(said));
            Outcome::Refused { reason: RejectReason::OtherStatus, cause: Cause::new(CauseKind::Protocol, text) }
        }
        // Whether the records were stored is unknown, and the protocol leaves nothing but to send them again.
        None if TRUNCATED.iter().any(|words| said.contains(words)) => {
            let text = "the answer broke off before its status".to_owned();
            Outcome::Retry { cause: Cause::new(CauseKind::Interrupted, text), after: None }
        }
        None => unconfirmed(format!("its answer cannot be read: {}", server_words(said))),
    }
}

/// Code, what it means, and the server's own words.
fn describe(status: &Status, code: &str, what: &str) -> String {
    let said = server_words(status.message());
    let said = if said.is_empty() { String::new() } else { format!(": \"{said}\"") };
    match status.code() {
        // What tonic makes of every code that it does not know.
        Code::Unknown if code != UNKNOWN => {
            format!("it answered with the status {} ({what}){said}", server_words(code))
        }
        known => format!("it answered {} ({what}){said}", name(known)),
    }
}

/// The specification's name of a code.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What the server says.
    fn of(code: Code, said: &str) -> Outcome {
        of_details(code, said, &[])
    }

    fn of_details(code: Code, said: &str, details: &[u8]) -> Outcome {
        let status = Some((code as i32).to_string());
        let seen = Seen { status, details: details.to_vec(), is_grpc: true, has_head: true, refusal: None };
        failure(&Status::new(code, said), &seen)
    }

    #[test]
    fn codes_as_the_specification_sorts_them() {
        for code in [
            Code::Cancelled,
            Code::DeadlineExceeded,
            Code::Aborted,
            Code::OutOfRange,
            Code::Unavailable,
            Code::DataLoss,
        ] {
            assert!(matches!(of(code, "busy"), Outcome::Retry { after: None, .. }), "{code:?}");
        }
        for (code, reason) in [
            (Code::InvalidArgument, RejectReason::Malformed),
            (Code::Unauthenticated, RejectReason::Auth),
            (Code::PermissionDenied, RejectReason::Auth),
            (Code::Unimplemented, RejectReason::NotFound),
            (Code::ResourceExhausted, RejectReason::OtherStatus),
            (Code::Internal, RejectReason::OtherStatus),
            (Code::Unknown, RejectReason::OtherStatus),
        ] {
            assert!(matches!(of(code, "no"), Outcome::Refused { reason: r, .. } if r == reason), "{code:?}");
        }
    }

    #[test]
    fn a_request_that_is_too_large_in_the_words_of_servers() {
        for (code, said) in [
            (Code::ResourceExhausted, "grpc: received message larger than max (5000000 vs. 4194304)"),
            (
                Code::OutOfRange,
                "Error, decoded message length too large: found 5000000 bytes, the limit is: 4194304 bytes",
            ),
        ] {
            let outcome = of(code, said);
            assert!(matches!(outcome, Outcome::Refused { reason: RejectReason::TooLarge, .. }), "{outcome:?}");
        }
        let here =
            format!("Error, decoded message length too large: found 5000000 bytes, the limit is: {ANSWER_LIMIT} bytes");
        let outcome = failure(&Status::new(Code::OutOfRange, here), &Seen::default());
        assert!(matches!(outcome, Outcome::Unconfirmed { .. }), "the answer was");
    }

    #[test]
    fn a_server_that_says_when_to_come_back() {
        // google.rpc.Status { details: [Any { type_url, value: RetryInfo { retry_delay: 2.5 s } }] }
        let delay = [0x0a, 0x08, 0x08, 0x02, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01];
        let url = b"type.googleapis.com/google.rpc.RetryInfo";
        let mut any = vec![0x0a, url.len() as u8];
        any.extend_from_slice(url);
        any.extend_from_slice(&[0x12, delay.len() as u8]);
        any.extend_from_slice(&delay);
        let mut details = vec![0x1a, any.len() as u8];
        details.extend_from_slice(&any);
        let outcome = of_details(Code::ResourceExhausted, "slow down", &details);
        let Outcome::Retry { after, cause } = outcome else { panic!("retry") };
        assert_eq!(after, Some(Duration::from_millis(2500)));
        assert_eq!(cause.text, "it answered RESOURCE_EXHAUSTED (try again later): \"slow down\"");
    }
}
