//! Which records pass: thresholds, the grammar that names them, and the table that is asked on each call.

mod directive;
mod table;
mod threshold;

pub(crate) use directive::parse;
pub(crate) use table::{LevelSet, Origin, Table};
pub use threshold::{ParseThresholdError, Threshold};
pub(crate) use threshold::{from_tracing, to_tracing};
