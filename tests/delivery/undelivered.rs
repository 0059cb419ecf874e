//! Reads the numbers of a failed flush.

use logbridge::{Error, Undelivered};

/// Returns the numbers of records and spans that a flush or a shutdown did not deliver.
///
/// # Panics
///
/// Panics if the error is of another kind.
pub(crate) fn undelivered(error: &Error) -> Undelivered {
    *error.undelivered().expect("the error of a flush or a shutdown")
}
