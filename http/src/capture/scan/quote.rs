//! Quotes around names and values.

/// Quotes as they are written in HTML.
pub(super) const QUOTE_ENTITIES: [&str; 4] = ["&quot;", "&#34;", "&#39;", "&apos;"];

pub(super) fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}
