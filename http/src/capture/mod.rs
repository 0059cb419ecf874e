//! Network capture: what of headers, URLs and bodies is recorded, without secrets.
//!
//! Nothing here does I/O or changes what it reads.

mod body;
mod content;
mod escape;
mod headers;
#[cfg(not(feature = "gzip"))]
#[path = "inflate/disabled.rs"]
mod inflate;
#[cfg(feature = "gzip")]
#[path = "inflate/enabled.rs"]
mod inflate;
#[cfg(test)]
mod leak_tests;
mod scan;
mod secret_names;
mod url;

pub(crate) use self::body::BodyCapture;
pub(crate) use self::headers::headers;
pub(crate) use self::url::{redacted_path, redacted_query, redacted_url};
