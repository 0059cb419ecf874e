//! The cause of a request that got no answer, dug out of the error chain.

use std::error::Error;
use std::io;

use super::outcome::{Cause, CauseKind, Outcome, server_text};
use super::tls;

/// What becomes of a request that ended with this error: what is sent again meets the same head again.
pub(super) fn classify(error: &(dyn Error + 'static)) -> Outcome {
    match of_client_error(error) {
        cause if cause.kind == CauseKind::NotOtlp => Outcome::Unconfirmed { cause },
        cause => Outcome::Retry { cause, after: None },
    }
}

/// Classifies an error of the client by what is at the bottom of its chain.
fn of_client_error(error: &(dyn Error + 'static)) -> Cause {
    let chain: Vec<&(dyn Error + 'static)> = std::iter::successors(Some(error), |error| (*error).source()).collect();
    if let Some(cause) = chain.iter().find_map(|error| tls::cause(*error)) {
        return cause;
    }
    // The type has no name outside hyper-util. Where it has a source, that is the cause.
    let refusal = chain.last().map(ToString::to_string).filter(|text| text.starts_with("tunnel error: "));
    if let Some(refusal) = refusal {
        let text = format!("the proxy gives no connection to the endpoint: {refusal}");
        return Cause::new(CauseKind::Proxy, text);
    }
    if chain.iter().any(|error| error.to_string() == "dns error") {
        return Cause::new(CauseKind::Dns, format!("the host name was not found: {}", innermost(&chain)));
    }
    if let Some(error) = find::<io::Error>(&chain) {
        return of_io_error(error, &chain);
    }
    let http = find::<hyper::Error>(&chain);
    // HTTP/2 has no predicate for it, and HTTP/1.1 only has one where hyper is a server too.
    let is_endless = |text: &str| text.contains("header_list_way_too_large") || text.contains("too_many_continuations");
    let is_too_large = |error: &hyper::Error| error.to_string().starts_with("message head is too large");
    if http.is_some_and(is_too_large) || is_endless(&innermost(&chain)) {
        let text = "the head of its answer is too large to be read".to_owned();
        return Cause::new(CauseKind::NotOtlp, text);
    }
    // A server of HTTP/2 speaks first: that has no predicate of its own.
    let is_unexpected = |error: &hyper::Error| error.to_string().starts_with("received unexpected message");
    if http.is_some_and(|error| error.is_parse() || is_unexpected(error)) {
        let text = format!("the answer is not HTTP/1.1: {}", innermost(&chain));
        return Cause::new(CauseKind::Protocol, text);
    }
    let text = innermost(&chain);
    let kind = if http.is_some_and(hyper::Error::is_timeout) { CauseKind::Timeout } else { CauseKind::Interrupted };
    Cause::new(kind, text)
}

fn of_io_error(error: &io::Error, chain: &[&(dyn Error + 'static)]) -> Cause {
    let kind = match error.kind() {
        // EBADF and ENOTSOCK, whose number is another one elsewhere; EMFILE and ENFILE. They have no kinds of their own.
        _ if cfg!(unix) && (error.raw_os_error() == Some(9) || is_not_a_socket(error)) => CauseKind::DescriptorClosed,
        _ if cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24)) => CauseKind::OutOfDescriptors,
        io::ErrorKind::ConnectionRefused => CauseKind::ConnectionRefused,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => {
            CauseKind::Unreachable
        }
        io::ErrorKind::TimedOut => CauseKind::Timeout,
        io::ErrorKind::InvalidData => CauseKind::Protocol,
        _ => CauseKind::Interrupted,
    };
    let text = match kind {
        CauseKind::ConnectionRefused => "connection refused: nothing listens there".to_owned(),
        CauseKind::DescriptorClosed => {
            format!("the program has closed descriptors of logbridge: {}", innermost(chain))
        }
        _ => innermost(chain),
    };
    Cause::new(kind, text)
}

fn is_not_a_socket(error: &io::Error) -> bool {
    error.raw_os_error() == Some(if cfg!(target_os = "linux") { 88 } else { 38 })
}

fn find<'a, T: Error + 'static>(chain: &[&'a (dyn Error + 'static)]) -> Option<&'a T> {
    chain.iter().find_map(|error| error.downcast_ref::<T>())
}

/// The text of the last error of the chain: the others only say which layer it came through. It may quote the server.
fn innermost(chain: &[&(dyn Error + 'static)]) -> String {
    chain.last().map(|error| server_text(&error.to_string())).unwrap_or_default()
}
