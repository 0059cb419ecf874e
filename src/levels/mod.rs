//! Which records pass: thresholds, the grammar that names them, and the table that is asked on each call.

mod directive;
#[allow(dead_code)] // Until the crate's root exports it.
mod lint;
mod message_filter;
mod table;
mod threshold;

pub(crate) use directive::parse;
#[allow(unreachable_pub, unused_imports)] // Until the crate's root exports it.
pub use lint::lint;
#[allow(unused_imports)] // Until the configuration asks it.
pub(crate) use lint::lint_at;
#[allow(unused_imports)] // Until the pipeline asks it.
pub(crate) use message_filter::MessageFilter;
pub(crate) use table::{LevelSet, Origin, Table};
pub use threshold::{ParseThresholdError, Threshold};
pub(crate) use threshold::{from_tracing, to_tracing};
