//! A value that is replaced while other threads read it, without locks or reference counts.
//!
//! No version is ever freed, because a reader may hold it. Equal versions are stored once, so a program that switches
//! back and forth between two versions stores two. The module uses neither locks nor `Once`, because a forked child
//! would inherit them in any state.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::os::OnceBox;

const CHUNKS: usize = 16;
const FIRST: usize = 8;
/// The number of versions that fit. The page of the finding `LEVELS_UNCHANGED` quotes it.
#[cfg(test)]
const MAX_VERSIONS: usize = FIRST * ((1 << CHUNKS) - 1);

/// All versions of a value, in chunks of doubling size, and the number of the current one.
#[derive(Debug)]
pub(super) struct Versions<T: Send + Sync> {
    chunks: [OnceBox<Vec<OnceBox<T>>>; CHUNKS],
    current: AtomicU32,
}

/// The error of publishing more versions than fit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VersionsExhausted;

/// Returns the chunk of a version and its place in the chunk.
fn place(index: u32) -> (usize, usize) {
    let shifted = index as usize / FIRST + 1;
    let chunk = shifted.ilog2() as usize;
    (chunk, index as usize - FIRST * ((1 << chunk) - 1))
}

impl<T: Eq + Send + Sync> Versions<T> {
    pub(super) fn new(first: T) -> Self {
        let versions = Self { chunks: [const { OnceBox::new() }; CHUNKS], current: AtomicU32::new(0) };
        let _there_is_room = versions.publish(first);
        versions
    }

    /// Returns the current version with its number.
    #[inline]
    pub(super) fn current(&self) -> Option<(u32, &T)> {
        let index = self.current.load(Ordering::Acquire);
        Some((index, self.get(index)?))
    }

    /// Returns the number of the current version.
    #[inline]
    pub(super) fn number(&self) -> u32 {
        self.current.load(Ordering::Acquire)
    }

    #[inline]
    fn get(&self, index: u32) -> Option<&T> {
        let (chunk, offset) = place(index);
        self.chunks.get(chunk)?.get()?.get(offset)?.get()
    }

    /// Makes a version the current one. If two threads publish at the same time, either version may become current.
    pub(super) fn publish(&self, mut version: T) -> Result<(), VersionsExhausted> {
        for index in 0.. {
            match self.get(index) {
                Some(known) if *known != version => continue,
                Some(_) => {}
                None => {
                    let (number, offset) = place(index);
                    let empty = || std::iter::repeat_with(OnceBox::new).take(FIRST << number).collect();
                    let chunk: &Vec<_> = self.chunks.get(number).ok_or(VersionsExhausted)?.get_or_init(empty);
                    if let Err(back) = chunk.get(offset).ok_or(VersionsExhausted)?.set(version) {
                        version = back;
                        continue;
                    }
                }
            }
            self.current.store(index, Ordering::Release);
            return Ok(());
        }
        Err(VersionsExhausted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_a_place_and_equal_versions_share_it() {
        let versions = Versions::new(0_u32);
        for round in 0..2 {
            for number in 0..1_000 {
                versions.publish(number).expect("room");
                assert_eq!(versions.current(), Some((number, &number)), "round {round}");
            }
        }
        assert!(versions.get(999).is_some() && versions.get(1_000).is_none());
        let places: Vec<_> = [0, 7, 8, 23, 24, 55, 56].map(place).into();
        assert_eq!(places, [(0, 0), (0, 7), (1, 0), (1, 15), (2, 0), (2, 31), (3, 0)]);
    }

    #[test]
    fn the_finding_page_quotes_the_bound() {
        let page = crate::finding::kind::LEVELS_UNCHANGED.cause;
        assert!(
            (500_000..550_000).contains(&MAX_VERSIONS) && page.contains("half a million"),
            "{MAX_VERSIONS}: {page}"
        );
        assert_eq!(place(MAX_VERSIONS as u32 - 1), (CHUNKS - 1, (FIRST << (CHUNKS - 1)) - 1));
        assert_eq!(place(MAX_VERSIONS as u32).0, CHUNKS, "no chunk holds it");
    }
}
