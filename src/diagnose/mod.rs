//! Why a record is where it is, or is not.

mod explain;

pub use explain::{Explanation, Gate};
pub(crate) use explain::explain;
