//! An axum server with one span per request: `cargo run -p logbridge-http --example axum --features axum`, and then
//! `curl -H 'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' http://127.0.0.1:3000/orders/7`.
//!
//! `OTEL_EXPORTER_OTLP_ENDPOINT` says where spans and records go. `logbridge listen` shows them.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use logbridge_http::ServerLayer;
use tokio::net::TcpListener;

async fn order(Path(id): Path<u32>) -> String {
    log::info!(id; "order requested");
    format!("order {id}\n")
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    logbridge::builder().filter_level(logbridge::LevelFilter::Info).init();
    let app = Router::new().route("/orders/{id}", get(order)).layer(ServerLayer::new());
    axum::serve(TcpListener::bind("127.0.0.1:3000").await?, app).await
}
