//! Where records are kept so that they outlive the process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::resolve::Resolver;
use super::time::bounded;
use super::{BuilderSettings, SettingSource, defaults};
use crate::finding::{Finding, Severity, kind};

const DIRECTORY: &str = "LOGBRIDGE_SPOOL_DIR";
const MAX_BYTES: &str = "LOGBRIDGE_SPOOL_MAX_BYTES";
const SYNC: &str = "LOGBRIDGE_SPOOL_SYNC";

/// A directory in which records wait, so that they outlive the process: `kill -9`, the OOM killer, `abort`, a fork that
/// ends in `_exit`. The next start of any program with the same spool sends what is left, as does `logbridge replay`.
///
/// Once a log call has returned, its record is in the kernel's page cache, which outlives the process. What is sent leaves
/// the directory. Several processes may share it; each file belongs to one of them, and is taken over by exactly one
/// other when that is dead, at its start or within a few seconds.
///
/// Delivery is at least once: after a crash, records come twice whose request was on its way, or was being taken apart
/// because the endpoint refused some of it. [`Builder::record_ids`](crate::Builder::record_ids) lets a backend tell.
///
/// The directory should be on a local file system; where it cannot be used (no permission, full disk, no `mmap`), that is
/// said once and records wait in memory until it can. All blocks of a file are reserved before it is used, so that a full
/// disk is no SIGBUS. What remains: on copy-on-write file systems reserved blocks may still run out, the device may fail,
/// and somebody may truncate a file that is in use; the kernel then sends SIGBUS. The directory is made for its owner only
/// (0700, files 0600). If others can write in it, logbridge prints one warning: links in it are not followed, and only files
/// of the effective user of the process are sent. On tmpfs it counts as memory. Records lie in it as they will be sent: redacted, but not encrypted.
///
/// ```no_run
/// use std::time::Duration;
///
/// use logbridge::{Spool, SpoolSync};
///
/// logbridge::builder()
///     .spool(Spool::at("/var/lib/shop/logs").max_bytes(256 << 20).sync(SpoolSync::Every(Duration::from_secs(5))))
///     .init();
/// ```
#[derive(Clone, Debug)]
#[must_use = "pass it to `Builder::spool`"]
pub struct Spool {
    directory: PathBuf,
    max_bytes: Option<usize>,
    sync: Option<SpoolSync>,
}

/// What of a [`Spool`] outlives a loss of power, or a crash of the kernel.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum SpoolSync {
    /// What the kernel has written by then, most often all but the last half minute: the default. A crash of the process
    /// loses nothing either way.
    #[default]
    Never,
    /// All but the last so much time. Log calls may wait for a page that is being written, some microseconds most often.
    Every(Duration),
}

impl Spool {
    /// A spool in this directory, which is made where it is missing. A relative path is one of the current directory when
    /// logbridge starts.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), max_bytes: None, sync: None }
    }

    /// How much the directory may hold, in bytes, what other processes have there included. Default:
    /// `LOGBRIDGE_SPOOL_MAX_BYTES`, else 1 GiB; at least 4 MiB. When it is full,
    /// [`Builder::overload`](crate::Builder::overload) decides what is dropped.
    ///
    /// What others have is looked up every few seconds, so several processes that fill it at the same time may exceed it by
    /// what they write in that time.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// What outlives a loss of power. Default: `LOGBRIDGE_SPOOL_SYNC` (`never`, or a time such as `5s`), else
    /// [`SpoolSync::Never`].
    pub fn sync(mut self, sync: SpoolSync) -> Self {
        self.sync = Some(sync);
        self
    }
}

impl From<&str> for Spool {
    fn from(directory: &str) -> Self {
        Self::at(directory)
    }
}

impl From<String> for Spool {
    fn from(directory: String) -> Self {
        Self::at(directory)
    }
}

impl From<&Path> for Spool {
    fn from(directory: &Path) -> Self {
        Self::at(directory)
    }
}

impl From<PathBuf> for Spool {
    fn from(directory: PathBuf) -> Self {
        Self::at(directory)
    }
}

/// A spool, decided.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SpoolConfig {
    /// Absolute.
    pub(crate) directory: PathBuf,
    pub(crate) max_bytes: usize,
    /// How often what is there is written to the disk; `None` where the kernel decides.
    pub(crate) sync: Option<Duration>,
}

impl Resolver<'_> {
    pub(super) fn spool(&mut self, settings: &BuilderSettings) -> Option<SpoolConfig> {
        let code = settings.spool.as_ref();
        let (directory, source) = match code {
            Some(spool) => (spool.directory.clone(), SettingSource::Code),
            None => match self.environment.get(DIRECTORY) {
                Some(directory) => (PathBuf::from(directory), SettingSource::Variable(DIRECTORY)),
                None => {
                    self.add_setting("spool", "off", SettingSource::BuiltIn);
                    return None;
                }
            },
        };
        if directory.as_os_str().is_empty() {
            // It would be the current directory.
            let finding = Finding::new(
                &kind::BAD_DIRECTORY,
                Severity::Error,
                "spool",
                "the spool's directory has no name, so there is no spool",
            );
            self.add_finding(finding.help("name a directory, or leave the spool out"));
            self.add_setting("spool", "off", source);
            return None;
        }
        // A daemon changes its directory later, and its children would look elsewhere.
        let directory = std::path::absolute(&directory).unwrap_or(directory);
        self.add_setting("spool", directory.display().to_string(), source);
        let code_bytes = code.and_then(|spool| spool.max_bytes);
        let max_bytes = self.size_setting(
            "spool max bytes",
            code_bytes,
            MAX_BYTES,
            defaults::SPOOL_BYTES,
            defaults::MIN_SPOOL_BYTES,
        );
        let (sync, source) = match code.and_then(|spool| spool.sync) {
            Some(sync) => (sync, SettingSource::Code),
            None => self.spool_sync(),
        };
        let sync = match sync {
            SpoolSync::Every(time) => Some(bounded(time).max(defaults::MIN_SPOOL_SYNC)),
            SpoolSync::Never => None,
        };
        self.add_setting(
            "spool sync",
            sync.map_or_else(|| "never".to_owned(), |time| format!("every {time:?}")),
            source,
        );
        Some(SpoolConfig { directory, max_bytes, sync })
    }

    fn spool_sync(&mut self) -> (SpoolSync, SettingSource) {
        let Some(value) = self.environment.get(SYNC) else { return (SpoolSync::Never, SettingSource::BuiltIn) };
        if ["never", "off", "none"].iter().any(|word| value.eq_ignore_ascii_case(word)) {
            return (SpoolSync::Never, SettingSource::Variable(SYNC));
        }
        let time = super::resolve::parse_time(value).filter(|time| !time.is_zero());
        if time.is_none() {
            let problem =
                format!("`{value}` is neither a time nor never, so the kernel decides when records are on the disk");
            let finding = Finding::new(&kind::BAD_VALUE, Severity::Error, SYNC, problem);
            self.add_finding(finding.help("write a time such as 5s or 500ms, or never"));
        }
        if let Some(time) = time {
            self.check_time(SYNC, time);
        }
        time.map_or((SpoolSync::Never, SettingSource::BuiltIn), |time| {
            (SpoolSync::Every(time), SettingSource::Variable(SYNC))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Environment;
    use super::*;

    fn resolve(vars: &[(&str, &str)], spool: Option<Spool>) -> (Option<SpoolConfig>, Vec<&'static str>) {
        let vars = [vars, &[("OTEL_LOGS_EXPORTER", "otlp")]].concat();
        let settings = BuilderSettings { spool, ..BuilderSettings::default() };
        let config = settings
            .resolve(&vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Environment>())
            .expect("no error");
        let spool = config.otlp.delivery.expect("it is on").spool;
        (spool, config.findings.iter().map(|finding| finding.name).collect())
    }

    #[test]
    fn a_spool_is_off_unless_somebody_names_a_directory() {
        assert_eq!(resolve(&[(MAX_BYTES, "8MiB")], None).0, None);
        let (spool, findings) = resolve(&[(DIRECTORY, "/var/x"), (SYNC, "5s"), (MAX_BYTES, "8MiB")], None);
        let expected =
            SpoolConfig { directory: "/var/x".into(), max_bytes: 8 << 20, sync: Some(Duration::from_secs(5)) };
        assert_eq!((spool, findings), (Some(expected), vec![]));
        let code = Spool::at("/code").max_bytes(1).sync(SpoolSync::Never);
        let (spool, findings) = resolve(&[(DIRECTORY, "/var/x"), (SYNC, "5s")], Some(code));
        let expected = SpoolConfig { directory: "/code".into(), max_bytes: defaults::MIN_SPOOL_BYTES, sync: None };
        assert_eq!((spool, findings), (Some(expected), vec!["too-small"]));
    }

    #[test]
    fn no_name_is_no_directory() {
        assert_eq!(resolve(&[], Some(Spool::at(""))), (None, vec!["bad-directory"]));
    }

    #[test]
    fn what_cannot_be_used_is_found_and_the_rest_counts() {
        for (variable, value, code) in
            [(SYNC, "often", "bad-value"), (SYNC, "0", "bad-value"), (MAX_BYTES, "much", "bad-value")]
        {
            let (spool, findings) = resolve(&[(DIRECTORY, "relative"), (variable, value)], None);
            let spool = spool.expect("the directory counts");
            assert!(spool.directory.is_absolute() && spool.sync.is_none());
            assert_eq!((spool.max_bytes, findings), (defaults::SPOOL_BYTES, vec![code]), "{value}");
        }
    }
}
