//! Classifies the errors of a request that got no response.

use std::error::Error;
use std::io;

use super::outcome::{Cause, CauseKind, Outcome, server_text};
use super::tls;

/// Returns the outcome of a request that failed with this error. An unreadable response is not retried, since it would
/// be the same again.
pub(super) fn classify(error: &(dyn Error + 'static)) -> Outcome {
    match cause_of(error) {
        cause if cause.kind == CauseKind::NotOtlp => Outcome::Unconfirmed { cause },
        cause => Outcome::Retry { cause, after: None },
    }
}

/// Finds the cause in the chain of sources.
fn cause_of(error: &(dyn Error + 'static)) -> Cause {
    let chain: Vec<&(dyn Error + 'static)> = std::iter::successors(Some(error), |error| (*error).source()).collect();
    if let Some(cause) = chain.iter().find_map(|error| tls::cause(*error)) {
        return cause;
    }
    // The type of a tunnel error is private. If it has a source, the source is the cause.
    let tunnel_error = chain.last().map(ToString::to_string).filter(|text| text.starts_with("tunnel error: "));
    if let Some(error) = tunnel_error {
        let text = format!("the proxy did not connect to the endpoint: {error}");
        return Cause::new(CauseKind::Proxy, text);
    }
    if chain.iter().any(|error| error.to_string() == "dns error") {
        return Cause::new(CauseKind::Dns, format!("the host name was not found: {}", innermost(&chain)));
    }
    if let Some(error) = find::<io::Error>(&chain) {
        return cause_of_io_error(error, &chain);
    }
    let http = find::<hyper::Error>(&chain);
    // hyper has no predicate for this error in HTTP/2, and for HTTP/1.1 only with its server feature.
    let is_endless = |text: &str| text.contains("header_list_way_too_large") || text.contains("too_many_continuations");
    let is_too_large = |error: &hyper::Error| error.to_string().starts_with("message head is too large");
    if http.is_some_and(is_too_large) || is_endless(&innermost(&chain)) {
        let text = "the header of its answer is too large".to_owned();
        return Cause::new(CauseKind::NotOtlp, text);
    }
    // An HTTP/2 server sends before it is asked. hyper has no predicate for that.
    let is_unexpected = |error: &hyper::Error| error.to_string().starts_with("received unexpected message");
    if http.is_some_and(|error| error.is_parse() || is_unexpected(error)) {
        let text = format!("the answer is not HTTP/1.1: {}", innermost(&chain));
        return Cause::new(CauseKind::Protocol, text);
    }
    let text = innermost(&chain);
    let kind = if http.is_some_and(hyper::Error::is_timeout) { CauseKind::Timeout } else { CauseKind::Interrupted };
    Cause::new(kind, text)
}

fn cause_of_io_error(error: &io::Error, chain: &[&(dyn Error + 'static)]) -> Cause {
    let kind = match error.kind() {
        // EBADF and ENOTSOCK; EMFILE and ENFILE. std has no kinds for them.
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

/// Returns whether the error is ENOTSOCK.
fn is_not_a_socket(error: &io::Error) -> bool {
    error.raw_os_error() == Some(if cfg!(target_os = "linux") { 88 } else { 38 })
}

fn find<'a, T: Error + 'static>(chain: &[&'a (dyn Error + 'static)]) -> Option<&'a T> {
    chain.iter().find_map(|error| error.downcast_ref::<T>())
}

/// Returns the text of the last error in the chain. The others only name the layers it passed.
fn innermost(chain: &[&(dyn Error + 'static)]) -> String {
    chain.last().map(|error| server_text(&error.to_string())).unwrap_or_default()
}
