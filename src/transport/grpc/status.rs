//! Classifies gRPC responses by their status.

use std::error::Error;

use http::StatusCode;
use tonic::{Code, Status};

use super::super::client_error;
use super::super::outcome::{Cause, CauseKind, Outcome, server_text};
use super::super::response::MAX_RESPONSE_BYTES;
use super::response::ObservedResponse;
use crate::ledger::RejectReason;
use crate::otlp::{read_export_response, read_retry_info};

/// The size at which tonic rejects a response.
///
/// It is one byte more than servers allow for requests by default. tonic's text for a message that is too long contains
/// the limit, so a request that is too long for the server differs from a response that is too long here.
pub(super) const MESSAGE_LIMIT: usize = MAX_RESPONSE_BYTES + 1;

/// The error of a client whose TLS cannot be set up.
#[derive(Debug)]
pub(super) struct NoTls(pub(super) String);

impl std::fmt::Display for NoTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for NoTls {}

/// The status of a success.
const OK: &str = "0";
/// The status of an unknown error.
const UNKNOWN: &str = "2";
/// The texts of tonic for a response that ends too early.
const TRUNCATED: [&str; 2] = ["missing grpc-status trailer", "Unexpected EOF"];

/// Returns the outcome of a response with the status OK.
pub(super) fn success(message: &[u8]) -> Outcome {
    match read_export_response(message) {
        Some(response) => Outcome::confirmed(response),
        None => {
            let text = "it answered OK with a message that is not an OTLP response".to_owned();
            Outcome::Unconfirmed { cause: Cause::new(CauseKind::NotOtlp, text) }
        }
    }
}

/// Returns the outcome of a response with another status, or of a request without a response.
pub(super) fn failure(status: &Status, observed: &ObservedResponse) -> Outcome {
    if let Some((_, outcome)) = &observed.http_error {
        return outcome.clone();
    }
    // The request did not reach a gRPC server: the connection or TLS failed, or it is another protocol.
    if let Some(error) = status.source() {
        if let Some(no_tls) = chain(error).find_map(|error| error.downcast_ref::<NoTls>()) {
            return Outcome::Retry { cause: Cause::new(CauseKind::TlsSetup, &no_tls.0), after: None };
        }
        if chain(error).any(|error| error.is::<hyper_util::client::legacy::Error>() || error.is::<hyper::Error>()) {
            return client_error::classify(error);
        }
    }
    let Some(code) = observed.status.as_deref().filter(|code| *code != OK) else { return unreadable(status, observed) };
    let cause = |kind, what: &str| Cause::new(kind, describe(status, code, what)).with_status(code.parse().ok());
    let rejected = |reason, kind, what: &str| Outcome::Rejected { reason, cause: cause(kind, what) };
    let too_large = || rejected(RejectReason::TooLarge, CauseKind::TooLarge, "the request is too large for it");
    let said = status.message();
    let after = read_retry_info(&observed.details);
    match status.code() {
        // Servers in Go and servers with tonic use these codes for a request that is too large.
        Code::ResourceExhausted if said.contains("larger than max") => too_large(),
        Code::OutOfRange if said.contains("message length too large") => too_large(),
        Code::ResourceExhausted if after.is_none() => rejected(
            RejectReason::OtherStatus,
            CauseKind::ResourceExhausted,
            "it is out of resources and gives no retry delay",
        ),
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Outcome::Retry { cause: cause(CauseKind::Busy, "try again later"), after },
        Code::InvalidArgument => {
            rejected(RejectReason::Malformed, CauseKind::Rejected, "it could not read the request")
        }
        Code::Unauthenticated | Code::PermissionDenied => {
            rejected(RejectReason::Auth, CauseKind::Auth, "it refused the credentials")
        }
        Code::Unimplemented => {
            rejected(RejectReason::NotFound, CauseKind::Unimplemented, "no receiver for this signal")
        }
        _ => rejected(RejectReason::OtherStatus, CauseKind::Rejected, "it refused"),
    }
}

/// Returns whether the endpoint could not read the request, possibly because of its compression.
pub(super) fn is_unreadable(status: &Status, observed: &ObservedResponse) -> bool {
    match &observed.http_error {
        Some((status, _)) => matches!(*status, StatusCode::BAD_REQUEST | StatusCode::UNSUPPORTED_MEDIA_TYPE),
        None => observed.status.is_some() && status.code() == Code::Unimplemented,
    }
}

/// Returns the outcome if tonic cannot read a response with the status OK or without a status.
fn unreadable(status: &Status, observed: &ObservedResponse) -> Outcome {
    let said = status.message();
    let unconfirmed = |text: String| Outcome::Unconfirmed { cause: Cause::new(CauseKind::NotOtlp, text) };
    if said.contains(&format!("the limit is: {MESSAGE_LIMIT} bytes")) {
        return unconfirmed("it answered with more than 4 MiB, which is not an OTLP response".to_owned());
    }
    match &observed.status {
        Some(_) if said.contains("Missing response message") => {
            unconfirmed("it answered OK without a message".to_owned())
        }
        Some(_) => unconfirmed(format!("it answered OK with a message that cannot be read: {}", server_text(said))),
        None if !observed.is_grpc => {
            let text = format!("it does not answer like a gRPC server: {}", server_text(said));
            Outcome::Rejected { reason: RejectReason::OtherStatus, cause: Cause::new(CauseKind::Protocol, text) }
        }
        // It is unknown whether the records were stored. The protocol asks the client to retry.
        None if TRUNCATED.iter().any(|words| said.contains(words)) => {
            let text = "the answer ended before its status".to_owned();
            Outcome::Retry { cause: Cause::new(CauseKind::Interrupted, text), after: None }
        }
        None => unconfirmed(format!("its answer cannot be read: {}", server_text(said))),
    }
}

/// Returns the code, its meaning, and the text of the server.
fn describe(status: &Status, code: &str, what: &str) -> String {
    let said = server_text(status.message());
    let said = if said.is_empty() { String::new() } else { format!(": \"{said}\"") };
    match status.code() {
        // tonic replaces every code that it does not know by this one.
        Code::Unknown if code != UNKNOWN => {
            format!("it answered with the status {} ({what}){said}", server_text(code))
        }
        known => format!("it answered {} ({what}){said}", name(known)),
    }
}

/// Returns the name of a code in the specification.
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

    /// Returns the outcome for a status of the server.
    fn outcome_of(code: Code, said: &str) -> Outcome {
        outcome_of_details(code, said, &[])
    }

    fn outcome_of_details(code: Code, said: &str, details: &[u8]) -> Outcome {
        let status = Some((code as i32).to_string());
        let observed =
            ObservedResponse { status, details: details.to_vec(), is_grpc: true, has_head: true, http_error: None };
        failure(&Status::new(code, said), &observed)
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
            assert!(matches!(outcome_of(code, "busy"), Outcome::Retry { after: None, .. }), "{code:?}");
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
            assert!(matches!(outcome_of(code, "no"), Outcome::Rejected { reason: r, .. } if r == reason), "{code:?}");
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
            let outcome = outcome_of(code, said);
            assert!(matches!(outcome, Outcome::Rejected { reason: RejectReason::TooLarge, .. }), "{outcome:?}");
        }
        let here = format!(
            "Error, decoded message length too large: found 5000000 bytes, the limit is: {MESSAGE_LIMIT} bytes"
        );
        let outcome = failure(&Status::new(Code::OutOfRange, here), &ObservedResponse::default());
        assert!(matches!(outcome, Outcome::Unconfirmed { .. }), "the response was too large");
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
        let outcome = outcome_of_details(Code::ResourceExhausted, "slow down", &details);
        let Outcome::Retry { after, cause } = outcome else { panic!("retry") };
        assert_eq!(after, Some(Duration::from_millis(2500)));
        assert_eq!(cause.text, "it answered RESOURCE_EXHAUSTED (try again later): \"slow down\"");
    }
}
