//! What programs with logbridge say of their records: `report-PID.json`, written when they end.
//!
//! Constraints: each may be of another version, cut short, or made by anybody; whatever of it can be read is read, and the
//! rest is as if it were not there.

use std::fs::{self, DirBuilder};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use logbridge::internals::diagnose::{prepare_image_log, replace_file, write_in_place};
use logbridge::internals::levels::ON_TEXT;
use logbridge::internals::os;

/// More programs than anybody looks at.
const MOST: usize = 64;
/// A report is some kilobytes long.
const LONGEST: u64 = 8 << 20;

/// A number with what it is of.
pub(super) type Counted = (String, u64);

/// The account of one program.
#[derive(Clone, Debug, Default)]
pub(super) struct Program {
    pub(super) pid: u64,
    pub(super) service: String,
    pub(super) executable: String,
    pub(super) offered: u64,
    pub(super) below: u64,
    pub(super) otlp: OtlpAccount,
    pub(super) cuts: Vec<Cut>,
    pub(super) dropped: Vec<Cut>,
    pub(super) findings: Vec<Found>,
    /// Notices in words.
    pub(super) notices: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct OtlpAccount {
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
    pub(super) rejected: Vec<Counted>,
    pub(super) dropped: Vec<Counted>,
    pub(super) pending: u64,
}

/// Records of one target and level that came no further, and what stopped them.
#[derive(Clone, Debug, Default)]
pub(super) struct Cut {
    pub(super) stage: String,
    pub(super) target: String,
    pub(super) level: String,
    pub(super) records: u64,
    /// A directive, or a reason.
    pub(super) by: String,
}

impl Cut {
    /// Whether a filter on the text decided, and no level.
    pub(super) fn is_by_text(&self) -> bool {
        self.by.ends_with(ON_TEXT)
    }
}

impl Program {
    /// How many records a filter on the text stopped, as far as that is known.
    pub(super) fn unmatched(&self) -> u64 {
        let records: u64 = self.cuts.iter().filter(|cut| cut.is_by_text()).map(|cut| cut.records).sum();
        // Whoever made the report may have written anything.
        records.min(self.below)
    }

    /// How many records were below the levels of the program, or of its way to the endpoint.
    pub(super) fn below_levels(&self) -> u64 {
        self.below - self.unmatched() + self.otlp.below
    }
}

/// A finding of the program's own.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) code: String,
    pub(super) severity: String,
    pub(super) place: String,
    pub(super) text: String,
    pub(super) help: String,
}

/// A directory of this run's own, which is removed at the end.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    /// A new one, which only this user may look into.
    pub(super) fn new() -> io::Result<Self> {
        let process = std::process::id();
        let mut result = Err(io::Error::other("no free name"));
        for number in 0..100 {
            let path = std::env::temp_dir().join(format!("logbridge-run-{process}-{number}"));
            let mut builder = DirBuilder::new();
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            // One that is there already is somebody else's.
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
        entries.map(|entry| entry.path()).filter(is_report).take(MOST)
    }

    /// Copies the reports to where the user wants them, as LOGBRIDGE_REPORT says it of a process; `Err` says why not.
    pub(super) fn keep(&self, wanted: &str) -> Result<(), String> {
        let to = Path::new(wanted);
        let is_directory = to.is_dir();
        if !is_directory && !wanted.ends_with(".json") {
            return Err("for this run the report of the program went into this account instead".to_owned());
        }
        let copy = |path: PathBuf| {
            let content = content(&path)?;
            // A name that we choose is known before: a link that somebody put there is replaced, and not followed.
            match path.file_name().filter(|_| is_directory) {
                Some(name) => replace_file(&to.join(name), &content),
                None => write_in_place(to, content),
            }
        };
        // One that cannot be copied keeps no other back.
        let failed: Vec<io::Error> = self.files().filter_map(|path| copy(path).err()).collect();
        match failed.first() {
            None => Ok(()),
            Some(failed) => Err(format!("the report cannot be copied there: {failed}")),
        }
    }

    /// The reports in it, by process.
    pub(super) fn programs(&self) -> Vec<Program> {
        let mut programs: Vec<Program> = self.files().filter_map(|path| read(&path)).collect();
        programs.sort_by_key(|program| program.pid);
        programs
    }
}

/// Tries to write there, and leaves what is there as it is.
pub(super) fn may_be_written(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path).is_err() {
        fs::File::create_new(path)?;
        return fs::remove_file(path);
    }
    let found = fs::metadata(path)?;
    if found.is_file() || found.is_dir() {
        fs::OpenOptions::new().write(true).open(path)?;
    }
    // To open a pipe may wait for ever, and whoever reads it would take that for its end.
    Ok(())
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Where that fails, the system's own cleaning takes it.
        let _left = fs::remove_dir_all(&self.0);
    }
}

/// A report, or nothing where there is none in it.
fn read(path: &Path) -> Option<Program> {
    serde_json::from_str(&content(path).ok()?).ok().map(|value: Value| program(&value))
}

/// What is in a regular file. Programs can put anything else there, which may never end.
fn content(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    match os::open_named(path)?.take(LONGEST + 1).read_to_string(&mut text)? as u64 {
        0..=LONGEST => Ok(text),
        _ => Err(io::Error::other("it is longer than 8 MiB")),
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

/// `{"reason": 3}`.
fn counted(value: &Value, name: &str) -> Vec<Counted> {
    let entries = value.get(name).and_then(Value::as_object).into_iter().flatten();
    entries
        .filter_map(|(reason, number)| Some((reason.clone(), number.as_u64().filter(|number| *number > 0)?)))
        .collect()
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn program(value: &Value) -> Program {
    let cut = |value: &Value, by: &str| Cut {
        stage: text(value, "stage"),
        target: text(value, "target"),
        level: text(value, "level").to_lowercase(),
        records: number(value, "records"),
        by: text(value, by),
    };
    let found = |value: &Value| Found {
        code: text(value, "code"),
        severity: text(value, "severity"),
        place: text(value, "place"),
        text: text(value, "text"),
        help: text(value, "help"),
    };
    Program {
        pid: number(value, "pid"),
        service: text(value, "service"),
        executable: text(value, "executable"),
        offered: number(value, "offered"),
        below: number(value, "below"),
        otlp: value.get("otlp").map(otlp).unwrap_or_default(),
        cuts: list(value, "cuts").map(|value| cut(value, "by")).collect(),
        dropped: list(value, "dropped").map(|value| cut(value, "reason")).collect(),
        findings: list(value, "findings").map(found).collect(),
        notices: list(value, "notices").map(|value| text(value, "text")).collect(),
    }
}

fn otlp(value: &Value) -> OtlpAccount {
    OtlpAccount {
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
        rejected: counted(value, "rejected"),
        dropped: counted(value, "dropped"),
        pending: number(value, "pending"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_is_read_as_far_as_it_goes() {
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
        assert_eq!((whole.cuts[0].level.as_str(), whole.cuts[0].by.as_str()), ("debug", "RUST_LOG: hyper=warn"));
        assert_eq!((whole.dropped[0].by.as_str(), whole.findings[0].help.as_str()), ("overflow", ""));
        for odd in [json!(null), json!([]), json!({"offered": -1, "otlp": [], "cuts": {"a": 1}, "findings": ["x", {}]})]
        {
            assert_eq!(program(&odd).offered, 0, "{odd}");
        }
    }

    #[test]
    fn what_is_no_report_is_left_out_and_nothing_stays() {
        let directory = Directory::new().expect("a directory");
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
