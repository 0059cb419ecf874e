//! Whether a call must wake the exporter thread.

/// Tells the caller whether to wake the exporter thread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "the exporter thread sleeps until it is woken"]
pub(crate) enum Wake {
    No,
    Yes,
}

impl From<bool> for Wake {
    fn from(wake: bool) -> Self {
        if wake { Self::Yes } else { Self::No }
    }
}
