//! A shop of several processes, whose logs and spans form one trace per order.
//!
//! ```text
//! customer ──► shop ──► stock ──► SQLite
//!                └─ channel ──► worker ──► receipt (a child process)
//! ```
//!
//! Each part is a role of this program. Without one, the program starts all of them and places orders: see `demo.rs`.

#![allow(clippy::disallowed_methods)] // The package around this one has rules of its own about the environment.

mod demo;
mod receipt;
mod shop;
mod stock;
mod until_closed;
mod worker;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => demo::run(3).await,
        ["shop", stock_url] => shop::serve(stock_url).await,
        ["stock"] => stock::serve().await,
        ["receipt", order] => receipt::write(order.parse()?),
        [orders] if let Ok(orders) = orders.parse() => demo::run(orders).await,
        _ => Err("usage: shop [ORDERS | shop STOCK_URL | stock | receipt ORDER]".into()),
    }
}
