//! Which records pass: thresholds, the grammar that names them, and the tables that are asked on each call.

mod directive;
mod filter_causes;
mod level_findings;
mod lint;
mod message_filter;
mod stage;
mod state;
mod suggestions;
mod table;
mod threshold;
mod versions;

pub use directive::parse;
pub(crate) use filter_causes::FilterCause;
pub(crate) use level_findings::is_refuted;
pub use lint::lint;
pub use lint::lint_at;
pub(crate) use message_filter::MessageFilter;
pub use message_filter::ON_TEXT;
pub use stage::Stage;
pub(crate) use state::{CachedLevels, LevelSets, LevelState, VersionsExhausted};
pub(crate) use suggestions::{FilterVariable, LevelVariables};
pub use table::Origin;
pub(crate) use table::{LevelSet, Row};
pub use threshold::{ParseThresholdError, Threshold};
pub(crate) use threshold::{from_tracing, to_tracing};
