//! The report where nobody asks for it by a call: at the end of the process, or at a signal.

use std::fs::{self, File};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{Report, images};
use crate::config::ReportTo;
use crate::finding::kind;
use crate::notice::{self, Notice};
use crate::source::Pipeline;
use crate::{os, output};

/// Puts the report where it goes. What cannot be written is said, and stops nothing.
pub(crate) fn give(pipeline: &Pipeline, to: &ReportTo) {
    let report = Report::of(pipeline);
    match to {
        ReportTo::Stderr => notice::print(format!("logbridge: report\n{report}")),
        ReportTo::Path(path) => {
            let written = write(&report, path);
            if written.is_ok() {
                images::end(path);
            }
            if let Err(error) = written {
                let text = format!("the report cannot be written to {}: {error}", path.display());
                let help = "name a file in a directory that exists, or a directory, or `stderr` (LOGBRIDGE_REPORT)";
                notice::emit(&Notice::new(kind::BAD_VALUE.code, "report", text).help(help));
            }
        }
    }
}

/// Writes the report so that whoever reads the file never sees half of it.
fn write(report: &Report, path: &Path) -> io::Result<()> {
    let is_directory = path.is_dir();
    let path: PathBuf = match is_directory {
        true => path.join(format!("report-{}.json", std::process::id())),
        false => path.to_owned(),
    };
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let text = if is_json { report.to_json() } else { report.to_string() };
    // A name that we choose is known before it is used: a link that somebody put there is replaced, and not followed.
    let is_plain = is_directory || fs::symlink_metadata(&path).map_or(true, |found| found.is_file());
    if is_plain { replace(&path, &text) } else { put(&path, text) }
}

/// Writes into what is there and stays what it is: a file, a device, a named pipe, a link to one of them. Never waits. Makes a
/// file where there is nothing.
pub fn put(path: &Path, text: String) -> io::Result<()> {
    // `/dev/stderr` is a link too, and to open it again would cut a file that it goes to.
    if let Some(stream) = fs::metadata(path).ok().and_then(|found| os::stream_of(&found)) {
        return output::write(stream, text);
    }
    let mut file = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => File::create_new(path),
        _ => os::open_to_write(path),
    }?;
    file.write_all(text.as_bytes())
}

/// Writes a file beside it, under a name that nobody can know before, and renames it.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let (beside, mut file) = create_beside(path)?;
    file.write_all(text.as_bytes()).and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
        let _stays = fs::remove_file(&beside);
    })
}

fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    /// More names than anybody can have taken by chance.
    const TRIES: usize = 8;
    let mut taken = io::ErrorKind::AlreadyExists.into();
    for _ in 0..TRIES {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{:016x}.tmp", RandomState::new().build_hasher().finish()));
        let beside = PathBuf::from(beside);
        match File::create_new(&beside) {
            Ok(file) => return Ok((beside, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = error,
            Err(error) => return Err(error),
        }
    }
    Err(taken)
}
