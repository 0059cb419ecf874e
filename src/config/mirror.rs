//! The debug mirror setting.

/// The format of the debug mirror, which prints each record and span on stdout as it will be exported.
///
/// Set by [`Builder::mirror`](crate::Builder::mirror).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Mirror {
    /// Prints nothing. The default.
    #[default]
    Off,
    /// Prints one readable line per record or span.
    Text,
    /// Prints one line of OTLP/JSON per record or span, which a collector's file receiver can read.
    Json,
}

impl Mirror {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}
