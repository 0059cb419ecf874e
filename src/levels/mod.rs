//! Levels: thresholds, the grammar of filter strings, and the tables that decide which records pass.

mod directive;
mod filter_causes;
mod guess;
mod level_findings;
mod lint;
mod lookup_cache;
mod message_filter;
mod request_spans;
mod seen_targets;
mod span_callsites;
mod stage;
mod state;
mod suggestions;
mod table;
mod threshold;
mod variables;
mod versions;

pub(crate) use directive::{Directive, ParsedFilter, parse};
pub(crate) use filter_causes::FilterCause;
pub(crate) use level_findings::is_refuted;
pub use lint::lint;
pub(crate) use lint::{lint_at, lint_parsed};
pub(crate) use lookup_cache::CachedLevels;
pub(crate) use message_filter::{MESSAGE_FILTER_CAUSE, MessageFilter};
pub(crate) use request_spans::covering_target;
pub(crate) use span_callsites::SpansBelow;
pub use stage::Stage;
pub(crate) use state::{LevelSets, LevelState};
pub(crate) use table::{LevelSet, NOT_SET, Origin, Row};
pub use threshold::{ParseThresholdError, Threshold};
pub(crate) use threshold::{from_tracing, to_tracing};
pub(crate) use variables::{FilterVariable, LevelVariables};
pub(crate) use versions::VersionsExhausted;
