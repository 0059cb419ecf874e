//! The causes of filtered records: a target at a stage, and the directive that decided. Each has a small number, under
//! which the ledger counts.

use std::collections::HashMap;
use std::sync::Mutex;

use super::stage::Stage;
use crate::ledger::MAX_FILTER_CAUSES;

/// Why a record was filtered.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct FilterCause {
    pub(crate) stage: Stage,
    pub(crate) target: String,
    /// The directive that decided, as text.
    pub(crate) by: String,
}

/// The causes that occurred so far, with their numbers.
#[derive(Debug, Default)]
pub(crate) struct FilterCauses {
    causes: Mutex<Causes>,
}

#[derive(Debug, Default)]
struct Causes {
    numbers: HashMap<FilterCause, u8>,
    /// The cause with number 1 comes first.
    by_number: Vec<FilterCause>,
}

impl FilterCauses {
    /// The number of all causes that came after the last free number.
    pub(crate) const OTHERS: u8 = 0;

    /// Returns the number of a cause, or `None` if the lock is held. In a forked child it may be held forever.
    pub(crate) fn number(&self, stage: Stage, target: &str, by: impl FnOnce() -> String) -> Option<u8> {
        let cause = FilterCause { stage, target: target.to_owned(), by: by() };
        let mut causes = self.causes.try_lock().ok()?;
        if let Some(number) = causes.numbers.get(&cause) {
            return Some(*number);
        }
        if causes.by_number.len() + 1 >= MAX_FILTER_CAUSES {
            return Some(Self::OTHERS);
        }
        causes.by_number.push(cause.clone());
        let number = causes.by_number.len() as u8;
        causes.numbers.insert(cause, number);
        Some(number)
    }

    /// Returns all causes, from number 1 on. Returns none if the lock stays held, as it may in a forked child.
    pub(crate) fn all(&self) -> Vec<FilterCause> {
        for _ in 0..1_000 {
            if let Ok(causes) = self.causes.try_lock() {
                return causes.by_number.clone();
            }
            std::thread::yield_now();
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_bounded_and_never_change() {
        let causes = FilterCauses::default();
        let number = |target: &str| causes.number(Stage::Module, target, || "RUST_LOG: WARN".to_owned());
        assert_eq!((number("a"), number("b"), number("a")), (Some(1), Some(2), Some(1)));
        assert_eq!(causes.number(Stage::Otlp, "a", String::new), Some(3));
        for target in 0..1_000 {
            assert!(number(&target.to_string()).is_some_and(|number| usize::from(number) < MAX_FILTER_CAUSES));
        }
        assert_eq!(number("late"), Some(FilterCauses::OTHERS));
        assert_eq!(causes.all().len(), MAX_FILTER_CAUSES - 1);
    }
}
