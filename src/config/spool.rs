//! The spool: records in a directory, so that they survive the process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::defaults;
use super::resolver::{Resolver, parse_duration};
use super::setting::SettingSource;
use super::time::bounded;
use crate::finding::{Finding, Severity, kind};

const DIRECTORY: &str = "LOGBRIDGE_SPOOL_DIR";
const MAX_BYTES: &str = "LOGBRIDGE_SPOOL_MAX_BYTES";
const SYNC: &str = "LOGBRIDGE_SPOOL_SYNC";

/// A directory for pending records, so that they survive the process.
///
/// Records survive `kill -9`, the OOM killer, `abort`, and a forked child that ends in `_exit`. The next start of any
/// program with the same spool sends them, and so does `logbridge replay`.
///
/// When a log call returns, its record is in the kernel's page cache, which outlives the process. [`SpoolSync`]
/// controls what survives a power loss. Files are removed when their records have been sent. Several processes may
/// share a directory. Each file belongs to one process; if that crashes, exactly one other process takes the file over,
/// at its start or within a few seconds.
///
/// # Duplicates
///
/// Delivery is at least once. After a crash, some records may be sent twice: those of a request in progress, and those
/// of a request that was being split because the endpoint rejected part of it. With
/// [`Builder::record_ids`](crate::Builder::record_ids), a backend can recognize them.
///
/// # Limits
///
/// * If the directory is unusable (no permission, full disk, no `mmap`), logbridge prints one notice and keeps records
///   in memory until the directory becomes usable. On tmpfs, the spool counts as memory.
/// * Use a local file system. All blocks of a file are reserved before use, so a full disk does not cause SIGBUS. The
///   kernel still sends SIGBUS if a copy-on-write file system runs out of blocks, the device fails, or another program
///   truncates a file.
///
/// # Security
///
/// Records are stored as they will be sent: redacted, but not encrypted. The directory is created with mode 0700, its
/// files with mode 0600. If others can write to it, logbridge prints one warning. It does not follow links in the
/// directory and only sends files that belong to the effective user of the process.
///
/// # Examples
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

/// Which records of a [`Spool`] survive a power loss or a kernel crash. A crash of the process never loses any.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum SpoolSync {
    /// Records that the kernel has written to disk: usually all except for those of the last 30 seconds. The default.
    #[default]
    Never,
    /// All records except for those of the last period, which is at least 100 ms. A log call may wait for a page that
    /// is being written, usually some microseconds.
    Every(Duration),
}

impl Spool {
    /// Creates a spool in a directory, which is created if it does not exist.
    ///
    /// A relative path is resolved when logbridge starts. Environment variable: `LOGBRIDGE_SPOOL_DIR`.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), max_bytes: None, sync: None }
    }

    /// Sets the maximum size of the directory in bytes, including the files of other processes.
    ///
    /// When the spool is full, [`Builder::overload`](crate::Builder::overload) decides which records are dropped. The
    /// files of other processes are counted every few seconds. Several processes may therefore exceed the limit by the
    /// amount they write in that time.
    ///
    /// Default: 1 GiB. Minimum: 4 MiB. Environment variable: `LOGBRIDGE_SPOOL_MAX_BYTES`.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Sets which records survive a power loss.
    ///
    /// Default: [`SpoolSync::Never`]. Environment variable: `LOGBRIDGE_SPOOL_SYNC`, either `never` or a period such as
    /// `5s`.
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

/// The resolved spool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SpoolConfig {
    /// An absolute path.
    pub(crate) directory: PathBuf,
    pub(crate) max_bytes: usize,
    /// How often records are written to disk. `None` leaves this to the kernel.
    pub(crate) sync: Option<Duration>,
}

impl Resolver<'_> {
    pub(super) fn spool(&mut self, code: Option<&Spool>) -> Option<SpoolConfig> {
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
            // An empty path would mean the current directory.
            let finding = Finding::new(
                &kind::BAD_DIRECTORY,
                Severity::Error,
                "spool",
                "the directory of the spool is empty, so the spool is off",
            );
            self.add_finding(finding.help("set a directory, or remove the spool"));
            self.add_setting("spool", "off", source);
            return None;
        }
        // A daemon changes its current directory later.
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
        let time = parse_duration(value).filter(|time| !time.is_zero());
        if time.is_none() {
            let problem =
                format!("`{value}` is neither a duration nor `never`; the kernel decides when records reach the disk");
            let finding = Finding::new(&kind::BAD_VALUE, Severity::Error, SYNC, problem);
            self.add_finding(finding.help("write a duration such as 5s or 500ms, or never"));
        }
        if let Some(time) = time {
            self.check_duration(SYNC, time);
        }
        time.map_or((SpoolSync::Never, SettingSource::BuiltIn), |time| {
            (SpoolSync::Every(time), SettingSource::Variable(SYNC))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BuilderSettings, Environment};

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
    fn a_spool_is_off_unless_a_directory_is_set() {
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
    fn an_empty_directory_turns_the_spool_off() {
        assert_eq!(resolve(&[], Some(Spool::at(""))), (None, vec!["bad-directory"]));
    }

    #[test]
    fn invalid_variables_are_reported_and_ignored() {
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
