//! The outbox: accepted records and ended spans that wait for the exporter thread.
//!
//! Encoded records are in an [`Outbox`], which is sharded by thread and bounded in bytes. Spans are in a [`SpanQueue`],
//! which is bounded by number.
//!
//! Constraints:
//! * A record is encoded before any lock is taken. Under a shard's lock it is only copied.
//! * Under a lock nothing is allocated or freed, no file is created, and no application code runs. A global allocator
//!   may log, and its log call would wait for the same lock. Missing memory is allocated outside, and the lock is taken
//!   again. Tests check this (`sync::lock`).
//! * A shard has two lanes: WARN and above, and below WARN. So an overload policy can drop whole segments of the less
//!   severe lane without compacting.
//! * Order: a thread always writes to the same shard. Each frame has a sequence number across both lanes. Both lanes
//!   leave the shard together, as one group, in the order in which the groups were begun. From this, the exporter
//!   thread restores the order in which a thread logged its records.
//! * Memory is bounded: all segments together, free ones included, never exceed the bound.
//! * The exporter thread takes sealed groups only for the request it is about to send. The others stay here, where an
//!   overload policy may drop their segments. Groups are numbered, because they do not always leave in order.
//! * All locks are std locks. A forked child never uses them, because it starts its own outbox.
//! * Only the first record after an idle period and a full segment wake the exporter thread.

mod append;
mod block;
mod block_pool;
mod frame;
mod losses;
mod maintenance;
mod open_group;
mod overload;
mod records;
mod sealed_groups;
mod segment;
mod space_waiters;
mod spans;
mod spool;
mod sync;
mod wake;

pub(crate) use frame::FrameBuffer;
pub(crate) use losses::Loss;
pub(crate) use overload::Refused;
pub(crate) use records::Outbox;
pub(crate) use segment::{Group, InOrder, Offsets, Segment};
pub(crate) use spans::{PushResult, SpanQueue};
pub use spool::Ending;
pub use spool::survey;
pub(crate) use spool::{RecoveredRun, RecoveredSegment, RunScanner, ScanResult, SkippedFile, Spool};
pub(crate) use wake::Wake;

#[cfg(all(test, logbridge_loom))]
mod loom_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
#[path = "tests.rs"]
pub(super) mod tests;
