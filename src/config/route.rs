//! Resolves the [`Route`] of a signal from code and the variables of the specification.

use std::time::Duration;

use super::defaults;
use super::destination::{Otlp, OtlpUrl, TracesOverride};
use super::endpoint::{DEFAULT_ENDPOINT, DEFAULT_GRPC_ENDPOINT, Endpoint, traces_url_for};
use super::headers::{Header, parse_headers};
use super::protocol::Protocol;
use super::resolved::Route;
use super::resolver::{Resolver, signal_variables};
use super::setting::{SettingSource, format_duration};
use super::time::bounded;
use crate::error::Error;
use crate::finding::{Finding, Severity, kind};
use crate::signal::Signal;

/// The names of a signal's settings.
struct SettingNames {
    endpoint: &'static str,
    header: &'static str,
    timeout: &'static str,
}

fn setting_names(signal: Signal) -> SettingNames {
    match signal {
        Signal::Logs => SettingNames { endpoint: "logs endpoint", header: "logs header", timeout: "logs timeout" },
        Signal::Traces => SettingNames { endpoint: "spans endpoint", header: "spans header", timeout: "spans timeout" },
    }
}

impl Resolver<'_> {
    /// Resolves the route of a signal. Variables for one signal take precedence over general variables.
    pub(super) fn route(&mut self, code: &Otlp, signal: Signal) -> Result<Route, Error> {
        let protocol = self.protocol(code.protocol, signal)?;
        let (endpoint, source) = self.endpoint(code, signal, protocol)?;
        self.add_setting(setting_names(signal).endpoint, endpoint.to_string(), source);
        if endpoint.credentials().is_some() {
            let text = format!("the user name and password in {endpoint} are not sent");
            self.add_finding(
                Finding::new(&kind::URL_CREDENTIALS, Severity::Warning, source.to_string(), text)
                    .help("set them in OTEL_EXPORTER_OTLP_HEADERS as authorization=Basic%20…"),
            );
        }
        let export_timeout = match signal {
            Signal::Logs => self.duration_variable(&["OTEL_BLRP_EXPORT_TIMEOUT"]),
            Signal::Traces => self.duration_variable(&["OTEL_BSP_EXPORT_TIMEOUT"]),
        };
        let export_timeout = export_timeout.filter(|(time, _)| !time.is_zero());
        Ok(Route {
            signal,
            protocol,
            compression: self.compression(code.compression, signal)?,
            proxy: self.proxy(&endpoint, signal),
            endpoint,
            headers: self.headers(code, signal)?,
            timeout: self.timeout(code, signal, export_timeout),
            export_timeout: export_timeout.map(|(time, _)| time),
            tls: self.tls(signal),
        })
    }

    fn timeout(&mut self, code: &Otlp, signal: Signal, export: Option<(Duration, SettingSource)>) -> Duration {
        let given = match code.timeout {
            Some(timeout) => Some((timeout, SettingSource::Code)),
            None => self.duration_variable(&signal_variables!(signal, "TIMEOUT")),
        };
        let given = given.filter(|(timeout, _)| !timeout.is_zero());
        let mut decided = given.unwrap_or((defaults::TIMEOUT, SettingSource::BuiltIn));
        // One attempt may not take longer than all attempts together.
        if let Some(export) = export.filter(|export| export.0 < decided.0) {
            decided = export;
        }
        let (timeout, source) = (bounded(decided.0), decided.1);
        self.add_setting(setting_names(signal).timeout, format_duration(timeout), source);
        timeout
    }

    fn endpoint(
        &mut self,
        code: &Otlp,
        signal: Signal,
        protocol: Protocol,
    ) -> Result<(Endpoint, SettingSource), Error> {
        let is_grpc = protocol == Protocol::Grpc;
        let is_insecure = self.is_insecure(signal, is_grpc);
        let base = |base: &str| match is_grpc {
            true => Endpoint::from_grpc(base, is_insecure),
            false => Endpoint::from_base(base, signal),
        };
        let full = |url: &str| match is_grpc {
            true => Endpoint::from_grpc(url, is_insecure),
            false => Endpoint::from_full(url),
        };
        let built_in = if is_grpc { DEFAULT_GRPC_ENDPOINT } else { DEFAULT_ENDPOINT };
        let help = format!("write a URL such as {built_in}");
        let given = match (&code.traces, &code.endpoint, signal) {
            (Some(TracesOverride::Url(url)), _, Signal::Traces) => Some(full(url)),
            (_, Some(OtlpUrl::Base(url)), _) => Some(base(url)),
            (_, Some(OtlpUrl::Full(url)), Signal::Logs) => Some(full(url)),
            (_, Some(OtlpUrl::Full(url)), Signal::Traces) => traces_url_for(url).map(|traces_url| full(&traces_url)),
            (_, None, _) => None,
        };
        let [of_signal, general] = signal_variables!(signal, "ENDPOINT");
        if let Some(given) = given {
            for variable in [of_signal, general, "HYPERDX_API_ENDPOINT"] {
                if self.environment.get(variable).is_some() {
                    let text = "it is ignored: code sets the endpoint";
                    let help = "use Otlp::from_env() in code to take the endpoint from the environment";
                    self.add_finding(Finding::new(&kind::SET_IN_CODE, Severity::Note, variable, text).help(help));
                }
            }
            return given.map(|endpoint| (endpoint, SettingSource::Code)).map_err(|problem| {
                Error::configuration(format!("the OTLP endpoint set in code is invalid: {problem}")).with_help(help)
            });
        }
        // An invalid value is ignored, and the next source is tried.
        let sources = [
            (SettingSource::SignalVariable(of_signal), of_signal, true),
            (SettingSource::Variable(general), general, false),
            (SettingSource::Variable("HYPERDX_API_ENDPOINT"), "HYPERDX_API_ENDPOINT", false),
        ];
        for (source, variable, is_full) in sources {
            let Some(value) = self.environment.get(variable) else { continue };
            match if is_full { full(value) } else { base(value) } {
                Ok(endpoint) => return Ok((endpoint, source)),
                Err(problem) => self.add_error(&kind::BAD_URL, variable, &format!("{problem}; it is ignored"), &help),
            }
        }
        Ok((base(built_in).map_err(Error::configuration)?, SettingSource::BuiltIn))
    }

    fn headers(&mut self, code: &Otlp, signal: Signal) -> Result<Vec<Header>, Error> {
        let mut headers: Vec<(Header, SettingSource)> = Vec::new();
        let variables = signal_variables!(signal, "HEADERS");
        if let Some((variable, text)) = self.environment.first(&variables) {
            let (parsed, findings) = parse_headers(variable, text);
            headers.extend(parsed.into_iter().map(|header| (header, SettingSource::of(&variables, variable))));
            findings.into_iter().for_each(|finding| self.add_finding(finding));
        }
        let of_signal = match signal {
            Signal::Logs => "HYPERDX_LOGS_APIKEY",
            Signal::Traces => "HYPERDX_TRACES_APIKEY",
        };
        let variables = [of_signal, "HYPERDX_API_KEY"];
        if let Some((variable, key)) = self.environment.first(&variables) {
            match Header::new("authorization", key) {
                Ok(key) => replace(&mut headers, key, SettingSource::of(&variables, variable)),
                Err(problem) => self.add_error(
                    &kind::KEY_WHITESPACE,
                    variable,
                    &problem,
                    "copy the ingestion key again, without line breaks",
                ),
            }
        }
        for (name, value) in &code.headers {
            let given = Header::new(name, value).map_err(|problem| {
                Error::configuration(format!("a header set in code cannot be sent: {problem}"))
                    .with_help("use a valid HTTP header name, and remove line breaks from the value")
            })?;
            replace(&mut headers, given, SettingSource::Code);
        }
        // Only names: the values may be secrets.
        for (header, source) in &headers {
            self.add_setting(setting_names(signal).header, header.display_name(), *source);
        }
        if headers.is_empty() {
            self.add_setting(setting_names(signal).header, "none", SettingSource::BuiltIn);
        }
        Ok(headers.into_iter().map(|(header, _)| header).collect())
    }
}

fn replace(headers: &mut Vec<(Header, SettingSource)>, header: Header, source: SettingSource) {
    headers.retain(|(other, _)| other.name != header.name);
    headers.push((header, source));
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
