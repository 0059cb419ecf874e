//! The OTLP protocol and the compression of requests.

use std::fmt;

use super::resolver::{Resolver, signal_variables};
use super::setting::SettingSource;
use crate::error::Error;
use crate::finding::{Finding, Severity, kind};
use crate::signal::Signal;

/// An OTLP protocol, set by [`Otlp::protocol`](crate::Otlp::protocol) or `OTEL_EXPORTER_OTLP_PROTOCOL`.
///
/// `Display` writes the name that the variable uses.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Protocol {
    /// `grpc`: protobuf over HTTP/2, usually on port 4317. Requires the feature `grpc`.
    Grpc,
    /// `http/json`: JSON over HTTP/1.1, usually on port 4318.
    HttpJson,
    /// `http/protobuf`: protobuf over HTTP/1.1, usually on port 4318. The default.
    #[default]
    HttpProtobuf,
}

impl Protocol {
    fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "grpc" => Some(Self::Grpc),
            "http/json" => Some(Self::HttpJson),
            "http/protobuf" => Some(Self::HttpProtobuf),
            _ => None,
        }
    }

    /// Returns whether the feature of this protocol is enabled.
    pub(crate) fn is_compiled_in(self) -> bool {
        self != Self::Grpc || cfg!(feature = "grpc")
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Grpc => "grpc",
            Self::HttpJson => "http/json",
            Self::HttpProtobuf => "http/protobuf",
        })
    }
}

/// The compression of requests, set by [`Otlp::compression`](crate::Otlp::compression) or
/// `OTEL_EXPORTER_OTLP_COMPRESSION`.
///
/// `Display` writes the name that the variable uses.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Compression {
    /// `gzip`. Requires the feature `gzip`, which is enabled by default.
    Gzip,
    /// `none`: requests are not compressed. The default, because several receivers accept nothing else.
    #[default]
    None,
    /// `zstd`. Requires the feature `zstd`. Not in the specification, but the OpenTelemetry Collector accepts it.
    Zstd,
}

impl Compression {
    fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "gzip" => Some(Self::Gzip),
            "none" => Some(Self::None),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    fn is_compiled_in(self) -> bool {
        match self {
            Self::Gzip => cfg!(feature = "gzip"),
            Self::None => true,
            Self::Zstd => cfg!(feature = "zstd"),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Gzip => "gzip",
            Self::None => "none",
            Self::Zstd => "zstd",
        })
    }
}

/// Returns the line of Cargo.toml that enables a feature.
fn feature(name: impl fmt::Display) -> String {
    format!("logbridge = {{ features = [\"{name}\"], … }} in Cargo.toml")
}

impl Resolver<'_> {
    pub(super) fn protocol(&mut self, code: Option<Protocol>, signal: Signal) -> Result<Protocol, Error> {
        let (protocol, source) = match code {
            Some(protocol) if protocol.is_compiled_in() => (protocol, SettingSource::Code),
            Some(protocol) => {
                let text = format!("code sets the protocol `{protocol}`, which is not compiled into this program");
                return Err(Error::configuration(text).with_help(feature(protocol)));
            }
            None => self.protocol_of_environment(signal).unwrap_or((Protocol::default(), SettingSource::BuiltIn)),
        };
        let name = match signal {
            Signal::Logs => "logs protocol",
            Signal::Traces => "spans protocol",
        };
        self.add_setting(name, protocol.to_string(), source);
        Ok(protocol)
    }

    fn protocol_of_environment(&mut self, signal: Signal) -> Option<(Protocol, SettingSource)> {
        let variables = signal_variables!(signal, "PROTOCOL");
        let (variable, value) = self.environment.first(&variables)?;
        match Protocol::parse(value) {
            Some(protocol) if protocol.is_compiled_in() => {
                return Some((protocol, SettingSource::of(&variables, variable)));
            }
            Some(protocol) => {
                let problem = format!("`{protocol}` is not compiled into this program; http/protobuf is used");
                let help = format!(
                    "enable the feature `{protocol}`: {}; or set it to http/protobuf, and the endpoint to the \
                     collector's HTTP port (4318)",
                    feature(protocol)
                );
                self.add_error(&kind::UNKNOWN_VALUE, variable, &problem, &help);
            }
            None => {
                let problem = format!("`{value}` is not an OTLP protocol; http/protobuf is used");
                self.add_error(&kind::UNKNOWN_VALUE, variable, &problem, "write http/protobuf, http/json or grpc");
            }
        }
        None
    }

    pub(super) fn compression(&mut self, code: Option<Compression>, signal: Signal) -> Result<Compression, Error> {
        let (compression, source) = match code {
            Some(compression) if compression.is_compiled_in() => (compression, SettingSource::Code),
            Some(compression) => {
                let text =
                    format!("code sets the compression `{compression}`, which is not compiled into this program");
                return Err(Error::configuration(text).with_help(feature(compression)));
            }
            None => self.compression_of_environment(signal).unwrap_or((Compression::None, SettingSource::BuiltIn)),
        };
        let name = match signal {
            Signal::Logs => "logs compression",
            Signal::Traces => "spans compression",
        };
        self.add_setting(name, compression.to_string(), source);
        Ok(compression)
    }

    fn compression_of_environment(&mut self, signal: Signal) -> Option<(Compression, SettingSource)> {
        let variables = signal_variables!(signal, "COMPRESSION");
        let (variable, value) = self.environment.first(&variables)?;
        match Compression::parse(value) {
            Some(compression) if compression.is_compiled_in() => {
                return Some((compression, SettingSource::of(&variables, variable)));
            }
            Some(compression) => {
                let problem =
                    format!("`{compression}` is not compiled into this program; requests are sent uncompressed");
                let help = format!("enable the feature `{compression}`: {}", feature(compression));
                self.add_error(&kind::UNKNOWN_VALUE, variable, &problem, &help);
            }
            None => {
                let problem = format!("`{value}` is not a compression; requests are sent uncompressed");
                self.add_error(&kind::UNKNOWN_VALUE, variable, &problem, "write gzip, zstd or none");
            }
        }
        None
    }

    /// Resolves whether a gRPC endpoint without a scheme uses no TLS.
    pub(super) fn is_insecure(&mut self, signal: Signal, is_grpc: bool) -> bool {
        let variables = signal_variables!(signal, "INSECURE");
        let Some((variable, value)) = self.environment.first(&variables) else { return false };
        if !is_grpc {
            let text = "it has no effect: the endpoint's scheme decides whether TLS is used";
            self.add_finding(Finding::new(&kind::NO_EFFECT, Severity::Note, variable, text));
            return false;
        }
        let (is_insecure, source) = (value.eq_ignore_ascii_case("true"), SettingSource::of(&variables, variable));
        if !is_insecure && !value.eq_ignore_ascii_case("false") {
            let problem = format!("`{}` is neither true nor false; false is used", value.to_ascii_lowercase());
            self.add_error(&kind::BAD_VALUE, variable, &problem, "write true or false");
        }
        let name = match signal {
            Signal::Logs => "logs insecure",
            Signal::Traces => "spans insecure",
        };
        self.add_setting(name, is_insecure.to_string(), source);
        is_insecure
    }
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
