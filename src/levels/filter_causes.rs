//! Names for what is cut: a target at a stage, and the directive that decided, under a small number each. The counts are
//! the ledger's.

use std::collections::HashMap;
use std::sync::Mutex;

use super::stage::Stage;
use crate::ledger::MAX_FILTER_CAUSES;

/// What a number stands for.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct FilterCause {
    pub(crate) stage: Stage,
    pub(crate) target: String,
    /// The directive that decided, in words.
    pub(crate) by: String,
}

#[derive(Debug, Default)]
pub(crate) struct FilterCauses {
    names: Mutex<Names>,
}

#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<FilterCause, u8>,
    /// From number 1 on.
    names: Vec<FilterCause>,
}

impl FilterCauses {
    /// All that found no number of their own.
    pub(crate) const OTHERS: u8 = 0;
    /// Not asked for yet.
    pub(crate) const UNKNOWN: u8 = u8::MAX;

    /// The number of a name; `None` where the lock is held, which may be for ever in a forked child.
    pub(crate) fn number(&self, stage: Stage, target: &str, by: impl FnOnce() -> String) -> Option<u8> {
        let name = FilterCause { stage, target: target.to_owned(), by: by() };
        let mut names = self.names.try_lock().ok()?;
        if let Some(number) = names.numbers.get(&name) {
            return Some(*number);
        }
        if names.names.len() + 1 >= MAX_FILTER_CAUSES {
            return Some(Self::OTHERS);
        }
        names.names.push(name.clone());
        let number = names.names.len() as u8;
        names.numbers.insert(name, number);
        Some(number)
    }

    /// All names, from number 1 on. None where the lock is held for long, as it may be for ever in a forked child.
    pub(crate) fn names(&self) -> Vec<FilterCause> {
        for _ in 0..1_000 {
            if let Ok(names) = self.names.try_lock() {
                return names.names.clone();
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
    fn numbers_are_few_and_stay() {
        let causes = FilterCauses::default();
        let number = |target: &str| causes.number(Stage::Module, target, || "RUST_LOG: WARN".to_owned());
        assert_eq!((number("a"), number("b"), number("a")), (Some(1), Some(2), Some(1)));
        assert_eq!(causes.number(Stage::Otlp, "a", String::new), Some(3));
        for target in 0..1_000 {
            assert!(number(&target.to_string()).is_some_and(|number| usize::from(number) < MAX_FILTER_CAUSES));
        }
        assert_eq!(number("late"), Some(FilterCauses::OTHERS));
        assert_eq!(causes.names().len(), MAX_FILTER_CAUSES - 1);
    }
}
