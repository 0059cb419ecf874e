//! Where one signal is posted to: endpoint, headers and time, from code and the variables of the specification.

use super::destination::CodeTraces;
use super::endpoint::{DEFAULT_ENDPOINT, header, parse_headers};
use super::resolve::{FOR_EVER, Resolver};
use super::traces::traces_beside;
use super::{CodeEndpoint, Endpoint, Header, Otlp, Route, defaults};
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

impl Resolver<'_> {
    /// Where a signal goes. What the specification has for one signal wins over what it has for all.
    pub(super) fn route(&mut self, code: &Otlp, signal: Signal) -> Result<Route, Error> {
        self.protocol(signal);
        self.without_effect(signal);
        let endpoint = self.endpoint(code, signal)?;
        if endpoint.credentials().is_some() {
            let text = format!("the user and password in {endpoint} are not sent");
            self.find(
                Finding::new("url-credentials", Severity::Warning, "code", text)
                    .help("put them into OTEL_EXPORTER_OTLP_HEADERS as authorization=Basic%20…"),
            );
        }
        let export_timeout = match signal {
            Signal::Logs => self.duration(&["OTEL_BLRP_EXPORT_TIMEOUT"]),
            Signal::Traces => self.duration(&["OTEL_BSP_EXPORT_TIMEOUT"]),
        };
        let export_timeout = export_timeout.filter(|time| !time.is_zero());
        let timeout = code.timeout.or_else(|| self.duration(&names!(signal, "TIMEOUT")));
        Ok(Route {
            endpoint,
            headers: self.headers(code, signal)?,
            timeout: timeout
                .filter(|timeout| !timeout.is_zero())
                .unwrap_or(defaults::TIMEOUT)
                .min(export_timeout.unwrap_or(FOR_EVER)),
            export_timeout,
        })
    }

    fn endpoint(&mut self, code: &Otlp, signal: Signal) -> Result<Endpoint, Error> {
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
        if let Some(given) = given {
            return given.map_err(|problem| {
                Error::configuration(format!("the OTLP endpoint given in code cannot be used: {problem}"))
                    .with_help(help)
            });
        }
        // An unusable value disables only itself: the next source is asked.
        let [of_signal, general] = names!(signal, "ENDPOINT");
        for (variable, full) in [(of_signal, true), (general, false), ("HYPERDX_API_ENDPOINT", false)] {
            let Some(value) = self.environment.get(variable) else { continue };
            match if full { Endpoint::from_full(value) } else { Endpoint::from_base(value, signal) } {
                Ok(endpoint) => return Ok(endpoint),
                Err(problem) => self.error("bad-url", variable, &format!("{problem}; it is ignored"), help),
            }
        }
        Endpoint::from_base(DEFAULT_ENDPOINT, signal).map_err(Error::configuration)
    }

    fn headers(&mut self, code: &Otlp, signal: Signal) -> Result<Vec<Header>, Error> {
        let mut headers: Vec<Header> = Vec::new();
        if let Some((variable, text)) = self.environment.first(&names!(signal, "HEADERS")) {
            let (parsed, problems) = parse_headers(text);
            headers = parsed;
            for problem in problems {
                self.error(
                    "bad-header",
                    variable,
                    &format!("{problem}; it is not sent"),
                    "write key=value,key=value, values percent-encoded",
                );
            }
        }
        let of_signal = match signal {
            Signal::Logs => "HYPERDX_LOGS_APIKEY",
            Signal::Traces => "HYPERDX_TRACES_APIKEY",
        };
        if let Some((variable, key)) = self.environment.first(&[of_signal, "HYPERDX_API_KEY"]) {
            match header("authorization", key) {
                Ok(key) => replace(&mut headers, key),
                Err(problem) => {
                    self.error("bad-header", variable, &problem, "copy the ingestion key again, without line breaks")
                }
            }
        }
        for (name, value) in &code.headers {
            let given = header(name, value).map_err(|problem| {
                Error::configuration(format!("a header given in code cannot be sent: {problem}"))
                    .with_help("trim the value, and write the name as in HTTP")
            })?;
            replace(&mut headers, given);
        }
        Ok(headers)
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

    /// Variables that ask for something this version does not do.
    fn without_effect(&mut self, signal: Signal) {
        for names in [names!(signal, "COMPRESSION"), names!(signal, "CERTIFICATE"), names!(signal, "CLIENT_KEY")] {
            if let Some((variable, value)) = self.environment.first(&names)
                && !value.eq_ignore_ascii_case("none")
            {
                self.error("no-effect", variable, "it has no effect in this version of logbridge", "unset it");
            }
        }
    }
}

fn replace(headers: &mut Vec<Header>, header: Header) {
    headers.retain(|other| other.name != header.name);
    headers.push(header);
}
