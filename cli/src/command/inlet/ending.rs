//! When to end.

use std::future::Future;
use std::io;

/// Ends when somebody presses ^C, or asks the process to end (SIGTERM). From the moment of this call neither ends it by
/// itself.
///
/// # Errors
///
/// Where that cannot be listened to.
#[cfg(unix)]
pub(in crate::command) fn asked_to_end() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(std::future::poll_fn(move |context| {
        if interrupt.poll_recv(context).is_ready() || terminate.poll_recv(context).is_ready() {
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    }))
}

/// Ends when somebody presses ^C.
#[cfg(not(unix))]
pub(in crate::command) fn asked_to_end() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    })
}
