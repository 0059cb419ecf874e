//! Requests that are sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{any, post};
use logbridge::NetworkCapture;
use logbridge_http::ReqwestMiddleware;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Next};

use super::support::{int, plain, serve, traced};

/// Sends a request again while the answer is a server error, as `reqwest-retry` does.
struct Retry {
    most: u32,
}

#[async_trait::async_trait]
impl reqwest_middleware::Middleware for Retry {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        for _ in 0..self.most {
            let again = request.try_clone().expect("a body that can be cloned");
            let response = next.clone().run(again, extensions).await?;
            if !response.status().is_server_error() {
                return Ok(response);
            }
        }
        next.run(request, extensions).await
    }
}

/// Fails a number of times, and then answers with the body of the request.
async fn failing(times: u32) -> String {
    let left = Arc::new(AtomicU32::new(times));
    serve(Router::new().route(
        "/",
        any(async move |body: String| {
            let fails = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
            match fails {
                true => (StatusCode::SERVICE_UNAVAILABLE, "later".to_owned()),
                false => (StatusCode::OK, body),
            }
        }),
    ))
    .await
}

async fn post_text(client: &ClientWithMiddleware, url: &str) -> String {
    client.post(url).body("an order").send().await.expect("an answer").text().await.expect("a body")
}

fn inside() -> ReqwestMiddleware {
    // The body stays one that can be sent again, although it is captured.
    ReqwestMiddleware::new().capture(NetworkCapture::all())
}

#[test]
fn each_attempt_is_a_span_with_its_number() {
    let (_, trace) = traced(3, async {
        let url = failing(2).await;
        let client = ClientBuilder::new(plain()).with(Retry { most: 5 }).with(inside()).build();
        assert_eq!(post_text(&client, &url).await, "an order");
    });
    let attempts: Vec<_> = trace
        .clients()
        .into_iter()
        .map(|span| (int(span, "http.response.status_code"), int(span, "http.request.resend_count")))
        .collect();
    assert_eq!(attempts, [(Some(503), None), (Some(503), Some(1)), (Some(200), Some(2))]);
    for span in trace.clients() {
        assert_eq!(span.parent_span_id, trace.caller().span_id, "{span}");
    }
}

#[test]
fn the_attempts_of_two_requests_are_counted_apart() {
    let (_, trace) = traced(3, async {
        let url = failing(1).await;
        let client = ClientBuilder::new(plain()).with(Retry { most: 5 }).with(inside()).build();
        post_text(&client, &url).await;
        post_text(&client, &url).await;
    });
    let numbers: Vec<_> = trace.clients().into_iter().map(|span| int(span, "http.request.resend_count")).collect();
    assert_eq!(numbers, [None, Some(1), None]);
}

#[test]
fn outside_of_the_retries_there_is_one_span_for_all_of_them() {
    let (_, trace) = traced(1, async {
        let url = failing(2).await;
        let client = ClientBuilder::new(plain()).with(inside()).with(Retry { most: 5 }).build();
        assert_eq!(post_text(&client, &url).await, "an order");
    });
    assert_eq!(int(trace.client(), "http.response.status_code"), Some(200));
    assert_eq!(int(trace.client(), "http.request.resend_count"), None);
}

#[test]
fn a_redirect_that_repeats_the_body_still_can() {
    let (_, trace) = traced(1, async {
        let app = Router::new()
            .route("/", post(async || (StatusCode::TEMPORARY_REDIRECT, [("location", "/target")])))
            .route("/target", post(async |body: String| body));
        let url = serve(app).await;
        let client = ClientBuilder::new(plain()).with(inside()).build();
        let response = client.post(&url).body("an order").send().await.expect("an answer");
        assert!(response.url().path() == "/target", "{}", response.url());
        assert_eq!(response.text().await.expect("a body"), "an order");
    });
    assert_eq!(int(trace.client(), "http.response.status_code"), Some(200));
}
