//! The messages of OTLP as a table, for what has to be known of a request before it is decoded: how much memory its items
//! will take, and which keys of OTLP/JSON have a meaning.

use super::wire::Content;

/// A message.
#[derive(Debug)]
pub(super) struct Message {
    /// About how many bytes one takes in memory, decoded and as it is handed out, whatever is in it.
    pub(super) weight: u64,
    pub(super) fields: &'static [Field],
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u64,
    pub(super) name: &'static str,
    pub(super) holds: Holds,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Holds {
    /// Text, or a number: it takes about as much memory as bytes.
    Plain,
    /// Each takes so many bytes in memory, however short it is.
    Each(u64),
    /// Numbers, packed: each byte takes up to so many bytes.
    Packed(u64),
    Message(&'static Message),
}

impl Message {
    /// The message that a request is.
    pub(super) fn request(content: Content) -> &'static Self {
        match content {
            Content::Logs => &LOGS_REQUEST,
            Content::Traces => &TRACES_REQUEST,
            Content::Metrics => &METRICS_REQUEST,
        }
    }

    pub(super) fn numbered(&self, number: u64) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.number == number)
    }

    /// The field that is meant by this key, be it written as in OTLP/JSON, in snake_case or in other letters.
    pub(super) fn means(&self, key: &str) -> Option<&'static Field> {
        let letters = || key.chars().filter(|letter| *letter != '_').map(|letter| letter.to_ascii_lowercase());
        self.fields.iter().find(|field| field.name.chars().map(|letter| letter.to_ascii_lowercase()).eq(letters()))
    }
}

const fn plain(number: u64, name: &'static str) -> Field {
    Field { number, name, holds: Holds::Plain }
}

const fn message(number: u64, name: &'static str, message: &'static Message) -> Field {
    Field { number, name, holds: Holds::Message(message) }
}

static LOGS_REQUEST: Message = Message { weight: 0, fields: &[message(1, "resourceLogs", &RESOURCE_LOGS)] };

static RESOURCE_LOGS: Message = Message {
    weight: 512,
    fields: &[message(1, "resource", &RESOURCE), message(2, "scopeLogs", &SCOPE_LOGS), plain(3, "schemaUrl")],
};

static SCOPE_LOGS: Message = Message {
    weight: 512,
    fields: &[message(1, "scope", &SCOPE), message(2, "logRecords", &LOG_RECORD), plain(3, "schemaUrl")],
};

static LOG_RECORD: Message = Message {
    weight: 1024,
    fields: &[
        plain(1, "timeUnixNano"),
        plain(2, "severityNumber"),
        plain(3, "severityText"),
        message(5, "body", &ANY_VALUE),
        message(6, "attributes", &KEY_VALUE),
        plain(7, "droppedAttributesCount"),
        plain(8, "flags"),
        plain(9, "traceId"),
        plain(10, "spanId"),
        plain(11, "observedTimeUnixNano"),
        plain(12, "eventName"),
    ],
};

static TRACES_REQUEST: Message = Message { weight: 0, fields: &[message(1, "resourceSpans", &RESOURCE_SPANS)] };

static RESOURCE_SPANS: Message = Message {
    weight: 512,
    fields: &[message(1, "resource", &RESOURCE), message(2, "scopeSpans", &SCOPE_SPANS), plain(3, "schemaUrl")],
};

static SCOPE_SPANS: Message =
    Message { weight: 512, fields: &[message(1, "scope", &SCOPE), message(2, "spans", &SPAN), plain(3, "schemaUrl")] };

static SPAN: Message = Message {
    weight: 2048,
    fields: &[
        plain(1, "traceId"),
        plain(2, "spanId"),
        plain(3, "traceState"),
        plain(4, "parentSpanId"),
        plain(5, "name"),
        plain(6, "kind"),
        plain(7, "startTimeUnixNano"),
        plain(8, "endTimeUnixNano"),
        message(9, "attributes", &KEY_VALUE),
        plain(10, "droppedAttributesCount"),
        message(11, "events", &SPAN_EVENT),
        plain(12, "droppedEventsCount"),
        message(13, "links", &SPAN_LINK),
        plain(14, "droppedLinksCount"),
        message(15, "status", &STATUS),
        plain(16, "flags"),
    ],
};

static SPAN_EVENT: Message = Message {
    weight: 384,
    fields: &[
        plain(1, "timeUnixNano"),
        plain(2, "name"),
        message(3, "attributes", &KEY_VALUE),
        plain(4, "droppedAttributesCount"),
    ],
};

static SPAN_LINK: Message = Message {
    weight: 512,
    fields: &[
        plain(1, "traceId"),
        plain(2, "spanId"),
        plain(3, "traceState"),
        message(4, "attributes", &KEY_VALUE),
        plain(5, "droppedAttributesCount"),
        plain(6, "flags"),
    ],
};

static STATUS: Message = Message { weight: 0, fields: &[plain(2, "message"), plain(3, "code")] };

static METRICS_REQUEST: Message = Message { weight: 0, fields: &[message(1, "resourceMetrics", &RESOURCE_METRICS)] };

static RESOURCE_METRICS: Message = Message {
    weight: 512,
    fields: &[message(1, "resource", &RESOURCE), message(2, "scopeMetrics", &SCOPE_METRICS), plain(3, "schemaUrl")],
};

static SCOPE_METRICS: Message = Message {
    weight: 512,
    fields: &[message(1, "scope", &SCOPE), message(2, "metrics", &METRIC), plain(3, "schemaUrl")],
};

static METRIC: Message = Message {
    weight: 512,
    fields: &[
        plain(1, "name"),
        plain(2, "description"),
        plain(3, "unit"),
        message(5, "gauge", &GAUGE),
        message(7, "sum", &SUM),
        message(9, "histogram", &HISTOGRAM),
        message(10, "exponentialHistogram", &EXPONENTIAL_HISTOGRAM),
        message(11, "summary", &SUMMARY),
        message(12, "metadata", &KEY_VALUE),
    ],
};

static GAUGE: Message = Message { weight: 0, fields: &[message(1, "dataPoints", &NUMBER_POINT)] };

static SUM: Message = Message {
    weight: 0,
    fields: &[message(1, "dataPoints", &NUMBER_POINT), plain(2, "aggregationTemporality"), plain(3, "isMonotonic")],
};

static HISTOGRAM: Message =
    Message { weight: 0, fields: &[message(1, "dataPoints", &HISTOGRAM_POINT), plain(2, "aggregationTemporality")] };

static EXPONENTIAL_HISTOGRAM: Message =
    Message { weight: 0, fields: &[message(1, "dataPoints", &EXPONENTIAL_POINT), plain(2, "aggregationTemporality")] };

static SUMMARY: Message = Message { weight: 0, fields: &[message(1, "dataPoints", &SUMMARY_POINT)] };

static NUMBER_POINT: Message = Message {
    weight: 1024,
    fields: &[
        plain(2, "startTimeUnixNano"),
        plain(3, "timeUnixNano"),
        plain(4, "asDouble"),
        message(5, "exemplars", &EXEMPLAR),
        plain(6, "asInt"),
        message(7, "attributes", &KEY_VALUE),
        plain(8, "flags"),
    ],
};

static HISTOGRAM_POINT: Message = Message {
    weight: 1024,
    fields: &[
        plain(2, "startTimeUnixNano"),
        plain(3, "timeUnixNano"),
        plain(4, "count"),
        plain(5, "sum"),
        plain(6, "bucketCounts"),
        plain(7, "explicitBounds"),
        message(8, "exemplars", &EXEMPLAR),
        message(9, "attributes", &KEY_VALUE),
        plain(10, "flags"),
        plain(11, "min"),
        plain(12, "max"),
    ],
};

static EXPONENTIAL_POINT: Message = Message {
    weight: 1024,
    fields: &[
        message(1, "attributes", &KEY_VALUE),
        plain(2, "startTimeUnixNano"),
        plain(3, "timeUnixNano"),
        plain(4, "count"),
        plain(5, "sum"),
        plain(6, "scale"),
        plain(7, "zeroCount"),
        message(8, "positive", &BUCKETS),
        message(9, "negative", &BUCKETS),
        plain(10, "flags"),
        message(11, "exemplars", &EXEMPLAR),
        plain(12, "min"),
        plain(13, "max"),
        plain(14, "zeroThreshold"),
    ],
};

static BUCKETS: Message = Message {
    weight: 0,
    fields: &[plain(1, "offset"), Field { number: 2, name: "bucketCounts", holds: Holds::Packed(16) }],
};

static SUMMARY_POINT: Message = Message {
    weight: 1024,
    fields: &[
        plain(2, "startTimeUnixNano"),
        plain(3, "timeUnixNano"),
        plain(4, "count"),
        plain(5, "sum"),
        message(6, "quantileValues", &QUANTILE),
        message(7, "attributes", &KEY_VALUE),
        plain(8, "flags"),
    ],
};

/// Each is also some text, where it is shown.
static QUANTILE: Message = Message { weight: 96, fields: &[plain(1, "quantile"), plain(2, "value")] };

static EXEMPLAR: Message = Message {
    weight: 256,
    fields: &[
        plain(2, "timeUnixNano"),
        plain(3, "asDouble"),
        plain(4, "spanId"),
        plain(5, "traceId"),
        plain(6, "asInt"),
        message(7, "filteredAttributes", &KEY_VALUE),
    ],
};

static RESOURCE: Message = Message {
    weight: 0,
    fields: &[
        message(1, "attributes", &KEY_VALUE),
        plain(2, "droppedAttributesCount"),
        message(3, "entityRefs", &ENTITY_REF),
    ],
};

static ENTITY_REF: Message = Message {
    weight: 256,
    fields: &[
        plain(1, "schemaUrl"),
        plain(2, "type"),
        Field { number: 3, name: "idKeys", holds: Holds::Each(64) },
        Field { number: 4, name: "descriptionKeys", holds: Holds::Each(64) },
    ],
};

static SCOPE: Message = Message {
    weight: 0,
    fields: &[
        plain(1, "name"),
        plain(2, "version"),
        message(3, "attributes", &KEY_VALUE),
        plain(4, "droppedAttributesCount"),
    ],
};

static KEY_VALUE: Message =
    Message { weight: 256, fields: &[plain(1, "key"), message(2, "value", &ANY_VALUE), plain(3, "keyStrindex")] };

/// One that stands alone; that of a pair is in the pair.
static ANY_VALUE: Message = Message {
    weight: 0,
    fields: &[
        plain(1, "stringValue"),
        plain(2, "boolValue"),
        plain(3, "intValue"),
        plain(4, "doubleValue"),
        message(5, "arrayValue", &ARRAY),
        message(6, "kvlistValue", &KEY_VALUE_LIST),
        plain(7, "bytesValue"),
        plain(8, "stringValueStrindex"),
    ],
};

static ARRAY: Message = Message { weight: 0, fields: &[message(1, "values", &ELEMENT)] };

static ELEMENT: Message = Message { weight: 160, fields: ANY_VALUE.fields };

static KEY_VALUE_LIST: Message = Message { weight: 0, fields: &[message(1, "values", &KEY_VALUE)] };
