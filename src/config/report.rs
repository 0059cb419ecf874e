//! Where the report goes when a process ends.

use std::fmt;
use std::path::PathBuf;

use super::BuilderSettings;
use super::resolve::Resolver;
use super::setting::SettingSource;

const VARIABLE: &str = "LOGBRIDGE_REPORT";
const ON_SIGNAL: &str = "LOGBRIDGE_REPORT_ON_SIGUSR1";

/// Where a [report](crate::Report) goes by itself: when the process ends
/// ([`Builder::report_at_exit`](crate::Builder::report_at_exit)) or is asked by a signal.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReportTo {
    /// Standard error, as text.
    Stderr,
    /// A file, which is written anew: as JSON where its name ends in `.json`, else as text. A directory that exists gets
    /// a file `report-PID.json` for each process.
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

/// When the report is given, and where.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct ReportConfig {
    /// At the end of the process.
    pub(crate) at_exit: Option<ReportTo>,
    /// At each SIGUSR1.
    pub(crate) on_signal: Option<ReportTo>,
}

impl Resolver<'_> {
    pub(super) fn report(&mut self, settings: &BuilderSettings) -> ReportConfig {
        let (at_exit, source) = match (&settings.report, self.environment.get(VARIABLE)) {
            (Some(to), _) => (Some(to.clone()), SettingSource::Code),
            (None, None | Some("off")) => (None, SettingSource::BuiltIn),
            (None, Some("stderr")) => (Some(ReportTo::Stderr), SettingSource::Variable(VARIABLE)),
            (None, Some(path)) => (Some(ReportTo::Path(PathBuf::from(path))), SettingSource::Variable(VARIABLE)),
        };
        let shown = at_exit.as_ref().map_or_else(|| "off".to_owned(), ToString::to_string);
        self.add_setting("report at exit", shown, source);
        let on_signal = self.bool_setting("report on SIGUSR1", settings.report_on_signal, ON_SIGNAL, false);
        let on_signal = on_signal.then(|| at_exit.clone().unwrap_or(ReportTo::Stderr));
        ReportConfig { at_exit, on_signal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

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
