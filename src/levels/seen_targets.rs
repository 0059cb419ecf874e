//! The targets of records that this process has logged, for findings about directives that match none of them.

use std::collections::BTreeSet;
use std::sync::Mutex;

const MAX_TARGETS: usize = 1_024;

/// A bounded set of targets.
#[derive(Debug, Default)]
pub(super) struct SeenTargets {
    targets: Mutex<BTreeSet<String>>,
}

impl SeenTargets {
    /// Adds a target, unless the lock is held. In a forked child it may be held forever.
    pub(super) fn insert(&self, target: &str) {
        if let Ok(mut targets) = self.targets.try_lock()
            && targets.len() < MAX_TARGETS
            && !targets.contains(target)
        {
            targets.insert(target.to_owned());
        }
    }

    pub(super) fn all(&self) -> BTreeSet<String> {
        self.targets.try_lock().map(|targets| targets.clone()).unwrap_or_default()
    }
}
