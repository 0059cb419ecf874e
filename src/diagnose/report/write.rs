//! The report where nobody asks for it by a call: at the end of the process, or at a signal.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Report, images};
use crate::config::ReportTo;
use crate::finding::kind;
use crate::notice::{self, Notice};
use crate::source::Pipeline;

/// Puts the report where it goes. What cannot be written is said, and stops nothing.
pub(crate) fn give(pipeline: &Pipeline, to: &ReportTo) {
    let report = Report::of(pipeline);
    match to {
        ReportTo::Stderr => notice::print(&format!("logbridge: report\n{report}")),
        ReportTo::Path(path) => {
            let written = write(&report, path);
            if written.is_ok() {
                images::end(path);
            }
            if let Err(error) = written {
                let text = format!("the report cannot be written to {}: {error}", path.display());
                let help = "name a file in a directory that exists, or a directory, or `stderr` (LOGBRIDGE_REPORT)";
                notice::say(&Notice::new(kind::BAD_VALUE.code, "report", text).help(help));
            }
        }
    }
}

/// Whether to open it could wait for ever: a named pipe. The streams of this process are open already.
#[cfg(unix)]
fn is_pipe(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    fs::symlink_metadata(path).is_ok_and(|found| !found.is_symlink() || !path.starts_with("/dev"))
        && fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_pipe(_path: &Path) -> bool {
    false
}

/// Written beside it and renamed, so that who reads it never sees half a report.
fn write(report: &Report, path: &Path) -> io::Result<()> {
    let path: PathBuf = match path.is_dir() {
        true => path.join(format!("report-{}.json", std::process::id())),
        false => path.to_owned(),
    };
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let text = if is_json { report.to_json() } else { report.to_string() };
    let is_plain = fs::symlink_metadata(&path).map_or(true, |found| found.is_file());
    if !is_plain {
        if is_pipe(&path) {
            return Err(io::Error::other("it is a pipe, and nobody may read it"));
        }
        // A terminal, a link: what is there stays what it is.
        return fs::write(&path, text);
    }
    let mut beside = path.clone().into_os_string();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = PathBuf::from(beside);
    fs::write(&beside, text)?;
    fs::rename(&beside, &path).inspect_err(|_| {
        let _stays = fs::remove_file(&beside);
    })
}
