//! Which programs have begun and not come to their end: for `logbridge run`, which has no other way to see that a program
//! was replaced by `exec`, or ended by `_exit`.
//!
//! Only where there is a file for it beside the reports. Each program writes a line when it begins, and one when it has
//! given its report. Process id and start time tell a process, which `exec` does not change.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::config::ReportTo;
use crate::os;

/// The name of the file.
const IMAGES: &str = "images";

/// The process in which a program has begun.
static BEGUN_IN: AtomicU32 = AtomicU32::new(0);
/// It is not the first one of its process.
static REPLACES: AtomicBool = AtomicBool::new(false);

/// Programs of one process.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Images {
    pub pid: u32,
    pub begun: u64,
    pub ended: u64,
}

fn line(word: &str) -> Option<String> {
    let pid = std::process::id();
    Some(format!("{word} {pid} {}\n", os::process_started(pid)?))
}

fn append(directory: &Path, line: &str) -> io::Result<()> {
    // One write, at the end, so that lines of several programs stay whole.
    OpenOptions::new().append(true).open(directory.join(IMAGES))?.write_all(line.as_bytes())
}

/// A program has begun here.
pub(crate) fn begin(to: Option<&ReportTo>) {
    let Some(ReportTo::Path(directory)) = to else { return };
    if !directory.join(IMAGES).is_file() {
        return;
    }
    let Some(line) = line("begin") else { return };
    let known = fs::read_to_string(directory.join(IMAGES)).unwrap_or_default();
    REPLACES.store(known.contains(&line), Ordering::Relaxed);
    if append(directory, &line).is_ok() {
        BEGUN_IN.store(std::process::id(), Ordering::Relaxed);
    }
}

/// Its report is written.
pub(super) fn end(directory: &Path) {
    // Not for a forked child, which has not begun here.
    if BEGUN_IN.load(Ordering::Relaxed) == std::process::id()
        && let Some(line) = line("end")
    {
        let _then_it_seems_to_go_on = append(directory, &line);
    }
}

/// Whether another program was in this process before, and has called `exec`. `false` where nobody can tell.
pub(crate) fn replaces_another() -> bool {
    REPLACES.load(Ordering::Relaxed)
}

/// Makes the file.
pub fn prepare(directory: &Path) -> io::Result<()> {
    fs::write(directory.join(IMAGES), "")
}

/// Returns what all programs have written to the file.
pub fn read(directory: &Path) -> Vec<Images> {
    /// More than anybody looks at.
    const LONGEST: u64 = 1 << 20;
    let mut text = String::new();
    let file = os::open_named(&directory.join(IMAGES));
    let _as_far_as_it_goes = file.map(|file| io::Read::read_to_string(&mut io::Read::take(file, LONGEST), &mut text));
    let mut all: Vec<(&str, Images)> = Vec::new();
    for line in text.lines() {
        let Some((word, process)) = line.split_once(' ') else { continue };
        let Some(pid) = process.split(' ').next().and_then(|pid| pid.parse().ok()) else { continue };
        let at = all.iter().position(|(known, _)| *known == process).unwrap_or_else(|| {
            all.push((process, Images { pid, ..Images::default() }));
            all.len() - 1
        });
        if let Some((_, images)) = all.get_mut(at) {
            match word {
                "begin" => images.begun += 1,
                "end" => images.ended += 1,
                _ => {}
            }
        }
    }
    all.into_iter().map(|(_, images)| images).collect()
}
