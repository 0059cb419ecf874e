//! The specification's attribute limits for records and spans.

use super::resolver::Resolver;
use crate::otlp::AttributeLimits;

impl Resolver<'_> {
    /// Resolves the attribute limits of records. Returns `None` if none is set.
    pub(super) fn limits(&mut self) -> Option<AttributeLimits> {
        let count = ["OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"];
        let length = ["OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"];
        let limits = AttributeLimits {
            count: self.optional_count("logs attributes", &count, 0),
            value_length: self.optional_count("logs value length", &length, 0),
        };
        (limits.count.is_some() || limits.value_length.is_some()).then_some(limits)
    }

    /// Resolves the maximum length of a span's text attributes, in characters. The SDK does not apply this limit
    /// itself.
    pub(super) fn span_value_length(&mut self) -> Option<usize> {
        let length = ["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"];
        self.optional_count("spans value length", &length, 0)
    }
}
