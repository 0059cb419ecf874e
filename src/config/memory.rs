//! How many bytes: those that wait, and those of one request.

use super::resolve::{Resolver, split_unit};
use super::{Settings, Source, defaults};
use crate::finding::{Finding, Severity, kind};

impl Resolver<'_> {
    pub(super) fn max_bytes(&mut self, settings: &Settings) -> usize {
        self.size("logs max bytes", settings.max_bytes, "LOGBRIDGE_MAX_BYTES", defaults::MAX_BYTES, defaults::MIN_BYTES)
    }

    /// The same for both signals, and decided once.
    pub(super) fn max_request(&mut self, settings: &Settings) -> usize {
        const VARIABLE: &str = "LOGBRIDGE_MAX_REQUEST_BYTES";
        self.size("max request", settings.max_request, VARIABLE, defaults::MAX_REQUEST, defaults::MIN_REQUEST)
    }

    pub(super) fn size(
        &mut self,
        name: &'static str,
        code: Option<usize>,
        variable: &'static str,
        built_in: usize,
        least: usize,
    ) -> usize {
        let (given, source) = match code {
            Some(given) => (given, Source::Code),
            None => self.bytes(variable).unwrap_or((built_in, Source::BuiltIn)),
        };
        if given < least {
            let text = format!("{given} bytes are too few: {least} are used");
            let help = format!("write {least} or more");
            self.find(Finding::new(&kind::TOO_SMALL, Severity::Warning, source.to_string(), text).help(help));
        }
        let decided = given.max(least);
        self.keep(name, decided.to_string(), source);
        decided
    }

    /// Bytes, or a number with `KiB`, `MiB` or `GiB` behind it.
    fn bytes(&mut self, variable: &'static str) -> Option<(usize, Source)> {
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
            self.error(
                &kind::BAD_VALUE,
                variable,
                &problem,
                "write bytes as a whole number, such as 67108864, or 64MiB",
            );
        }
        Some((bytes?, Source::Variable(variable)))
    }
}
