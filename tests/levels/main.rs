//! Filters and levels, compared with env_filter and with what the levels of Python's SDK do.

#![allow(clippy::expect_used)] // A test may panic.

mod filter_oracle;
mod missing_logs;
mod reference;
