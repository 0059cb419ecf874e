//! The smallest instrumented service: `logbridge::init()`, tower-http's `TraceLayer`, and no other code for traces.
//!
//! Run it with `cargo run --manifest-path examples/shop/Cargo.toml --bin plain`. It sends itself two requests and ends.
//! `tests/plain.rs` checks that every record inside a request has the ids of an exported span.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use sqlx::SqlitePool;
use tower_http::trace::TraceLayer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    logbridge::init();

    // Each connection to `:memory:` has a database of its own, so the pool has one connection.
    let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
    sqlx::raw_sql("CREATE TABLE items (name TEXT PRIMARY KEY, count INTEGER); INSERT INTO items VALUES ('tea', 12)")
        .execute(&pool)
        .await?;

    let app = Router::new()
        .route("/items/{name}", get(item))
        .route("/proxy/{name}", get(proxy))
        .layer(TraceLayer::new_for_http());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let client = reqwest::Client::new();
    let service = app.with_state(Shop { pool, client: client.clone(), url: url.clone() });
    tokio::spawn(async move { axum::serve(listener, service).await });

    for path in ["proxy/tea", "proxy/coffee"] {
        let answer = client.get(format!("{url}/{path}")).send().await?;
        println!("{path}: {}", answer.status());
    }
    Ok(())
}

#[derive(Clone)]
struct Shop {
    pool: SqlitePool,
    client: reqwest::Client,
    url: String,
}

async fn item(State(shop): State<Shop>, Path(name): Path<String>) -> Result<Json<i64>, StatusCode> {
    log::info!(name; "looking for an item");
    let row: Option<(i64,)> =
        sqlx::query_as("SELECT count FROM items WHERE name = ?").bind(&name).fetch_optional(&shop.pool).await.map_err(
            |error| {
                log::error!(name; "the database failed: {error}");
                StatusCode::INTERNAL_SERVER_ERROR
            },
        )?;
    match row {
        Some((count,)) => Ok(Json(count)),
        None => {
            tracing::warn!(name, "no such item");
            Err(StatusCode::NOT_FOUND)
        }
    }
}

/// Asks the other route over the network, as a service asks another.
async fn proxy(State(shop): State<Shop>, Path(name): Path<String>) -> StatusCode {
    log::info!(name; "asking for an item");
    let answer = shop.client.get(format!("{}/items/{name}", shop.url)).send().await;
    let status = answer.map_or(StatusCode::BAD_GATEWAY, |answer| answer.status());
    tracing::info!(name, status = status.as_u16(), "got an answer");
    status
}
