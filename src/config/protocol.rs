//! How OTLP is spoken: the protocol, and whether requests are compressed.

use std::fmt;

use super::resolve::Resolver;
use super::route::names;
use super::{Otlp, SettingSource};
use crate::error::Error;
use crate::finding::{Finding, Severity, kind};
use crate::signal::Signal;

/// A protocol of OTLP, by the names that `OTEL_EXPORTER_OTLP_PROTOCOL` has for them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Protocol {
    /// `grpc`: protobuf over HTTP/2, usually on port 4317. Feature `grpc`.
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

    /// Whether this program can speak it.
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

/// How requests are compressed, by the names that `OTEL_EXPORTER_OTLP_COMPRESSION` has for it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Compression {
    /// `gzip`. Feature `gzip`, a default.
    Gzip,
    /// `none`: the default, since several receivers cannot read anything else.
    #[default]
    None,
    /// `zstd`. Feature `zstd`; not in the specification, but the OpenTelemetry Collector reads it.
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

/// What to write into Cargo.toml.
fn feature(name: impl fmt::Display) -> String {
    format!("logbridge = {{ features = [\"{name}\"], … }} in Cargo.toml")
}

impl Resolver<'_> {
    pub(super) fn protocol(&mut self, code: &Otlp, signal: Signal) -> Result<Protocol, Error> {
        let (protocol, source) = match code.protocol {
            Some(protocol) if protocol.is_compiled_in() => (protocol, SettingSource::Code),
            Some(protocol) => {
                let text = format!("code asks for the protocol `{protocol}`, which is not compiled into this program");
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
        let variables = names!(signal, "PROTOCOL");
        let (variable, value) = self.environment.first(&variables)?;
        match Protocol::parse(value) {
            Some(protocol) if protocol.is_compiled_in() => {
                return Some((protocol, SettingSource::of(&variables, variable)));
            }
            Some(protocol) => {
                let problem = format!("`{protocol}` is not compiled into this program; http/protobuf is used");
                let help = format!(
                    "switch on the feature `{protocol}`: {}; or set it to http/protobuf, and the endpoint to the \
                     collector's HTTP port (4318)",
                    feature(protocol)
                );
                self.add_error(&kind::UNKNOWN_VALUE, variable, &problem, &help);
            }
            None => {
                let problem = format!("`{value}` is no OTLP protocol; http/protobuf is used");
                self.add_error(&kind::UNKNOWN_VALUE, variable, &problem, "write http/protobuf, http/json or grpc");
            }
        }
        None
    }

    pub(super) fn compression(&mut self, code: &Otlp, signal: Signal) -> Result<Compression, Error> {
        let (compression, source) = match code.compression {
            Some(compression) if compression.is_compiled_in() => (compression, SettingSource::Code),
            Some(compression) => {
                let text =
                    format!("code asks for the compression `{compression}`, which is not compiled into this program");
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
        let variables = names!(signal, "COMPRESSION");
        let (variable, value) = self.environment.first(&variables)?;
        match Compression::parse(value) {
            Some(compression) if compression.is_compiled_in() => {
                return Some((compression, SettingSource::of(&variables, variable)));
            }
            Some(compression) => {
                let problem =
                    format!("`{compression}` is not compiled into this program; requests are sent uncompressed");
                let help = format!("switch on the feature `{compression}`: {}", feature(compression));
                self.add_error(&kind::UNKNOWN_VALUE, variable, &problem, &help);
            }
            None => {
                let problem = format!("`{value}` is no compression; requests are sent uncompressed");
                self.add_error(&kind::UNKNOWN_VALUE, variable, &problem, "write gzip, zstd or none");
            }
        }
        None
    }

    /// Whether a gRPC endpoint without a scheme is plain.
    pub(super) fn is_insecure(&mut self, signal: Signal, is_grpc: bool) -> bool {
        let variables = names!(signal, "INSECURE");
        let Some((variable, value)) = self.environment.first(&variables) else { return false };
        if !is_grpc {
            let text = "it has no effect: the scheme of the endpoint decides, http or https";
            self.add_finding(Finding::new(&kind::NO_EFFECT, Severity::Note, variable, text));
            return false;
        }
        let (is_insecure, source) = (value.eq_ignore_ascii_case("true"), SettingSource::of(&variables, variable));
        if !is_insecure && !value.eq_ignore_ascii_case("false") {
            let problem = format!("`{}` is neither true nor false, so it counts as false", value.to_ascii_lowercase());
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
