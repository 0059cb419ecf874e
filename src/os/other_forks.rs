//! Fork detection on platforms without forks.

pub(super) fn fork_generation() -> u64 {
    0
}

pub(super) fn fork_salt() -> [u8; 16] {
    [0; 16]
}

pub(super) fn watch_forks() {}

pub(super) fn without_forks<T>(run: impl FnOnce() -> T) -> T {
    run()
}
