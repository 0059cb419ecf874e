//! File names in a spool directory.

/// The extension of a run's file.
pub(super) const RUN: &str = "run";
/// The extension of a segment's file.
pub(super) const SEGMENT: &str = "seg";
/// The extension of a file that was set aside because it cannot be read.
pub(super) const DAMAGED: &str = "damaged";

/// Returns the name of a run's file.
pub(super) fn run_file_name(run: &str) -> String {
    format!("{run}.{RUN}")
}

/// Returns the name of a segment's file.
pub(super) fn segment_file_name(run: &str, number: u32) -> String {
    format!("{run}-{number:08}.{SEGMENT}")
}

/// Returns the run of a segment, by its file name without the extension.
pub(super) fn run_of(stem: &str) -> &str {
    stem.rsplit_once('-').map_or(stem, |(run, _)| run)
}
