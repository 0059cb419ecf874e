//! Default and minimum values of settings, each with its reason.

use std::time::Duration;

/// Holds a typical JSON document, and keeps a span with two bodies small.
pub(crate) const CAPTURED_BODY: usize = 8 << 10;
/// Long enough for a slow collector, short enough not to look like a hang when a program ends.
pub(crate) const EXIT_TIMEOUT: Duration = Duration::from_secs(3);
/// Holds about a quarter of a million records.
pub(crate) const MAX_BYTES: usize = 64 << 20;
/// The default limit of gRPC servers, which every receiver accepts.
pub(crate) const MAX_REQUEST: usize = 4 << 20;
/// Below this, most requests would hold a single record.
pub(crate) const MIN_REQUEST: usize = 1 << 10;
/// Below this, a single record may not fit into a segment.
pub(crate) const MIN_BYTES: usize = 64 << 10;
/// Below this, the segments of many threads would not fit.
pub(crate) const MIN_SPOOL_BYTES: usize = 4 << 20;
/// More frequent syncing would keep the disk busy with nothing else.
pub(crate) const MIN_SPOOL_SYNC: Duration = Duration::from_millis(100);
/// Holds about one hour at a thousand records per second.
pub(crate) const SPOOL_BYTES: usize = 1 << 30;
/// The specification's default for a batch log record processor.
pub(crate) const SCHEDULE_DELAY: Duration = Duration::from_secs(1);
/// The specification's default number of spans per export.
pub(crate) const SPAN_BATCH: usize = 512;
/// The specification's default for a batch span processor.
pub(crate) const SPAN_DELAY: Duration = Duration::from_secs(5);
/// The specification's 2048 is filled by one busy second of a service. Further spans would be lost, and records in them
/// would refer to spans that do not exist. A full queue takes about 16 MiB.
pub(crate) const SPAN_QUEUE: usize = 16_384;
/// The specification's default for an OTLP exporter.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
