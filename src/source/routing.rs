//! The destinations of one record.

/// The destinations that accept a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Routing {
    pub(super) console: bool,
    /// The otlp destination has accepted the record.
    pub(super) otlp: bool,
    /// The debug mirror shows the record, because it passes the otlp threshold, even if that destination is off.
    pub(super) mirror: bool,
}

impl Routing {
    /// Returns whether the record has to be encoded.
    pub(super) fn needs_encoding(self) -> bool {
        self.otlp || self.mirror
    }
}
