//! Where one signal is posted to: endpoint, headers and time, from code and the variables of the specification.

use std::time::Duration;

use super::destination::CodeTraces;
use super::endpoint::DEFAULT_ENDPOINT;
use super::headers::{header, parse_headers, shown};
use super::resolve::{FOR_EVER, Resolver};
use super::setting::time;
use super::traces::traces_beside;
use super::{CodeEndpoint, Endpoint, Header, Otlp, Route, Source, Tls, defaults};
use crate::error::Error;
use crate::finding::{Finding, Severity};
use crate::signal::Signal;

/// The variable of one signal, and that of all.
macro_rules! names {
    ($signal:ident, $what:literal) => {
        match $signal {
            Signal::Logs => [concat!("OTEL_EXPORTER_OTLP_LOGS_", $what), concat!("OTEL_EXPORTER_OTLP_", $what)],
            Signal::Traces => [concat!("OTEL_EXPORTER_OTLP_TRACES_", $what), concat!("OTEL_EXPORTER_OTLP_", $what)],
        }
    };
}

/// The names of a signal's settings.
struct Words {
    endpoint: &'static str,
    header: &'static str,
    timeout: &'static str,
    certificate: &'static str,
    client_certificate: &'static str,
    client_key: &'static str,
}

fn words(signal: Signal) -> Words {
    match signal {
        Signal::Logs => Words {
            endpoint: "logs endpoint",
            header: "logs header",
            timeout: "logs timeout",
            certificate: "logs certificate",
            client_certificate: "logs client certificate",
            client_key: "logs client key",
        },
        Signal::Traces => Words {
            endpoint: "spans endpoint",
            header: "spans header",
            timeout: "spans timeout",
            certificate: "spans certificate",
            client_certificate: "spans client certificate",
            client_key: "spans client key",
        },
    }
}

impl Resolver<'_> {
    /// Where a signal goes. What the specification has for one signal wins over what it has for all.
    pub(super) fn route(&mut self, code: &Otlp, signal: Signal) -> Result<Route, Error> {
        self.protocol(signal);
        let (endpoint, source) = self.endpoint(code, signal)?;
        self.keep(words(signal).endpoint, endpoint.to_string(), source);
        if endpoint.credentials().is_some() {
            let text = format!("the user and password in {endpoint} are not sent");
            self.find(
                Finding::new("url-credentials", Severity::Warning, source.to_string(), text)
                    .help("put them into OTEL_EXPORTER_OTLP_HEADERS as authorization=Basic%20…"),
            );
        }
        let export_timeout = match signal {
            Signal::Logs => self.duration(&["OTEL_BLRP_EXPORT_TIMEOUT"]),
            Signal::Traces => self.duration(&["OTEL_BSP_EXPORT_TIMEOUT"]),
        };
        let export_timeout = export_timeout.filter(|(time, _)| !time.is_zero());
        Ok(Route {
            endpoint,
            headers: self.headers(code, signal)?,
            timeout: self.timeout(code, signal, export_timeout),
            export_timeout: export_timeout.map(|(time, _)| time),
            tls: self.tls(signal),
        })
    }

    fn tls(&mut self, signal: Signal) -> Tls {
        let roots = self.file(words(signal).certificate, &names!(signal, "CERTIFICATE"));
        let certificate = self.file(words(signal).client_certificate, &names!(signal, "CLIENT_CERTIFICATE"));
        let key = self.file(words(signal).client_key, &names!(signal, "CLIENT_KEY"));
        let alone = match (&certificate, &key) {
            (Some(_), None) => Some(("CLIENT_CERTIFICATE", "CLIENT_KEY")),
            (None, Some(_)) => Some(("CLIENT_KEY", "CLIENT_CERTIFICATE")),
            _ => None,
        };
        if let Some((there, missing)) = alone {
            let variable = format!("OTEL_EXPORTER_OTLP_{there}");
            let problem =
                format!("without OTEL_EXPORTER_OTLP_{missing} it is of no use, so no client certificate is sent");
            self.error("client-certificate", &variable, &problem, "name both files, or neither");
        }
        Tls { roots, identity: certificate.zip(key) }
    }

    /// The content of a file that a variable names.
    fn file(&mut self, name: &'static str, variables: &[&'static str]) -> Option<Vec<u8>> {
        let (variable, path) = self.environment.first(variables)?;
        let read = std::fs::read(path);
        let (path, source) = (path.to_owned(), Source::of(variables, variable));
        match read {
            Ok(content) => {
                self.keep(name, path, source);
                Some(content)
            }
            Err(error) => {
                let problem = format!("`{path}` cannot be read: {error}; it is ignored");
                self.error("bad-file", variable, &problem, "write the path of a PEM file that this process may read");
                None
            }
        }
    }

    fn timeout(&mut self, code: &Otlp, signal: Signal, export: Option<(Duration, Source)>) -> Duration {
        let given = match code.timeout {
            Some(timeout) => Some((timeout, Source::Code)),
            None => self.duration(&names!(signal, "TIMEOUT")),
        };
        let given = given.filter(|(timeout, _)| !timeout.is_zero());
        let mut decided = given.unwrap_or((defaults::TIMEOUT, Source::BuiltIn));
        // A request takes no longer than all its tries together.
        if let Some(export) = export.filter(|export| export.0 < decided.0) {
            decided = export;
        }
        let (timeout, source) = (decided.0.min(FOR_EVER), decided.1);
        self.keep(words(signal).timeout, time(timeout), source);
        timeout
    }

    fn endpoint(&mut self, code: &Otlp, signal: Signal) -> Result<(Endpoint, Source), Error> {
        let help = "write a URL such as http://localhost:4318";
        let given = match (&code.traces, &code.endpoint, signal) {
            (Some(CodeTraces::Url(url)), _, Signal::Traces) => Some(Endpoint::from_full(url)),
            (_, Some(CodeEndpoint::Base(base)), _) => Some(Endpoint::from_base(base, signal)),
            (_, Some(CodeEndpoint::Full(url)), Signal::Logs) => Some(Endpoint::from_full(url)),
            (_, Some(CodeEndpoint::Full(url)), Signal::Traces) => {
                traces_beside(url).map(|beside| Endpoint::from_full(&beside))
            }
            (_, None, _) => None,
        };
        let [of_signal, general] = names!(signal, "ENDPOINT");
        if let Some(given) = given {
            for variable in [of_signal, general, "HYPERDX_API_ENDPOINT"] {
                if self.environment.get(variable).is_some() {
                    let text = "it is not asked: code says where telemetry goes";
                    let help = "let code say Otlp::from_env() to have the environment decide";
                    self.find(Finding::new("set-in-code", Severity::Note, variable, text).help(help));
                }
            }
            return given.map(|endpoint| (endpoint, Source::Code)).map_err(|problem| {
                Error::configuration(format!("the OTLP endpoint given in code cannot be used: {problem}"))
                    .with_help(help)
            });
        }
        // An unusable value disables only itself: the next source is asked.
        let sources = [
            (Source::SignalVariable(of_signal), of_signal, true),
            (Source::Variable(general), general, false),
            (Source::Variable("HYPERDX_API_ENDPOINT"), "HYPERDX_API_ENDPOINT", false),
        ];
        for (source, variable, full) in sources {
            let Some(value) = self.environment.get(variable) else { continue };
            match if full { Endpoint::from_full(value) } else { Endpoint::from_base(value, signal) } {
                Ok(endpoint) => return Ok((endpoint, source)),
                Err(problem) => self.error("bad-url", variable, &format!("{problem}; it is ignored"), help),
            }
        }
        let built_in = Endpoint::from_base(DEFAULT_ENDPOINT, signal).map_err(Error::configuration)?;
        Ok((built_in, Source::BuiltIn))
    }

    fn headers(&mut self, code: &Otlp, signal: Signal) -> Result<Vec<Header>, Error> {
        let mut headers: Vec<(Header, Source)> = Vec::new();
        let variables = names!(signal, "HEADERS");
        if let Some((variable, text)) = self.environment.first(&variables) {
            let (parsed, findings) = parse_headers(variable, text);
            headers.extend(parsed.into_iter().map(|header| (header, Source::of(&variables, variable))));
            findings.into_iter().for_each(|finding| self.find(finding));
        }
        let of_signal = match signal {
            Signal::Logs => "HYPERDX_LOGS_APIKEY",
            Signal::Traces => "HYPERDX_TRACES_APIKEY",
        };
        let variables = [of_signal, "HYPERDX_API_KEY"];
        if let Some((variable, key)) = self.environment.first(&variables) {
            match header("authorization", key) {
                Ok(key) => replace(&mut headers, key, Source::of(&variables, variable)),
                Err(problem) => self.error(
                    "key-whitespace",
                    variable,
                    &problem,
                    "copy the ingestion key again, without line breaks",
                ),
            }
        }
        for (name, value) in &code.headers {
            let given = header(name, value).map_err(|problem| {
                Error::configuration(format!("a header given in code cannot be sent: {problem}"))
                    .with_help("trim the value, and write the name as in HTTP")
            })?;
            replace(&mut headers, given, Source::Code);
        }
        // Names only: the values may be keys.
        for (header, source) in &headers {
            self.keep(words(signal).header, shown(header), *source);
        }
        if headers.is_empty() {
            self.keep(words(signal).header, "none", Source::BuiltIn);
        }
        Ok(headers.into_iter().map(|(header, _)| header).collect())
    }

    fn protocol(&mut self, signal: Signal) {
        let variables = names!(signal, "PROTOCOL");
        let Some((variable, protocol)) = self.environment.first(&variables) else { return };
        let problem = match protocol.to_ascii_lowercase().as_str() {
            "http/protobuf" => return,
            "grpc" | "http/json" => format!("`{protocol}` is not compiled into this program; http/protobuf is used"),
            _ => format!("`{protocol}` is no OTLP protocol; http/protobuf is used"),
        };
        self.error(
            "unknown-protocol",
            variable,
            &problem,
            "set it to http/protobuf, and the endpoint to the collector's HTTP port (4318)",
        );
    }
}

fn replace(headers: &mut Vec<(Header, Source)>, header: Header, source: Source) {
    headers.retain(|(other, _)| other.name != header.name);
    headers.push((header, source));
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
