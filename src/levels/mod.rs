//! Which records pass: thresholds, the grammar that names them, and the tables that are asked on each call.

mod advice;
mod cross;
mod cuts;
mod directive;
mod lint;
mod live;
mod message_filter;
mod stage;
mod table;
mod threshold;
mod versions;

pub(crate) use advice::{FilterVariable, Variables};
pub(crate) use cross::is_refuted;
pub(crate) use cuts::CutName;
pub use directive::parse;
pub use lint::lint;
pub use lint::lint_at;
pub(crate) use live::{Exhausted, LevelSets, Live, Look};
pub(crate) use message_filter::MessageFilter;
pub use message_filter::ON_TEXT;
pub use stage::Stage;
pub use table::Origin;
pub(crate) use table::{LevelSet, Row};
pub use threshold::{ParseThresholdError, Threshold};
pub(crate) use threshold::{from_tracing, to_tracing};
