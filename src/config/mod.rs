//! Configuration: builder values and environment variables become one immutable [`Config`].
//!
//! This is the only module that reads the environment. An invalid value in code is an error; an invalid environment
//! variable becomes a finding and is ignored.
//!
//! Precedence, highest first: code, the variable of one signal (`OTEL_EXPORTER_OTLP_LOGS_…`), the general variable,
//! `default_*` setters, the built-in default.

mod attribute_limits;
mod builder_settings;
mod byte_limits;
pub(crate) mod defaults;
mod destination;
mod endpoint;
mod environment;
mod headers;
mod known_variables;
mod levels_file;
mod lint;
mod mirror;
mod named_file;
mod network_capture;
mod overload;
mod propagator;
mod protocol;
mod proxy;
mod redact;
mod repetition;
mod report;
mod resolve;
mod resolved;
mod resolver;
mod resource;
mod route;
mod secrets;
mod setting;
mod spool;
mod time;
mod tls;
mod trace_context_env;
mod traces;

pub use builder_settings::BuilderSettings;
pub use destination::{Console, Otlp};
pub(crate) use destination::{ConsoleTarget, LineFormat, Pipe};
pub use endpoint::{Endpoint, redact_url};
#[cfg(test)]
pub(crate) use environment::ENVIRONMENT_READS;
pub use environment::Environment;
pub(crate) use levels_file::{LevelsFile, LevelsFileUpdate, POLL_INTERVAL};
pub use mirror::Mirror;
pub use network_capture::{CaptureMode, HeaderList, HttpSettings, NetworkCapture};
pub use overload::Overload;
pub(crate) use propagator::Propagator;
pub use protocol::{Compression, Protocol};
pub(crate) use proxy::Proxy;
pub use redact::Redact;
pub use repetition::Repetition;
pub(crate) use repetition::RepetitionLimit;
pub(crate) use report::ReportConfig;
pub use report::ReportTo;
pub use resolved::{Config, LogDelivery, Route};
pub(crate) use resolved::{ConsoleConfig, SpanConfig, SpanDelivery};
pub(crate) use resource::ResourceConfig;
pub use secrets::{MASK, Secrets};
pub use setting::SettingSource;
pub(crate) use setting::{Setting, settings_table};
pub(crate) use spool::SpoolConfig;
pub use spool::{Spool, SpoolSync};
pub(crate) use time::bounded;
pub(crate) use tls::Tls;
pub(crate) use trace_context_env::{TraceContextEnv, is_traceparent, propagation_variable};
