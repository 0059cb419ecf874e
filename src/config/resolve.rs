//! Code and environment become a [`Config`].

use std::time::Duration;

use super::endpoint::{DEFAULT_ENDPOINT, header, parse_headers};
use super::environment::{Environment, parse_bool};
use super::{
    CodeEndpoint, Config, Console, ConsoleConfig, ConsoleTarget, Delivery, Endpoint, Header, Mirror, Otlp, OtlpConfig,
    ResourceConfig, Settings, defaults,
};
use crate::error::Error;
use crate::levels::{LevelSet, Origin, Table, Threshold, parse};
use crate::notice::Notice;
use crate::os;

/// Longer times mean the same: no clock can hold `Duration::MAX` from now on, and tokio's timers end after two years.
const FOR_EVER: Duration = Duration::from_secs(365 * 86_400);

impl Settings {
    /// Decides everything. An error is a value given in code that cannot be used; what cannot be used in the
    /// environment becomes a notice of the result.
    pub(crate) fn resolve(&self, environment: &Environment) -> Result<Config, Error> {
        if let Some(problem) = self.problems.first() {
            return Err(Error::configuration(problem.clone())
                .with_help("directives are written as in RUST_LOG: `info,my_crate::module=debug`"));
        }
        let mut resolver = Resolver { environment, notices: self.notices.clone() };
        let mut resource = ResourceConfig::default();
        for problem in resource.read(environment) {
            resolver.notice("OTEL_RESOURCE_ATTRIBUTES", &problem, "write key=value,key=value, values percent-encoded");
        }
        resource.attributes.extend(self.resource.iter().cloned());
        if self.service_name.is_some() {
            resource.service_name.clone_from(&self.service_name);
        }
        let mirror = resolver.mirror(self.mirror);
        let otlp = resolver.otlp(self)?;
        let console = resolver.console(self, mirror);
        let span = resolver.levels(&self.span_levels, "LOGBRIDGE_SPAN_LEVEL", Threshold::Info);
        let exit_timeout = self
            .exit_timeout
            .unwrap_or_else(|| resolver.duration(&["LOGBRIDGE_EXIT_TIMEOUT"]).unwrap_or(defaults::EXIT_TIMEOUT));
        Ok(Config {
            console,
            exit_timeout: exit_timeout.min(FOR_EVER),
            mirror,
            module: self.levels.compile(Threshold::ROOT_NOT_SET),
            notices: resolver.notices,
            otlp,
            panic_hook: self.panic_hook.unwrap_or(true),
            resource,
            span,
        })
    }
}

struct Resolver<'a> {
    environment: &'a Environment,
    notices: Vec<Notice>,
}

impl Resolver<'_> {
    fn notice(&mut self, variable: &str, problem: &str, help: &str) {
        self.notices
            .push(Notice::new(format!("env {variable} {problem}"), format!("{variable}: {problem}")).help(help));
    }

    fn levels(&mut self, code: &LevelSet, variable: &'static str, root: Threshold) -> Table {
        let mut set = code.clone();
        if let Some(spec) = self.environment.get(variable) {
            let parsed = parse(spec);
            set.extend(parsed.directives, Origin::Environment);
            for problem in parsed.problems {
                self.notice(
                    variable,
                    &format!("`{}` is ignored: {}", problem.text, problem.why),
                    "directives are written as in RUST_LOG: `info,my_crate::module=debug`",
                );
            }
        }
        set.compile(root)
    }

    fn mirror(&mut self, code: Option<Mirror>) -> Mirror {
        if let Some(mirror) = code {
            return mirror;
        }
        let (wanted, by) = match self.environment.get("DEBUG") {
            Some(value) => match parse_bool(value) {
                Some(wanted) => (wanted, "DEBUG"),
                None => {
                    let problem = format!("`{value}` is neither true nor false, so the debug mirror stays off");
                    self.notice("DEBUG", &problem, "write DEBUG=true to print each record as it is shipped");
                    (false, "")
                }
            },
            None => (false, ""),
        };
        let exporter = self.exporters().is_some_and(|exporters| exporters.contains(&"console"));
        if !wanted && !exporter {
            return Mirror::Off;
        }
        let by = if wanted { by } else { "OTEL_LOGS_EXPORTER" };
        self.notices.push(
            Notice::information(
                "mirror",
                format!("debug mirror is on ({by}): each record is printed on stdout as it is shipped"),
            )
            .help(format!("unset {by} to print the console's lines only")),
        );
        Mirror::Text
    }

    /// The entries of OTEL_LOGS_EXPORTER, where it is set.
    fn exporters(&self) -> Option<Vec<&str>> {
        self.environment.get("OTEL_LOGS_EXPORTER").map(|list| list.split(',').map(str::trim).collect())
    }

    fn console(&mut self, settings: &Settings, mirror: Mirror) -> ConsoleConfig {
        let code = settings.console.clone();
        let target = match &code {
            Some(console) => console.target.clone(),
            None => self.console_target(),
        };
        let levels = code.map(|console: Console| console.levels).unwrap_or_default();
        let levels = self.levels(&levels, "LOGBRIDGE_CONSOLE_LEVEL", Threshold::NotSet);
        let target = match target {
            // The mirror shows the same records in the same place, with more in each line.
            ConsoleTarget::Stdout if mirror != Mirror::Off => ConsoleTarget::Off,
            ConsoleTarget::Stderr if mirror != Mirror::Off && os::stdout_is_stderr() => ConsoleTarget::Off,
            target => target,
        };
        ConsoleConfig { format: settings.format.clone(), levels, target }
    }

    fn console_target(&mut self) -> ConsoleTarget {
        match self.environment.get("LOGBRIDGE_CONSOLE").map(str::to_ascii_lowercase).as_deref() {
            None | Some("stderr") => ConsoleTarget::Stderr,
            Some("stdout") => ConsoleTarget::Stdout,
            Some("off" | "none") => ConsoleTarget::Off,
            Some(other) => {
                let problem = format!("`{other}` is no console, so it stays on stderr");
                self.notice("LOGBRIDGE_CONSOLE", &problem, "write stderr, stdout or off");
                ConsoleTarget::Stderr
            }
        }
    }

    fn otlp(&mut self, settings: &Settings) -> Result<OtlpConfig, Error> {
        let code = settings.otlp.clone();
        let levels = code.as_ref().map(|otlp| otlp.levels.clone()).unwrap_or_default();
        let levels = self.levels(&levels, "LOGBRIDGE_OTLP_LEVEL", Threshold::NotSet);
        let off_because = self.otlp_off(code.as_ref());
        let delivery = match off_because {
            Some(_) => None,
            None => Some(self.delivery(settings, &code.unwrap_or_default())?),
        };
        Ok(OtlpConfig { levels, delivery, off_because })
    }

    fn otlp_off(&mut self, code: Option<&Otlp>) -> Option<&'static str> {
        let disabled = self.environment.get("OTEL_SDK_DISABLED").unwrap_or("false").to_ascii_lowercase();
        match disabled.as_str() {
            "true" => return Some("OTEL_SDK_DISABLED is true"),
            "false" => {}
            other => {
                let problem = format!("`{other}` is neither true nor false, so it counts as false");
                self.notice("OTEL_SDK_DISABLED", &problem, "write true or false");
            }
        }
        if let Some(otlp) = code {
            return otlp.off.then_some("code says Otlp::off()");
        }
        if let Some(exporters) = self.exporters() {
            let known = ["otlp", "console", "none"];
            let unknown: Vec<String> =
                exporters.iter().filter(|name| !known.contains(name)).map(|name| (*name).to_owned()).collect();
            let has_otlp = exporters.contains(&"otlp") || unknown.len() == exporters.len();
            for name in unknown {
                let problem = format!("`{name}` is no exporter that logbridge knows");
                self.notice("OTEL_LOGS_EXPORTER", &problem, "write otlp, console, none or a list of them");
            }
            return (!has_otlp).then_some("OTEL_LOGS_EXPORTER does not name otlp");
        }
        let mentioned = self.environment.mentions("OTEL_") || self.environment.mentions("HYPERDX_");
        (!mentioned).then_some("neither code nor environment mentions OpenTelemetry")
    }

    fn delivery(&mut self, settings: &Settings, code: &Otlp) -> Result<Delivery, Error> {
        self.protocol();
        self.without_effect();
        let endpoint = self.endpoint(code)?;
        if endpoint.credentials().is_some() {
            self.notices.push(
                Notice::new("url credentials", format!("the user and password in {endpoint} are not sent"))
                    .help("put them into OTEL_EXPORTER_OTLP_HEADERS as authorization=Basic%20…"),
            );
        }
        let timeout =
            code.timeout.or_else(|| self.duration(&["OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]));
        let delay = settings.schedule_delay.or_else(|| self.duration(&["OTEL_BLRP_SCHEDULE_DELAY"]));
        let max_bytes = settings.max_bytes.or_else(|| self.bytes("LOGBRIDGE_MAX_BYTES"));
        if let Some(small) = max_bytes.filter(|bytes| *bytes < defaults::MIN_BYTES) {
            let text = format!("{small} bytes are too few for the outbox: {} are used", defaults::MIN_BYTES);
            self.notices.push(
                Notice::new("max_bytes", text).help("LOGBRIDGE_MAX_BYTES or `Builder::max_bytes`: 65536 or more"),
            );
        }
        Ok(Delivery {
            headers: self.headers(code)?,
            max_bytes: max_bytes.unwrap_or(defaults::MAX_BYTES).max(defaults::MIN_BYTES),
            schedule_delay: delay.unwrap_or(defaults::SCHEDULE_DELAY).min(FOR_EVER),
            timeout: timeout.filter(|timeout| !timeout.is_zero()).unwrap_or(defaults::TIMEOUT).min(FOR_EVER),
            endpoint,
        })
    }

    fn endpoint(&mut self, code: &Otlp) -> Result<Endpoint, Error> {
        let help = "write a URL such as http://localhost:4318";
        let given = match &code.endpoint {
            Some(CodeEndpoint::Base(base)) => Some(Endpoint::from_base(base)),
            Some(CodeEndpoint::Full(url)) => Some(Endpoint::from_full(url)),
            None => None,
        };
        if let Some(given) = given {
            return given.map_err(|problem| {
                Error::configuration(format!("the OTLP endpoint given in code cannot be used: {problem}"))
                    .with_help(help)
            });
        }
        // An unusable value disables only itself: the next source is asked.
        for (variable, full) in [
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", true),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", false),
            ("HYPERDX_API_ENDPOINT", false),
        ] {
            let Some(value) = self.environment.get(variable) else { continue };
            match if full { Endpoint::from_full(value) } else { Endpoint::from_base(value) } {
                Ok(endpoint) => return Ok(endpoint),
                Err(problem) => self.notice(variable, &format!("{problem}; it is ignored"), help),
            }
        }
        Endpoint::from_base(DEFAULT_ENDPOINT).map_err(Error::configuration)
    }

    fn headers(&mut self, code: &Otlp) -> Result<Vec<Header>, Error> {
        let mut headers: Vec<Header> = Vec::new();
        if let Some((variable, text)) =
            self.environment.first(&["OTEL_EXPORTER_OTLP_LOGS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"])
        {
            let (parsed, problems) = parse_headers(text);
            headers = parsed;
            for problem in problems {
                self.notice(
                    variable,
                    &format!("{problem}; it is not sent"),
                    "write key=value,key=value, values percent-encoded",
                );
            }
        }
        if let Some((variable, key)) = self.environment.first(&["HYPERDX_LOGS_APIKEY", "HYPERDX_API_KEY"]) {
            match header("authorization", key) {
                Ok(key) => replace(&mut headers, key),
                Err(problem) => self.notice(variable, &problem, "copy the ingestion key again, without line breaks"),
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

    fn protocol(&mut self) {
        let variables = ["OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
        let Some((variable, protocol)) = self.environment.first(&variables) else { return };
        let problem = match protocol.to_ascii_lowercase().as_str() {
            "http/protobuf" => return,
            "grpc" | "http/json" => format!("`{protocol}` is not compiled into this program; http/protobuf is used"),
            _ => format!("`{protocol}` is no OTLP protocol; http/protobuf is used"),
        };
        self.notice(
            variable,
            &problem,
            "set it to http/protobuf, and the endpoint to the collector's HTTP port (4318)",
        );
    }

    /// Variables that ask for something this version does not do.
    fn without_effect(&mut self) {
        for names in [
            ["OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"],
            ["OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"],
            ["OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"],
        ] {
            if let Some((variable, value)) = self.environment.first(&names)
                && !value.eq_ignore_ascii_case("none")
            {
                self.notice(variable, "it has no effect in this version of logbridge", "unset it");
            }
        }
    }

    /// Milliseconds, or a number with `ms` or `s` behind it.
    fn duration(&mut self, variables: &[&'static str]) -> Option<Duration> {
        let (variable, value) = self.environment.first(variables)?;
        let (number, unit) = split_unit(value);
        let duration = match (number.parse::<u64>(), unit) {
            (Ok(ms), "" | "ms") => Some(Duration::from_millis(ms)),
            (Ok(s), "s") => Some(Duration::from_secs(s)),
            _ => None,
        };
        if duration.is_none() {
            let problem = format!("`{value}` is no time; the default is used");
            self.notice(variable, &problem, "write milliseconds as a whole number, such as 10000");
        }
        duration
    }

    /// Bytes, or a number with `KiB`, `MiB` or `GiB` behind it.
    fn bytes(&mut self, variable: &'static str) -> Option<usize> {
        let value = self.environment.get(variable)?;
        let (number, unit) = split_unit(value);
        let shift = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => Some(0),
            "k" | "kib" => Some(10),
            "m" | "mib" => Some(20),
            "g" | "gib" => Some(30),
            _ => None,
        };
        let bytes = number.parse::<usize>().ok().zip(shift).and_then(|(n, shift)| n.checked_mul(1 << shift));
        if bytes.is_none() {
            let problem = format!("`{value}` is no size; the default is used");
            self.notice(variable, &problem, "write bytes as a whole number, such as 67108864, or 64MiB");
        }
        bytes
    }
}

fn split_unit(value: &str) -> (&str, &str) {
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(end);
    (number, unit.trim())
}

fn replace(headers: &mut Vec<Header>, header: Header) {
    headers.retain(|other| other.name != header.name);
    headers.push(header);
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
