//! Names for failed requests, as short as the values of `error.type` should be.

use std::any::Any;
use std::error::Error;
use std::fmt::Display;
use std::io::{self, ErrorKind};

use super::transport;
use crate::guard::{catch, error_text};
use crate::span::{Failure, error_type};

const CONNECT: &str = "connect";
const CONNECTION_CLOSED: &str = "connection_closed";
const INVALID_RESPONSE: &str = "invalid_response";
const REQUEST_BODY: &str = "request_body";
const TIMEOUT: &str = "timeout";

/// An error may name itself as its cause.
const MAX_CAUSES: usize = 64;

/// Finds the error in a value whose type is not known to be an error.
pub(super) type Inspect = fn(&dyn Any) -> Option<&(dyn Error + 'static)>;

/// Finds an error of the type `E`.
pub(super) fn inspect<E: Error + 'static>(value: &dyn Any) -> Option<&(dyn Error + 'static)> {
    value.downcast_ref::<E>().map(|error| error as _)
}

/// Describes an error of a service or of a body. [`error_of`] has a list of the usual types.
pub(super) fn of_value<E: Display + 'static>(error: &E, inspect: Option<Inspect>) -> Failure {
    match inspect.and_then(|inspect| inspect(error)).or_else(|| error_of(error)) {
        Some(source) => of_chain(source, error_type::<E>()),
        None => Failure::of_error(error_type::<E>(), error),
    }
}

/// Describes an error by its causes. `fallback` is its type if no cause has a name.
pub(super) fn of_chain(error: &(dyn Error + 'static), fallback: &'static str) -> Failure {
    // The causes are code of others, which may panic.
    catch(|| of_causes(error, fallback)).unwrap_or_else(|| Failure::of_error(fallback, &error))
}

fn of_causes(error: &(dyn Error + 'static), fallback: &'static str) -> Failure {
    let mut found = None;
    let mut cause = error;
    for _ in 0..MAX_CAUSES {
        found = match (found, kind(cause)) {
            // A connection that could not be established in time is both.
            (_, Some(TIMEOUT)) => Some(TIMEOUT),
            (None, kind) => kind,
            (found, _) => found,
        };
        match cause.source() {
            Some(source) => cause = source,
            None => break,
        }
    }
    // The first cause says most. The texts of reqwest end with the URL, which may contain secrets.
    let text = error_text(cause);
    let text = text.split_once(" for url (").map_or(&*text, |(text, _)| text);
    Failure::of_error(found.unwrap_or(fallback), &text)
}

/// Returns a value as an error if it is one of the usual types.
fn error_of(value: &dyn Any) -> Option<&(dyn Error + 'static)> {
    type Boxed = Box<dyn Error + Send + Sync>;
    let boxed = || value.downcast_ref::<Boxed>().map(|error| &**error as &(dyn Error + 'static));
    let found = boxed()
        .or_else(|| inspect::<transport::Error>(value))
        .or_else(|| inspect::<hyper::Error>(value))
        .or_else(|| inspect::<io::Error>(value));
    #[cfg(feature = "reqwest-middleware")]
    let found = found.or_else(|| inspect::<reqwest::Error>(value));
    found
}

/// Returns the name of one error, without its causes.
fn kind(error: &(dyn Error + 'static)) -> Option<&'static str> {
    if let Some(error) = error.downcast_ref::<transport::Error>() {
        return error.is_connect().then_some(CONNECT);
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return of_hyper(error);
    }
    if let Some(error) = error.downcast_ref::<io::Error>()
        && let Some(name) = of_io(error.kind())
    {
        return Some(name);
    }
    // The timeouts of reqwest, tokio, tower and tonic have types of their own, some of them private.
    let text = error_text(error);
    let is_timeout = ["timed out", "imeout expired", "deadline has elapsed"].iter().any(|part| text.contains(part));
    is_timeout.then_some(TIMEOUT)
}

fn of_hyper(error: &hyper::Error) -> Option<&'static str> {
    if error.is_timeout() {
        Some(TIMEOUT)
    } else if error.is_parse() {
        Some(INVALID_RESPONSE)
    } else if error.is_incomplete_message() || error.is_closed() || error.is_body_write_aborted() {
        Some(CONNECTION_CLOSED)
    } else if error.is_user() {
        Some(REQUEST_BODY)
    } else {
        None
    }
}

fn of_io(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::TimedOut => Some(TIMEOUT),
        ErrorKind::AddrNotAvailable
        | ErrorKind::ConnectionRefused
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable => Some(CONNECT),
        ErrorKind::BrokenPipe
        | ErrorKind::ConnectionAborted
        | ErrorKind::ConnectionReset
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof => Some(CONNECTION_CLOSED),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    type Boxed = Box<dyn Error + Send + Sync>;

    #[derive(Debug)]
    struct Outer(Boxed);

    impl Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("outer")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&*self.0)
        }
    }

    fn named(error: impl Into<Boxed>) -> (String, String) {
        let failure = of_value(&error.into(), None);
        let (error_type, text) = failure.parts();
        (error_type.to_owned(), text.to_owned())
    }

    fn io(kind: ErrorKind) -> io::Error {
        kind.into()
    }

    #[test]
    fn the_first_cause_names_the_failure() {
        assert_eq!(named(Outer(io(ErrorKind::ConnectionRefused).into())).0, CONNECT);
        assert_eq!(named(Outer(io(ErrorKind::ConnectionReset).into())).0, CONNECTION_CLOSED);
        assert_eq!(named(io(ErrorKind::TimedOut)).0, TIMEOUT);
        assert_eq!(named(Outer("request timed out".into())), (TIMEOUT.to_owned(), "request timed out".to_owned()));
        assert_eq!(named(Outer("no token".into())), ("_OTHER".to_owned(), "no token".to_owned()));
    }

    #[test]
    fn a_timeout_wins_over_what_it_interrupted() {
        #[derive(Debug)]
        struct Connecting(Boxed);
        impl Display for Connecting {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("connecting")
            }
        }
        impl Error for Connecting {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&*self.0)
            }
        }
        let refused = io::Error::new(ErrorKind::ConnectionRefused, Connecting("deadline has elapsed".into()));
        assert_eq!(named(refused).0, TIMEOUT);
    }

    #[test]
    fn an_unknown_type_is_named_by_itself_unless_it_is_inspected() {
        let error = Outer(io(ErrorKind::ConnectionRefused).into());
        assert_eq!(of_value(&error, None).parts(), (std::any::type_name::<Outer>(), "outer"));
        assert_eq!(of_value(&error, Some(inspect::<Outer>)).error_type, CONNECT);
    }

    #[test]
    fn urls_are_removed_from_texts() {
        let (_, text) = named("error sending request for url (http://host/?token=s3cret)");
        assert_eq!(text, "error sending request");
    }
}
