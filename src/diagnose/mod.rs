//! Why a record is where it is, or is not.

mod explain;

pub(crate) use explain::explain;
pub use explain::{Explanation, Gate};
