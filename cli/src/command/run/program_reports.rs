//! Reports of programs with logbridge: `report-PID.json`, written when they end.
//!
//! Constraint: a report is untrusted. It may be from another version, truncated, or forged. Invalid values are ignored.

use std::fs::{self, DirBuilder};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use logbridge::internals::diagnose::{prepare_image_log, replace_file, write_in_place};
use logbridge::internals::levels::MESSAGE_FILTER_CAUSE;
use logbridge::internals::os;

/// Limits the number of reports that are read.
const MAX_REPORTS: usize = 64;
/// Limits the size of a report, which is usually some kilobytes.
const MAX_BYTES: u64 = 8 << 20;

/// A reason and its number of records.
pub(super) type ReasonCount = (String, u64);

/// The report of one program with logbridge.
#[derive(Clone, Debug, Default)]
pub(super) struct ProgramReport {
    pub(super) pid: u64,
    pub(super) service: String,
    pub(super) executable: String,
    pub(super) offered: u64,
    pub(super) below: u64,
    pub(super) otlp: OtlpCounts,
    pub(super) filtered: Vec<StoppedRecords>,
    pub(super) dropped: Vec<StoppedRecords>,
    pub(super) findings: Vec<ReportedFinding>,
    pub(super) notices: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct OtlpCounts {
    pub(super) endpoint: String,
    pub(super) off_because: String,
    pub(super) below: u64,
    pub(super) suppressed: u64,
    pub(super) unsampled: u64,
    pub(super) repeated: u64,
    pub(super) accepted: u64,
    pub(super) adopted: u64,
    pub(super) delivered: u64,
    pub(super) unconfirmed: u64,
    pub(super) rejected: Vec<ReasonCount>,
    pub(super) dropped: Vec<ReasonCount>,
    pub(super) pending: u64,
}

/// Records of one target and level that were filtered or dropped.
#[derive(Clone, Debug, Default)]
pub(super) struct StoppedRecords {
    pub(super) stage: String,
    pub(super) target: String,
    pub(super) level: String,
    pub(super) records: u64,
    /// The directive or the reason.
    pub(super) by: String,
}

impl StoppedRecords {
    /// Returns whether a message filter stopped the records, and not a level.
    pub(super) fn is_by_message_filter(&self) -> bool {
        self.by.ends_with(MESSAGE_FILTER_CAUSE)
    }
}

impl ProgramReport {
    /// Returns the number of records that a message filter stopped, as far as the report shows it.
    pub(super) fn unmatched(&self) -> u64 {
        let records: u64 =
            self.filtered.iter().filter(|stopped| stopped.is_by_message_filter()).map(|stopped| stopped.records).sum();
        // The numbers of a forged report may be inconsistent.
        records.min(self.below)
    }

    /// Returns the number of records below the level of the module stage or of the OTLP destination.
    pub(super) fn below_levels(&self) -> u64 {
        self.below - self.unmatched() + self.otlp.below
    }
}

/// A finding of the program itself.
#[derive(Clone, Debug, Default)]
pub(super) struct ReportedFinding {
    pub(super) code: String,
    pub(super) severity: String,
    pub(super) place: String,
    pub(super) text: String,
    pub(super) help: String,
}

/// A private directory for reports. It is removed on drop.
#[derive(Debug)]
pub(super) struct ReportDirectory(PathBuf);

impl ReportDirectory {
    /// Creates a directory that only this user can read.
    pub(super) fn new() -> io::Result<Self> {
        let process = std::process::id();
        let mut result = Err(io::Error::other("no free name"));
        for number in 0..100 {
            let path = std::env::temp_dir().join(format!("logbridge-run-{process}-{number}"));
            let mut builder = DirBuilder::new();
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            // An existing directory may belong to another user.
            result = builder.create(&path).and_then(|()| prepare_image_log(&path)).map(|()| Self(path));
            if !matches!(&result, Err(error) if error.kind() == io::ErrorKind::AlreadyExists) {
                break;
            }
        }
        result
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn files(&self) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().filter_map(Result::ok);
        let is_report = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with("report-") && name.ends_with(".json")
        };
        entries.map(|entry| entry.path()).filter(is_report).take(MAX_REPORTS)
    }

    /// Copies the reports to the path that the user set in LOGBRIDGE_REPORT.
    ///
    /// # Errors
    ///
    /// Returns a message if the path is not a file in .json or a directory, or if a report cannot be copied.
    pub(super) fn keep(&self, wanted: &str) -> Result<(), String> {
        let to = Path::new(wanted);
        let is_directory = to.is_dir();
        if !is_directory && !wanted.ends_with(".json") {
            return Err("the report of the program is shown above instead".to_owned());
        }
        let copy = |path: PathBuf| {
            let content = content(&path)?;
            // Another user could predict the name and put a link there, so a link is replaced and not followed.
            match path.file_name().filter(|_| is_directory) {
                Some(name) => replace_file(&to.join(name), &content),
                None => write_in_place(to, content),
            }
        };
        // The other reports are copied even if one of them cannot be.
        let failed: Vec<io::Error> = self.files().filter_map(|path| copy(path).err()).collect();
        match failed.first() {
            None => Ok(()),
            Some(failed) => Err(format!("cannot copy the report there: {failed}")),
        }
    }

    /// Reads the reports and sorts them by process.
    pub(super) fn programs(&self) -> Vec<ProgramReport> {
        let mut programs: Vec<ProgramReport> = self.files().filter_map(|path| read(&path)).collect();
        programs.sort_by_key(|program| program.pid);
        programs
    }
}

/// Checks that a file can be written, without changing it.
pub(super) fn check_writable(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path).is_err() {
        fs::File::create_new(path)?;
        return fs::remove_file(path);
    }
    let found = fs::metadata(path)?;
    if found.is_file() || found.is_dir() {
        fs::OpenOptions::new().write(true).open(path)?;
    }
    // Opening a pipe may block, and its reader would see an end of file. So pipes are not checked.
    Ok(())
}

impl Drop for ReportDirectory {
    fn drop(&mut self) {
        // If this fails, the system cleans its directory for temporary files.
        let _ignored = fs::remove_dir_all(&self.0);
    }
}

/// Reads a report. Returns `None` if the file is not JSON.
fn read(path: &Path) -> Option<ProgramReport> {
    serde_json::from_str(&content(path).ok()?).ok().map(|value: Value| program(&value))
}

/// Reads a regular file. A program could put a pipe there, which might block forever.
fn content(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    match os::open_named(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)? as u64 {
        0..=MAX_BYTES => Ok(text),
        _ => Err(io::Error::other("it is larger than 8 MiB")),
    }
}

fn text(value: &Value, name: &str) -> String {
    match value.get(name) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    }
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// Parses `{"reason": 3}`.
fn reason_counts(value: &Value, name: &str) -> Vec<ReasonCount> {
    let entries = value.get(name).and_then(Value::as_object).into_iter().flatten();
    entries
        .filter_map(|(reason, number)| Some((reason.clone(), number.as_u64().filter(|number| *number > 0)?)))
        .collect()
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn program(value: &Value) -> ProgramReport {
    let stopped = |value: &Value, by: &str| StoppedRecords {
        stage: text(value, "stage"),
        target: text(value, "target"),
        level: text(value, "level").to_lowercase(),
        records: number(value, "records"),
        by: text(value, by),
    };
    let found = |value: &Value| ReportedFinding {
        code: text(value, "code"),
        severity: text(value, "severity"),
        place: text(value, "place"),
        text: text(value, "text"),
        help: text(value, "help"),
    };
    ProgramReport {
        pid: number(value, "pid"),
        service: text(value, "service"),
        executable: text(value, "executable"),
        offered: number(value, "offered"),
        below: number(value, "below"),
        otlp: value.get("otlp").map(otlp).unwrap_or_default(),
        filtered: list(value, "cuts").map(|value| stopped(value, "by")).collect(),
        dropped: list(value, "dropped").map(|value| stopped(value, "reason")).collect(),
        findings: list(value, "findings").map(found).collect(),
        notices: list(value, "notices").map(|value| text(value, "text")).collect(),
    }
}

fn otlp(value: &Value) -> OtlpCounts {
    OtlpCounts {
        endpoint: text(value, "endpoint"),
        off_because: text(value, "off_because"),
        below: number(value, "below"),
        suppressed: number(value, "suppressed"),
        unsampled: number(value, "unsampled"),
        repeated: number(value, "repeated"),
        accepted: number(value, "accepted"),
        adopted: number(value, "adopted"),
        delivered: number(value, "delivered"),
        unconfirmed: number(value, "unconfirmed"),
        rejected: reason_counts(value, "rejected"),
        dropped: reason_counts(value, "dropped"),
        pending: number(value, "pending"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_is_read_as_far_as_possible() {
        let whole = program(&json!({
            "logbridge": "9.9", "pid": 7, "service": "shop", "offered": 10, "below": 4, "passed": 6, "more": [1],
            "otlp": {"accepted": 6, "delivered": 3, "rejected": {"malformed": 2, "auth": 0}, "pending": 1},
            "cuts": [{"stage": "module", "target": "hyper", "level": "DEBUG", "records": 4, "by": "RUST_LOG: hyper=warn"}],
            "dropped": [{"reason": "overflow", "target": "shop", "level": "INFO", "records": 1}],
            "findings": [{"code": "LB001", "severity": "error", "place": "RUST_LOG", "text": "no level", "help": null}],
        }));
        assert_eq!(
            (whole.pid, whole.offered, whole.otlp.rejected.as_slice()),
            (7, 10, &[("malformed".to_owned(), 2)][..])
        );
        assert_eq!(
            (whole.filtered[0].level.as_str(), whole.filtered[0].by.as_str()),
            ("debug", "RUST_LOG: hyper=warn")
        );
        assert_eq!((whole.dropped[0].by.as_str(), whole.findings[0].help.as_str()), ("overflow", ""));
        for odd in [json!(null), json!([]), json!({"offered": -1, "otlp": [], "cuts": {"a": 1}, "findings": ["x", {}]})]
        {
            assert_eq!(program(&odd).offered, 0, "{odd}");
        }
    }

    #[test]
    fn other_files_are_ignored_and_the_directory_is_removed() {
        let directory = ReportDirectory::new().expect("a directory");
        let path = directory.path().to_owned();
        for (name, content) in
            [("report-1.json", "{\"pid\": 1}"), ("report-2.json", "{\"pid\""), ("notes.json", "{\"pid\": 3}")]
        {
            fs::write(path.join(name), content).expect("written");
        }
        assert_eq!(directory.programs().iter().map(|program| program.pid).collect::<Vec<_>>(), [1]);
        drop(directory);
        assert!(!path.exists());
    }
}
