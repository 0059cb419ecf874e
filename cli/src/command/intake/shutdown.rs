//! The signals that ask the command to shut down.

use std::future::Future;
use std::io;

/// Returns a future that completes on SIGINT (^C) or SIGTERM. From this call on, they no longer end the process.
///
/// # Errors
///
/// Returns an error if the signals cannot be received.
#[cfg(unix)]
pub(in crate::command) fn shutdown_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(std::future::poll_fn(move |context| {
        if interrupt.poll_recv(context).is_ready() || terminate.poll_recv(context).is_ready() {
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    }))
}

/// Returns a future that completes on ^C.
#[cfg(not(unix))]
pub(in crate::command) fn shutdown_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    })
}
