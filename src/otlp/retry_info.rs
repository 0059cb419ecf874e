//! When to come back, as a gRPC server says it.

use std::time::Duration;

use super::wire::Reader;

/// How long to wait, where the details of a gRPC status (`google.rpc.Status`) have a `google.rpc.RetryInfo`.
pub(crate) fn read_retry_info(details: &[u8]) -> Option<Duration> {
    let (_, any) = Reader::new(details).filter(|(field, _)| *field == 3).find(|(_, any)| {
        Reader::new(any.bytes()).any(|(field, url)| field == 1 && url.text().ends_with("/google.rpc.RetryInfo"))
    })?;
    let mut delay = (0, 0);
    for (_, info) in Reader::new(any.bytes()).filter(|(field, _)| *field == 2) {
        for (_, duration) in Reader::new(info.bytes()).filter(|(field, _)| *field == 1) {
            for (field, value) in Reader::new(duration.bytes()) {
                match field {
                    1 => delay.0 = u64::try_from(value.number() as i64).unwrap_or(0),
                    2 => delay.1 = u32::try_from(value.number()).unwrap_or(0),
                    _ => {}
                }
            }
        }
    }
    // No longer than an hour, as with Retry-After.
    Some(Duration::new(delay.0.min(3600), delay.1.min(999_999_999)).min(Duration::from_secs(3600)))
}
