//! The compiled thresholds of one stage: the longest matching prefix with a threshold of its own decides.

use std::fmt;

use log::{Level, LevelFilter};

use super::directive::Directive;
use super::threshold::Threshold;

/// Who named a threshold. Where several name one for the same target, the later variant wins.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Origin {
    /// `Env::default_filter_or` and other `default_*` setters.
    Default,
    /// A variable, RUST_LOG or one of our own.
    Environment,
    /// A call on the builder.
    Code,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Environment => "environment",
            Self::Code => "code",
        })
    }
}

/// Thresholds as they were named, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct LevelSet {
    named: Vec<(Directive, Origin)>,
}

impl LevelSet {
    /// Names a threshold. The same target named again by the same origin: the last one counts.
    pub(crate) fn name(&mut self, target: &str, threshold: Threshold, origin: Origin) {
        self.named.retain(|(directive, from)| directive.target != target || *from != origin);
        self.named.push((Directive { target: target.to_owned(), threshold }, origin));
    }

    pub(crate) fn extend(&mut self, directives: Vec<Directive>, origin: Origin) {
        for directive in directives {
            self.name(&directive.target, directive.threshold, origin);
        }
    }

    /// Compiles what was named. `root` stands for a root that is not set.
    pub(crate) fn compile(&self, root: Threshold) -> Table {
        let mut winners: Vec<&(Directive, Origin)> = Vec::new();
        for candidate in &self.named {
            match winners.iter_mut().find(|(directive, _)| directive.target == candidate.0.target) {
                Some(winner) if winner.1 <= candidate.1 => *winner = candidate,
                Some(_) => {}
                None => winners.push(candidate),
            }
        }
        let root = winners
            .iter()
            .find(|(directive, _)| directive.target.is_empty())
            .map(|(directive, _)| directive.threshold)
            .filter(|threshold| !threshold.is_not_set())
            .unwrap_or(root);
        let mut rows: Vec<Row> = winners
            .iter()
            // A target that is not set inherits, which is what no row does.
            .filter(|(directive, _)| !directive.target.is_empty() && !directive.threshold.is_not_set())
            .filter_map(|(directive, origin)| {
                Some(Row { target: directive.target.clone(), filter: directive.threshold.filter()?, origin: *origin })
            })
            .collect();
        rows.sort_by(|a, b| b.target.len().cmp(&a.target.len()).then_with(|| a.target.cmp(&b.target)));
        Table { rows, root }
    }
}

#[derive(Clone, Debug)]
struct Row {
    target: String,
    filter: LevelFilter,
    origin: Origin,
}

/// The thresholds of one stage, ready to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// Longest target first.
    rows: Vec<Row>,
    root: Threshold,
}

impl Table {
    /// Whether a record passes. A stage whose root is not set lets through what no row decides.
    #[inline]
    pub(crate) fn allows(&self, target: &str, level: Level) -> bool {
        for row in &self.rows {
            if target.starts_with(row.target.as_str()) {
                return level <= row.filter;
            }
        }
        self.root.allows(level).unwrap_or(true)
    }

    /// The most that any target lets through.
    pub(crate) fn max(&self) -> LevelFilter {
        let root = self.root.filter().unwrap_or(LevelFilter::Trace);
        self.rows.iter().map(|row| row.filter).fold(root, Ord::max)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root)?;
        for row in &self.rows {
            write!(f, ", {}={} ({})", row.target, row.filter, row.origin)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::directive::parse;
    use super::*;

    fn module_stage(spec: &str) -> Table {
        let mut set = LevelSet::default();
        set.extend(parse(spec).directives, Origin::Environment);
        set.compile(Threshold::ROOT_NOT_SET)
    }

    #[test]
    fn root_not_set_means_warn() {
        for table in [module_stage(""), module_stage("notset"), module_stage("app=debug")] {
            assert!(table.allows("other", Level::Warn), "{table}");
            assert!(!table.allows("other", Level::Info), "{table}");
        }
        assert!(module_stage("app=debug").allows("app::db", Level::Debug));
        assert_eq!(module_stage("app=debug").max(), LevelFilter::Debug);
    }

    #[test]
    fn the_longest_target_wins_and_notset_inherits() {
        let table = module_stage("info,app=off,app::db=debug,app::db::pool=notset");
        assert!(!table.allows("app", Level::Error));
        assert!(table.allows("app::db", Level::Debug));
        assert!(table.allows("app::db::pool", Level::Debug));
        assert!(!table.allows("app::db::pool", Level::Trace));
        assert!(table.allows("application", Level::Info) == table.allows("app", Level::Info), "prefix, as env_logger");
    }

    #[test]
    fn code_beats_environment_beats_default_for_the_same_target() {
        let mut set = LevelSet::default();
        set.name("app", Threshold::Error, Origin::Code);
        set.name("app", Threshold::Trace, Origin::Environment);
        set.name("app::db", Threshold::Debug, Origin::Default);
        set.name("app", Threshold::Warn, Origin::Code);
        let table = set.compile(Threshold::ROOT_NOT_SET);
        assert!(table.allows("app", Level::Warn) && !table.allows("app", Level::Info));
        assert!(table.allows("app::db", Level::Debug), "the longest target wins first");
    }

    #[test]
    fn a_destination_without_thresholds_lets_everything_through() {
        let table = LevelSet::default().compile(Threshold::NotSet);
        assert!(table.allows("anything", Level::Trace));
        assert_eq!(table.max(), LevelFilter::Trace);
    }
}
