//! Runs a service until the program that started it closes its standard input, or ends.

use axum::Router;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::Error;

/// Serves on a free port, and prints the URL as the first line of stdout.
pub async fn serve(app: Router) -> Result<(), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("http://{address}");
    log::info!(address:%; "listening");
    axum::serve(listener, app).with_graceful_shutdown(stdin_closed()).await?;
    Ok(())
}

async fn stdin_closed() {
    // An error means that it is closed, too.
    let _bytes = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
    log::info!("stopping");
}
