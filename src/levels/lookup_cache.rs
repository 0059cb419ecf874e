//! A per-thread cache of level decisions, looked up by target.
//!
//! A hit costs one comparison of a short string. Each entry names the version of the levels that decided it, so a
//! change of the levels invalidates all entries at once.

use std::cell::Cell;

use log::Level;

use super::stage::Stage;
use crate::ledger::MAX_FILTER_CAUSES;

/// The decisions of all stages of records about one target, in one machine word.
///
/// Each stage has two bytes: the most verbose level that it lets through, numbered as in `log`, and the number of the
/// cause under which the records that it filters are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CachedLevels(u64);

/// The cause of a stage that has not filtered this target yet.
const NO_CAUSE: u8 = u8::MAX;
const _: () = assert!(MAX_FILTER_CAUSES <= NO_CAUSE as usize, "no cause has this number");

fn filter_shift(stage: Stage) -> u32 {
    stage as u32 * 8
}

fn cause_shift(stage: Stage) -> u32 {
    (Stage::FOR_RECORDS.len() as u32 + stage as u32) * 8
}

impl CachedLevels {
    /// Every stage lets everything through, and no cause is known.
    pub(super) const ALLOW_ALL: Self = Self(u64::MAX);

    #[inline]
    const fn byte(self, shift: u32) -> u8 {
        (self.0 >> shift) as u8
    }

    fn with_byte(self, shift: u32, value: u8) -> Self {
        Self(self.0 & !(0xff << shift) | u64::from(value) << shift)
    }

    pub(super) fn with_filter(self, stage: Stage, filter: log::LevelFilter) -> Self {
        self.with_byte(filter_shift(stage), filter as u8)
    }

    pub(super) fn with_cause(self, stage: Stage, cause: u8) -> Self {
        self.with_byte(cause_shift(stage), cause)
    }

    /// Returns whether this stage lets a record of this level through. The stage must be one of [`Stage::FOR_RECORDS`].
    #[inline]
    pub(crate) fn allows(self, stage: Stage, level: Level) -> bool {
        level as u8 <= self.byte(filter_shift(stage))
    }

    /// Returns the number of the cause for this stage, if it was asked for before.
    #[inline]
    pub(super) fn cause(self, stage: Stage) -> Option<u8> {
        Some(self.byte(cause_shift(stage))).filter(|cause| *cause != NO_CAUSE)
    }
}

/// Longer targets are not cached.
const MAX_TARGET: usize = 62;
/// The cache has two to this power sets of two entries.
const SET_BITS: u32 = 6;

/// One cached decision. It has cells and neither lock nor flag, because a hit must not write.
struct Entry {
    /// Names the pipeline and the version of its levels; 0 if the entry is empty.
    version: Cell<u64>,
    levels: Cell<CachedLevels>,
    length: Cell<u8>,
    /// The result of [`ends`].
    ends: Cell<(u128, u128)>,
    text: Cell<[u8; MAX_TARGET]>,
}

/// Returns the first and the last bytes of a text of 8 to 32 bytes, which together cover all of it.
///
/// Comparing them is faster than a call of `memcmp`.
#[inline]
fn ends(text: &[u8]) -> Option<(u128, u128)> {
    match text.len() {
        16..=32 => Some((u128::from_ne_bytes(*text.first_chunk()?), u128::from_ne_bytes(*text.last_chunk()?))),
        8..=15 => {
            let [first, last] = [text.first_chunk()?, text.last_chunk()?].map(|part| u64::from_ne_bytes(*part));
            Some((first.into(), last.into()))
        }
        _ => None,
    }
}

impl Entry {
    const fn empty() -> Self {
        Self {
            version: Cell::new(0),
            levels: Cell::new(CachedLevels::ALLOW_ALL),
            length: Cell::new(0),
            ends: Cell::new((0, 0)),
            text: Cell::new([0; MAX_TARGET]),
        }
    }

    #[inline]
    fn is_of(&self, target: &[u8]) -> bool {
        usize::from(self.length.get()) == target.len()
            && match ends(target) {
                Some(ends) => self.ends.get() == ends,
                None => self.text.get().get(..target.len()) == Some(target),
            }
    }

    #[inline]
    fn get(&self, version: u64, target: &str) -> Option<CachedLevels> {
        (self.version.get() == version && self.is_of(target.as_bytes())).then(|| self.levels.get())
    }

    fn copy_from(&self, other: &Self) {
        self.text.set(other.text.get());
        self.ends.set(other.ends.get());
        self.length.set(other.length.get());
        self.levels.set(other.levels.get());
        self.version.set(other.version.get());
    }

    /// Replaces the entry, unless the target is too long.
    fn set(&self, version: u64, target: &[u8], levels: CachedLevels) {
        let mut text = [0; MAX_TARGET];
        let Some(prefix) = text.get_mut(..target.len()) else { return };
        prefix.copy_from_slice(target);
        self.text.set(text);
        self.ends.set(ends(target).unwrap_or_default());
        self.length.set(target.len() as u8);
        self.levels.set(levels);
        self.version.set(version);
    }
}

thread_local! {
    /// Has no destructor, so that it works while the thread ends.
    static CACHE: [[Entry; 2]; 1 << SET_BITS] = const { [const { [const { Entry::empty() }; 2] }; 1 << SET_BITS] };
}

/// Returns the set of a target, by its address: most calls pass a literal, whose address stays the same.
///
/// Literals lie side by side, so each bit of the address counts.
#[inline]
fn set_of(target: &str) -> usize {
    ((target.as_ptr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - SET_BITS)) as usize
}

/// Returns the entry that was inserted last into the set of this target, if it matches.
#[inline]
pub(super) fn get_newest(version: u64, target: &str) -> Option<CachedLevels> {
    let found = CACHE.try_with(|cache| {
        let [newest, _] = cache.get(set_of(target))?;
        newest.get(version, target)
    });
    found.ok().flatten()
}

/// Returns the other entry of the set, if it matches.
pub(super) fn get_older(version: u64, target: &str) -> Option<CachedLevels> {
    let found = CACHE.try_with(|cache| {
        let [_, older] = cache.get(set_of(target))?;
        older.get(version, target)
    });
    found.ok().flatten()
}

/// Inserts the decisions about a target. In a full set they evict the older entry.
pub(super) fn insert(version: u64, target: &str, levels: CachedLevels) {
    let _thread_is_ending = CACHE.try_with(|cache| {
        if let Some([newest, older]) = cache.get(set_of(target)) {
            if !newest.is_of(target.as_bytes()) {
                older.copy_from(newest);
            }
            newest.set(version, target.as_bytes(), levels);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::LevelFilter;

    #[test]
    fn filters_and_causes_of_the_stages_do_not_overlap() {
        let levels = Stage::FOR_RECORDS.iter().fold(CachedLevels::ALLOW_ALL, |levels, stage| {
            levels.with_filter(*stage, LevelFilter::Warn).with_cause(*stage, 7 + *stage as u8)
        });
        for stage in Stage::FOR_RECORDS {
            assert!(levels.allows(stage, Level::Warn) && !levels.allows(stage, Level::Info), "{stage}");
            assert_eq!(levels.cause(stage), Some(7 + stage as u8));
            assert_eq!(CachedLevels::ALLOW_ALL.cause(stage), None);
        }
    }

    #[test]
    fn entries_of_every_length_match_only_their_own_target() {
        for length in 0..MAX_TARGET + 3 {
            let text = "x".repeat(length);
            for place in 0..length {
                let mut other = text.clone();
                other.replace_range(place..=place, "y");
                let entry = Entry::empty();
                entry.set(1, text.as_bytes(), CachedLevels::ALLOW_ALL);
                assert!(!entry.is_of(other.as_bytes()), "{length}, {place}");
                assert!(entry.is_of(text.as_bytes()) || length > MAX_TARGET);
            }
        }
    }
}
