//! Why a record is where it is, or is not.

mod explain;
#[cfg(feature = "cli")]
mod filter;

pub(crate) use explain::explain;
pub use explain::{Explanation, Gate};
#[cfg(feature = "cli")]
pub(crate) use filter::explain_filter;
