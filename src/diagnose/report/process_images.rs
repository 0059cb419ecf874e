//! Records which programs started and ended in each process.
//!
//! `logbridge run` needs this to notice a program that was replaced by `exec` or ended by `_exit`. Nothing is recorded
//! unless the report directory contains the file. Each program appends a line when it starts, and another after its
//! report is written. Process id and start time identify a process; `exec` changes neither.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::config::ReportTo;
use crate::os;

/// The name of the file in the report directory.
const IMAGES: &str = "images";

/// The id of the process in which this program recorded its start.
static STARTED_IN: AtomicU32 = AtomicU32::new(0);
/// Whether another program ran in this process before.
static REPLACES: AtomicBool = AtomicBool::new(false);

/// The programs of one process.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ProcessImages {
    pub pid: u32,
    pub begun: u64,
    pub ended: u64,
}

fn line(word: &str) -> Option<String> {
    let pid = std::process::id();
    Some(format!("{word} {pid} {}\n", os::process_started(pid)?))
}

fn append(directory: &Path, line: &str) -> io::Result<()> {
    // A single appending write keeps lines of concurrent programs whole.
    OpenOptions::new().append(true).open(directory.join(IMAGES))?.write_all(line.as_bytes())
}

/// Records that this program has started.
pub(crate) fn record_image_start(to: Option<&ReportTo>) {
    let Some(ReportTo::Path(directory)) = to else { return };
    if !directory.join(IMAGES).is_file() {
        return;
    }
    let Some(line) = line("begin") else { return };
    let known = fs::read_to_string(directory.join(IMAGES)).unwrap_or_default();
    REPLACES.store(known.contains(&line), Ordering::Relaxed);
    if append(directory, &line).is_ok() {
        STARTED_IN.store(std::process::id(), Ordering::Relaxed);
    }
}

/// Records that the report of this program is written.
pub(super) fn record_image_end(directory: &Path) {
    // A forked child has not recorded a start.
    if STARTED_IN.load(Ordering::Relaxed) == std::process::id()
        && let Some(line) = line("end")
    {
        let _otherwise_it_seems_to_run_on = append(directory, &line);
    }
}

/// Returns whether a previous program in this process called `exec`. `false` if unknown.
pub(crate) fn replaces_another() -> bool {
    REPLACES.load(Ordering::Relaxed)
}

/// Creates the file.
pub fn prepare_image_log(directory: &Path) -> io::Result<()> {
    fs::write(directory.join(IMAGES), "")
}

/// Reads the starts and ends of all programs.
pub fn read_image_log(directory: &Path) -> Vec<ProcessImages> {
    /// A limit against a file that something else fills.
    const MAX_BYTES: u64 = 1 << 20;
    let mut text = String::new();
    let file = os::open_named(&directory.join(IMAGES));
    let _a_part_is_enough = file.map(|file| io::Read::read_to_string(&mut io::Read::take(file, MAX_BYTES), &mut text));
    let mut all: Vec<(&str, ProcessImages)> = Vec::new();
    for line in text.lines() {
        let Some((word, process)) = line.split_once(' ') else { continue };
        let Some(pid) = process.split(' ').next().and_then(|pid| pid.parse().ok()) else { continue };
        let at = all.iter().position(|(known, _)| *known == process).unwrap_or_else(|| {
            all.push((process, ProcessImages { pid, ..ProcessImages::default() }));
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
