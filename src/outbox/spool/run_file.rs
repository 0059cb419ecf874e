//! The file of a run, which describes its process.

use std::fs::File;
use std::io::{self, Read as _};

use super::format::u64_at;
use crate::os::Mapping;

/// The length of the file.
pub(super) const LENGTH: usize = 4096;
const MAGIC: &[u8; 8] = b"\x89lgs-run";
const PID: usize = 16;
const STARTED: usize = 24;
const ENDING: usize = 32;
/// When the process started; 0 if unknown.
const PROCESS_STARTED: usize = 40;
/// The end of the last field.
const END: usize = 48;

/// How a run ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// The process was killed, crashed, or ended by `_exit`.
    Sudden = 0,
    /// The process ended normally, but could not deliver everything in time.
    Orderly = 1,
}

/// The process that a run's file names.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunProcess {
    pub(super) pid: u32,
    /// When the process started; 0 if unknown.
    pub(super) process_started: u64,
    pub(super) ending: Ending,
}

impl RunProcess {
    pub(super) fn read(file: &File) -> io::Result<Self> {
        let mut words = Vec::new();
        file.take(END as u64).read_to_end(&mut words)?;
        let is_orderly = u64_at(&words, ENDING) == Ending::Orderly as u64;
        Ok(Self {
            pid: u64_at(&words, PID) as u32,
            process_started: u64_at(&words, PROCESS_STARTED),
            ending: if is_orderly { Ending::Orderly } else { Ending::Sudden },
        })
    }
}

/// Writes the fields that are known when a run begins.
pub(super) fn write(mapping: &mut Mapping, pid: u32, started: u64, process_started: u64) {
    mapping.publish(PID, u64::from(pid));
    mapping.publish(STARTED, started);
    mapping.publish(PROCESS_STARTED, process_started);
    mapping.publish(0, u64::from_le_bytes(*MAGIC));
}

pub(super) fn write_orderly_ending(mapping: &mut Mapping) {
    mapping.publish(ENDING, Ending::Orderly as u64);
}
