//! The service that knows how much of each item is left, from a database.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use logbridge_http::ServerLayer;
use serde::{Deserialize, Serialize};
use sqlx::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;

use crate::{Error, until_closed};

const SCHEMA: &str = "
    CREATE TABLE items (name TEXT PRIMARY KEY, left INTEGER NOT NULL CHECK (left >= 0));
    INSERT INTO items VALUES ('tea', 1000000), ('teapot', 3);
";

#[derive(Deserialize)]
struct Reservation {
    quantity: u32,
}

#[derive(Serialize)]
struct Answer {
    reserved: bool,
    left: i64,
}

pub async fn serve() -> Result<(), Error> {
    logbridge::init();

    // Each connection to `:memory:` has a database of its own, so the pool has one connection.
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
    sqlx::raw_sql(SCHEMA).execute(&pool).await?;

    let app =
        Router::new().route("/items/{name}/reservations", post(reserve)).layer(ServerLayer::new()).with_state(pool);
    until_closed::serve(app).await
}

async fn reserve(
    State(pool): State<SqlitePool>,
    Path(name): Path<String>,
    Json(Reservation { quantity }): Json<Reservation>,
) -> Result<(StatusCode, Json<Answer>), StatusCode> {
    let answer = update(&pool, &name, quantity).await.map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, name, "the database failed");
        StatusCode::INTERNAL_SERVER_ERROR
    })?;
    log::info!(name, quantity, left = answer.left, reserved = answer.reserved; "looked at the stock");
    let status = if answer.reserved { StatusCode::OK } else { StatusCode::CONFLICT };
    Ok((status, Json(answer)))
}

/// sqlx runs these statements on a thread of its own, and logs them there, inside the caller's span.
#[tracing::instrument(skip(pool), err)]
async fn update(pool: &SqlitePool, name: &str, quantity: u32) -> Result<Answer, sqlx::Error> {
    let updated = sqlx::query("UPDATE items SET left = left - ?2 WHERE name = ?1 AND left >= ?2")
        .bind(name)
        .bind(quantity)
        .execute(pool)
        .await?;
    let left = sqlx::query_scalar("SELECT left FROM items WHERE name = ?").bind(name).fetch_optional(pool).await?;
    Ok(Answer { reserved: updated.rows_affected() > 0, left: left.unwrap_or_default() })
}
