//! The OTLP messages as tables of their fields, for checks before a request is decoded: how much memory its items will
//! need, and which OTLP/JSON keys are known.

use super::wire::Content;

/// A message type of OTLP.
#[derive(Debug)]
pub(super) struct Schema {
    /// The approximate memory, in bytes, of an empty message: decoded, and as a received item.
    pub(super) memory: u64,
    pub(super) fields: &'static [Field],
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u64,
    pub(super) name: &'static str,
    pub(super) kind: FieldKind,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum FieldKind {
    /// A text or number. It needs about as much memory as it has bytes on the wire.
    Plain,
    /// Repeated texts. Each needs this many bytes of memory, even if it is empty.
    Repeated(u64),
    /// Packed numbers. Each byte on the wire needs up to this many bytes of memory.
    Packed(u64),
    Message(&'static Schema),
}

impl Schema {
    /// Returns the schema of the export request for this signal.
    pub(super) fn of_request(content: Content) -> &'static Self {
        match content {
            Content::Logs => &LOGS_REQUEST,
            Content::Traces => &TRACES_REQUEST,
            Content::Metrics => &METRICS_REQUEST,
        }
    }

    pub(super) fn field_by_number(&self, number: u64) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.number == number)
    }

    /// Returns the field that this JSON key stands for, ignoring case and underscores.
    pub(super) fn field_by_key(&self, key: &str) -> Option<&'static Field> {
        let letters = || key.chars().filter(|letter| *letter != '_').map(|letter| letter.to_ascii_lowercase());
        self.fields.iter().find(|field| field.name.chars().map(|letter| letter.to_ascii_lowercase()).eq(letters()))
    }
}

const fn plain(number: u64, name: &'static str) -> Field {
    Field { number, name, kind: FieldKind::Plain }
}

const fn message(number: u64, name: &'static str, message: &'static Schema) -> Field {
    Field { number, name, kind: FieldKind::Message(message) }
}

static LOGS_REQUEST: Schema = Schema { memory: 0, fields: &[message(1, "resourceLogs", &RESOURCE_LOGS)] };

static RESOURCE_LOGS: Schema = Schema {
    memory: 512,
    fields: &[message(1, "resource", &RESOURCE), message(2, "scopeLogs", &SCOPE_LOGS), plain(3, "schemaUrl")],
};

static SCOPE_LOGS: Schema = Schema {
    memory: 512,
    fields: &[message(1, "scope", &SCOPE), message(2, "logRecords", &LOG_RECORD), plain(3, "schemaUrl")],
};

static LOG_RECORD: Schema = Schema {
    memory: 1024,
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

static TRACES_REQUEST: Schema = Schema { memory: 0, fields: &[message(1, "resourceSpans", &RESOURCE_SPANS)] };

static RESOURCE_SPANS: Schema = Schema {
    memory: 512,
    fields: &[message(1, "resource", &RESOURCE), message(2, "scopeSpans", &SCOPE_SPANS), plain(3, "schemaUrl")],
};

static SCOPE_SPANS: Schema =
    Schema { memory: 512, fields: &[message(1, "scope", &SCOPE), message(2, "spans", &SPAN), plain(3, "schemaUrl")] };

static SPAN: Schema = Schema {
    memory: 2048,
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

static SPAN_EVENT: Schema = Schema {
    memory: 384,
    fields: &[
        plain(1, "timeUnixNano"),
        plain(2, "name"),
        message(3, "attributes", &KEY_VALUE),
        plain(4, "droppedAttributesCount"),
    ],
};

static SPAN_LINK: Schema = Schema {
    memory: 512,
    fields: &[
        plain(1, "traceId"),
        plain(2, "spanId"),
        plain(3, "traceState"),
        message(4, "attributes", &KEY_VALUE),
        plain(5, "droppedAttributesCount"),
        plain(6, "flags"),
    ],
};

static STATUS: Schema = Schema { memory: 0, fields: &[plain(2, "message"), plain(3, "code")] };

static METRICS_REQUEST: Schema = Schema { memory: 0, fields: &[message(1, "resourceMetrics", &RESOURCE_METRICS)] };

static RESOURCE_METRICS: Schema = Schema {
    memory: 512,
    fields: &[message(1, "resource", &RESOURCE), message(2, "scopeMetrics", &SCOPE_METRICS), plain(3, "schemaUrl")],
};

static SCOPE_METRICS: Schema = Schema {
    memory: 512,
    fields: &[message(1, "scope", &SCOPE), message(2, "metrics", &METRIC), plain(3, "schemaUrl")],
};

static METRIC: Schema = Schema {
    memory: 512,
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

static GAUGE: Schema = Schema { memory: 0, fields: &[message(1, "dataPoints", &NUMBER_POINT)] };

static SUM: Schema = Schema {
    memory: 0,
    fields: &[message(1, "dataPoints", &NUMBER_POINT), plain(2, "aggregationTemporality"), plain(3, "isMonotonic")],
};

static HISTOGRAM: Schema =
    Schema { memory: 0, fields: &[message(1, "dataPoints", &HISTOGRAM_POINT), plain(2, "aggregationTemporality")] };

static EXPONENTIAL_HISTOGRAM: Schema =
    Schema { memory: 0, fields: &[message(1, "dataPoints", &EXPONENTIAL_POINT), plain(2, "aggregationTemporality")] };

static SUMMARY: Schema = Schema { memory: 0, fields: &[message(1, "dataPoints", &SUMMARY_POINT)] };

static NUMBER_POINT: Schema = Schema {
    memory: 1024,
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

static HISTOGRAM_POINT: Schema = Schema {
    memory: 1024,
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

static EXPONENTIAL_POINT: Schema = Schema {
    memory: 1024,
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

static BUCKETS: Schema = Schema {
    memory: 0,
    fields: &[plain(1, "offset"), Field { number: 2, name: "bucketCounts", kind: FieldKind::Packed(16) }],
};

static SUMMARY_POINT: Schema = Schema {
    memory: 1024,
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

/// Its memory includes the text that shows it.
static QUANTILE: Schema = Schema { memory: 96, fields: &[plain(1, "quantile"), plain(2, "value")] };

static EXEMPLAR: Schema = Schema {
    memory: 256,
    fields: &[
        plain(2, "timeUnixNano"),
        plain(3, "asDouble"),
        plain(4, "spanId"),
        plain(5, "traceId"),
        plain(6, "asInt"),
        message(7, "filteredAttributes", &KEY_VALUE),
    ],
};

static RESOURCE: Schema = Schema {
    memory: 0,
    fields: &[
        message(1, "attributes", &KEY_VALUE),
        plain(2, "droppedAttributesCount"),
        message(3, "entityRefs", &ENTITY_REF),
    ],
};

static ENTITY_REF: Schema = Schema {
    memory: 256,
    fields: &[
        plain(1, "schemaUrl"),
        plain(2, "type"),
        Field { number: 3, name: "idKeys", kind: FieldKind::Repeated(64) },
        Field { number: 4, name: "descriptionKeys", kind: FieldKind::Repeated(64) },
    ],
};

static SCOPE: Schema = Schema {
    memory: 0,
    fields: &[
        plain(1, "name"),
        plain(2, "version"),
        message(3, "attributes", &KEY_VALUE),
        plain(4, "droppedAttributesCount"),
    ],
};

static KEY_VALUE: Schema =
    Schema { memory: 256, fields: &[plain(1, "key"), message(2, "value", &ANY_VALUE), plain(3, "keyStrindex")] };

/// The value of a [`KEY_VALUE`], whose memory includes it, or the body of a record.
static ANY_VALUE: Schema = Schema {
    memory: 0,
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

static ARRAY: Schema = Schema { memory: 0, fields: &[message(1, "values", &ELEMENT)] };

static ELEMENT: Schema = Schema { memory: 160, fields: ANY_VALUE.fields };

static KEY_VALUE_LIST: Schema = Schema { memory: 0, fields: &[message(1, "values", &KEY_VALUE)] };
