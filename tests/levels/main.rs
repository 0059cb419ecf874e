//! Filters and levels, compared with env_filter and with the levels of the Python SDK.

#![allow(clippy::expect_used)] // A test may panic.

mod filter_oracle;
mod missing_logs;
mod reference;
