//! Reads the retry delay from the details of a gRPC status.

use std::time::Duration;

use super::schema::{any, duration, retry_info, rpc_status};
use super::wire::{Reader, repeated};

/// The longest delay that is accepted, as for `Retry-After`.
const MAX_DELAY: Duration = Duration::from_secs(3600);

/// Returns the delay of the `google.rpc.RetryInfo` in an encoded `google.rpc.Status`, if there is one. It is at most an
/// hour.
pub(crate) fn read_retry_info(status: &[u8]) -> Option<Duration> {
    let detail = repeated(status, rpc_status::DETAILS).find(|detail| {
        repeated(detail.bytes(), any::TYPE_URL).any(|url| url.text().ends_with("/google.rpc.RetryInfo"))
    })?;
    let (mut seconds, mut nanos) = (0, 0);
    for info in repeated(detail.bytes(), any::VALUE) {
        for delay in repeated(info.bytes(), retry_info::RETRY_DELAY) {
            for (field, value) in Reader::new(delay.bytes()) {
                match field {
                    duration::SECONDS => seconds = u64::try_from(value.number() as i64).unwrap_or(0),
                    duration::NANOS => nanos = u32::try_from(value.number()).unwrap_or(0),
                    _ => {}
                }
            }
        }
    }
    // Clamped before they are added, since `Duration::new` panics on overflow.
    Some(Duration::new(seconds.min(MAX_DELAY.as_secs()), nanos.min(999_999_999)).min(MAX_DELAY))
}
