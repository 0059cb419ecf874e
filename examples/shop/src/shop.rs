//! The service that customers talk to: takes orders, reserves items at the other service, and leaves the rest to the
//! worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use logbridge_http::{ReqwestMiddleware, ServerLayer, UrlTemplate};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use serde::{Deserialize, Serialize};

use crate::worker::{Queue, Worker};
use crate::{Error, until_closed};

#[derive(Deserialize)]
struct Order {
    customer: String,
    /// Never logged, and redacted in captured bodies.
    #[expect(dead_code, reason = "a real shop would check it")]
    password: String,
    item: String,
    quantity: u32,
}

#[derive(Serialize)]
struct Placed {
    order: u64,
}

struct Shop {
    client: ClientWithMiddleware,
    stock_url: String,
    queue: Queue,
    orders: AtomicU64,
}

pub async fn serve(stock_url: &str) -> Result<(), Error> {
    logbridge::init();

    // Each request that this client sends is a span, and carries the trace to the other service.
    let client = ClientBuilder::new(reqwest::Client::new()).with(ReqwestMiddleware::new()).build();
    let (queue, worker) = Worker::start();
    let shop = Shop { client, stock_url: stock_url.to_owned(), queue, orders: AtomicU64::new(1000) };

    // Each request that this service receives is a span. `layer` comes after the routes that it wraps.
    let app = Router::new().route("/orders", post(place_order)).layer(ServerLayer::new()).with_state(Arc::new(shop));
    until_closed::serve(app).await?;
    // The service is gone, and with it the queue: the worker finishes what it has, and ends.
    worker.finish().await
}

async fn place_order(State(shop): State<Arc<Shop>>, Json(order): Json<Order>) -> Result<Json<Placed>, StatusCode> {
    let Order { customer, item, quantity, .. } = &order;
    log::info!(customer, item, quantity; "order received");
    shop.reserve(item, *quantity).await?;
    let number = shop.orders.fetch_add(1, Ordering::Relaxed) + 1;
    shop.queue.push(number);
    tracing::info!(order = number, "order placed");
    Ok(Json(Placed { order: number }))
}

impl Shop {
    async fn reserve(&self, item: &str, quantity: u32) -> Result<(), StatusCode> {
        let url = format!("{}/items/{item}/reservations", self.stock_url);
        let request = self.client.post(url).json(&serde_json::json!({ "quantity": quantity }));
        // Names the span. Without it, the name is the method, because a path with values would name each item apart.
        let answer = request.with_extension(UrlTemplate::new("/items/{name}/reservations")).send().await;
        let (status, answer) = match answer {
            Ok(response) => (response.status(), response.text().await.unwrap_or_default()),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, item, "the stock service does not answer");
                return Err(StatusCode::BAD_GATEWAY);
            }
        };
        if status == StatusCode::CONFLICT {
            tracing::warn!(item, quantity, answer, "order refused: not enough in stock");
            return Err(StatusCode::CONFLICT);
        }
        if !status.is_success() {
            log::error!(item, status = status.as_u16(), answer; "the stock service failed");
            return Err(StatusCode::BAD_GATEWAY);
        }
        Ok(())
    }
}
