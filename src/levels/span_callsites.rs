//! The callsites of spans that the span threshold has filtered. A filtered span leaves no other trace in the process.

use std::fmt;

use log::Level;
use tracing_core::Metadata;

use crate::ledger::MAX_SPAN_CALLSITES;
use crate::os::OnceRef;

/// Spans of one target, name and level that the span threshold filters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SpansBelow {
    pub(crate) target: &'static str,
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    /// The directive that decides, as text.
    pub(crate) by: String,
    /// The number of calls that were counted.
    pub(crate) calls: u64,
}

/// A bounded list of callsites, in the order in which they were first filtered.
///
/// It takes no lock and allocates nothing, because tracing registers callsites under locks of its own.
pub(crate) struct SpanCallsites {
    slots: [OnceRef<Metadata<'static>>; MAX_SPAN_CALLSITES],
}

impl SpanCallsites {
    pub(super) const fn new() -> Self {
        Self { slots: [const { OnceRef::new() }; MAX_SPAN_CALLSITES] }
    }

    /// Adds a callsite, unless it is known or the list is full.
    pub(crate) fn note(&self, callsite: &'static Metadata<'static>) {
        let same = |known: &Metadata<'_>| known.callsite() == callsite.callsite();
        for slot in &self.slots {
            match slot.get() {
                Some(known) if same(known) => return,
                Some(_) => {}
                // Another thread may have been first, with the same callsite.
                None if slot.set(callsite) || slot.get().is_some_and(same) => return,
                None => {}
            }
        }
    }

    /// Returns the number of a callsite that was noted.
    pub(crate) fn number(&self, callsite: &Metadata<'_>) -> Option<usize> {
        let known = self.slots.iter().map_while(OnceRef::get);
        known.enumerate().find(|(_, known)| known.callsite() == callsite.callsite()).map(|(number, _)| number)
    }

    /// Returns all callsites by their number.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'static Metadata<'static>> {
        self.slots.iter().map_while(OnceRef::get)
    }
}

impl fmt::Debug for SpanCallsites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all().map(Metadata::name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use tracing_core::field::FieldSet;
    use tracing_core::metadata::Kind;
    use tracing_core::subscriber::Interest;
    use tracing_core::{Callsite, Level, identify_callsite};

    use super::*;

    /// Not of size 0, so that each one has an address of its own.
    struct Site {
        _byte: u8,
    }

    impl Callsite for Site {
        fn set_interest(&self, _interest: Interest) {}

        fn metadata(&self) -> &Metadata<'_> {
            unreachable!("not registered")
        }
    }

    /// Metadata of a callsite that differs from all others.
    fn callsite(_number: usize) -> &'static Metadata<'static> {
        let site: &'static Site = Box::leak(Box::new(Site { _byte: 0 }));
        let fields = FieldSet::new(&[], identify_callsite!(site));
        Box::leak(Box::new(Metadata::new("span", "app", Level::DEBUG, None, None, None, fields, Kind::SPAN)))
    }

    #[test]
    fn callsites_are_noted_once_and_up_to_a_bound() {
        let callsites = SpanCallsites::new();
        let all: Vec<_> = (0..MAX_SPAN_CALLSITES + 3).map(callsite).collect();
        for _ in 0..2 {
            all.iter().for_each(|callsite| callsites.note(callsite));
        }
        assert_eq!(callsites.all().count(), MAX_SPAN_CALLSITES);
        assert_eq!(callsites.number(all[7]), Some(7));
        assert_eq!(callsites.number(all[MAX_SPAN_CALLSITES]), None);
    }

    #[test]
    fn threads_note_a_callsite_once() {
        let callsites = SpanCallsites::new();
        let all: Vec<_> = (0..20).map(callsite).collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| all.iter().for_each(|callsite| callsites.note(callsite)));
            }
        });
        assert_eq!(callsites.all().count(), all.len());
    }
}
