//! When a report is written, and where.

use std::fmt;
use std::path::PathBuf;

use super::resolver::Resolver;
use super::setting::SettingSource;

const VARIABLE: &str = "LOGBRIDGE_REPORT";
const ON_SIGNAL: &str = "LOGBRIDGE_REPORT_ON_SIGUSR1";

/// The destination of an automatic [report](crate::Report).
///
/// A report is written when the process ends ([`Builder::report_at_exit`](crate::Builder::report_at_exit)) or receives
/// SIGUSR1 ([`Builder::report_on_sigusr1`](crate::Builder::report_on_sigusr1)).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReportTo {
    /// Standard error, as text.
    Stderr,
    /// A file, which is overwritten: as JSON if its name ends in `.json`, otherwise as text. In an existing directory,
    /// each process writes `report-PID.json`.
    Path(PathBuf),
}

impl fmt::Display for ReportTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stderr => f.write_str("stderr"),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The resolved report destinations.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct ReportConfig {
    /// Written at the end of the process.
    pub(crate) at_exit: Option<ReportTo>,
    /// Written at each SIGUSR1.
    pub(crate) on_signal: Option<ReportTo>,
}

impl Resolver<'_> {
    pub(super) fn report(&mut self, code: Option<&ReportTo>, code_on_signal: Option<bool>) -> ReportConfig {
        let (at_exit, source) = match (code, self.environment.get(VARIABLE)) {
            (Some(to), _) => (Some(to.clone()), SettingSource::Code),
            (None, None | Some("off")) => (None, SettingSource::BuiltIn),
            (None, Some("stderr")) => (Some(ReportTo::Stderr), SettingSource::Variable(VARIABLE)),
            (None, Some(path)) => (Some(ReportTo::Path(PathBuf::from(path))), SettingSource::Variable(VARIABLE)),
        };
        let shown = at_exit.as_ref().map_or_else(|| "off".to_owned(), ToString::to_string);
        self.add_setting("report at exit", shown, source);
        let on_signal = self.bool_setting("report on SIGUSR1", code_on_signal, ON_SIGNAL, false);
        let on_signal = on_signal.then(|| at_exit.clone().unwrap_or(ReportTo::Stderr));
        ReportConfig { at_exit, on_signal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BuilderSettings, Environment};

    fn resolve(settings: &BuilderSettings, variables: &[(&str, &str)]) -> ReportConfig {
        let environment: Environment =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        settings.resolve(&environment).expect("resolves").report
    }

    #[test]
    fn variables_and_code_say_where_and_code_wins() {
        let none = BuilderSettings::default();
        assert_eq!(resolve(&none, &[]), ReportConfig::default());
        assert_eq!(resolve(&none, &[(VARIABLE, "off")]), ReportConfig::default());
        let path = ReportTo::Path(PathBuf::from("/tmp/x.json"));
        assert_eq!(resolve(&none, &[(VARIABLE, "/tmp/x.json")]).at_exit, Some(path.clone()));
        let code = BuilderSettings { report: Some(path.clone()), ..BuilderSettings::default() };
        let found = resolve(&code, &[(VARIABLE, "stderr"), (ON_SIGNAL, "true")]);
        assert_eq!(found, ReportConfig { at_exit: Some(path.clone()), on_signal: Some(path) });
        assert_eq!(resolve(&none, &[(ON_SIGNAL, "1")]).on_signal, Some(ReportTo::Stderr));
    }
}
