//! Writes the report without a call: at the end of the process, or on a signal.

use std::fs::{self, File};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::data::Report;
use super::process_images::record_image_end;
use crate::config::ReportTo;
use crate::finding::kind;
use crate::notice::{self, Notice};
use crate::source::Pipeline;
use crate::{os, output};

/// Writes the report to `to`. A failure prints a notice and has no other effect.
pub(crate) fn write_report(pipeline: &Pipeline, to: &ReportTo) {
    let report = Report::of(pipeline);
    match to {
        ReportTo::Stderr => notice::print(format!("logbridge: report\n{report}")),
        ReportTo::Path(path) => {
            let written = write(&report, path);
            if written.is_ok() {
                record_image_end(path);
            }
            if let Err(error) = written {
                let text = format!("cannot write the report to {}: {error}", path.display());
                let help = "set LOGBRIDGE_REPORT to `stderr`, a directory, or a file in an existing directory";
                notice::emit(&Notice::new(kind::BAD_VALUE.code, "report", text).help(help));
            }
        }
    }
}

/// Writes the report so that no reader of the file sees a part of it.
fn write(report: &Report, path: &Path) -> io::Result<()> {
    let is_directory = path.is_dir();
    let path: PathBuf = match is_directory {
        true => path.join(format!("report-{}.json", std::process::id())),
        false => path.to_owned(),
    };
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let text = if is_json { report.to_json() } else { report.to_string() };
    // The name in a directory is predictable, so a link that someone put there is replaced, not followed.
    let is_plain = is_directory || fs::symlink_metadata(&path).map_or(true, |found| found.is_file());
    if is_plain { replace_file(&path, &text) } else { write_in_place(&path, text) }
}

/// Writes to the existing file, device, named pipe or link without replacing it, and never waits. Creates the file if
/// there is none.
pub fn write_in_place(path: &Path, text: String) -> io::Result<()> {
    // `/dev/stderr` is a link, too. Opening it again would truncate the file behind it.
    if let Some(stream) = fs::metadata(path).ok().and_then(|found| os::stream_of(&found)) {
        return output::write(stream, text);
    }
    let mut file = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => File::create_new(path),
        _ => os::open_nonblocking(path),
    }?;
    file.write_all(text.as_bytes())
}

/// Replaces the file atomically: writes a file of an unpredictable name beside it, and renames that.
pub fn replace_file(path: &Path, text: &str) -> io::Result<()> {
    let (beside, mut file) = create_beside(path)?;
    file.write_all(text.as_bytes()).and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
        let _it_stays_behind = fs::remove_file(&beside);
    })
}

fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    const ATTEMPTS: usize = 8;
    let mut taken = io::ErrorKind::AlreadyExists.into();
    for _ in 0..ATTEMPTS {
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
