//! Maintenance by the exporter thread between requests: it keeps free blocks ready, frees memory, shrinks sparse
//! segments, and checks the spool directory.

use super::block::Block;
use super::records::Outbox;
use super::segment::Segment;
use super::sync::lock;

/// The number of oldest sealed segments whose pages stay in memory although they are in files, because they are usually
/// sent soon.
const UNPARKED_SEGMENTS: usize = 8;

impl Outbox {
    /// Replaces mostly empty sealed segments by smaller ones while memory is scarce, so that a few records do not hold
    /// much memory while an endpoint fails.
    pub(super) fn compact(&self) {
        let mut has_freed = false;
        while self.pool.is_half_full() {
            let sparse = lock(&self.sealed).next_sparse(false);
            let Some((position, length)) = sparse else { break };
            let Some(small) = self.pool.allocate_exactly(length) else { continue };
            let unneeded = lock(&self.sealed).replace_block(position, small);
            self.pool.recycle(unneeded);
            has_freed = true;
        }
        if has_freed {
            self.notify_waiters();
        }
    }

    /// Shrinks mostly empty segments in files. Runs only on the exporter thread, which therefore never takes a group
    /// while a segment of it is detached here.
    fn shrink_files(&self) {
        let Some(spool) = self.pool.spool() else { return };
        let mut has_freed = false;
        // While there is space, a whole file is worth more, because it can be reused.
        while spool.in_use() > spool.max_bytes() / 2 {
            let sparse = lock(&self.sealed).next_sparse(true);
            let Some((position, _)) = sparse else { break };
            let detached = lock(&self.sealed).detach(position);
            let Some(mut segment) = detached else { continue };
            if let Block::File(file) = &mut segment.block {
                spool.shrink(file);
            }
            lock(&self.sealed).reattach(position, segment);
            has_freed = true;
        }
        if has_freed {
            self.notify_waiters();
        }
    }

    /// Keeps free blocks ready while segments fill up, and releases the pages of segments that wait long in files.
    pub(crate) fn prepare(&self) {
        self.pool.prepare();
        if self.pool.spool().is_some() {
            self.shrink_files();
            lock(&self.sealed).segments_mut().skip(UNPARKED_SEGMENTS).for_each(Segment::park);
        }
    }

    /// Frees unused blocks. Called after an idle period, so that memory of a burst is returned.
    pub(crate) fn trim(&self) {
        if self.pool.spool().is_some() { self.pool.trim_to_spares() } else { self.pool.trim() }
    }

    /// Notes how many bytes the spool directory holds in total.
    pub(crate) fn set_total_bytes_in_spool(&self, bytes: usize) {
        if let Some(spool) = self.pool.spool() {
            spool.set_total_bytes(bytes);
            self.pool.trim_if_scarce();
        }
    }

    /// Removes the files of this process when the process ends and nothing waits. The next record begins a new run.
    pub(crate) fn retire(&self) {
        if let Some(spool) = self.pool.spool() {
            self.pool.trim();
            spool.end_run();
        }
    }

    /// Checks the spool directory. Files created in a directory that no longer exists are not reused.
    ///
    /// Returns `true` if the directory has become usable since the last check.
    pub(crate) fn check_spool(&self) -> bool {
        self.pool.spool().is_some_and(|spool| {
            let is_back = spool.check_directory(self.pool.block_file_length(spool), || {
                self.pool.trim();
                self.seal();
            });
            if is_back {
                // Records in memory are sent from there; later records are put into files.
                self.seal();
                self.pool.request_spares();
            }
            is_back
        })
    }
}
