//! Size limits in bytes: the outbox and a single request.

use super::defaults;
use super::resolver::{Resolver, split_unit};
use super::setting::SettingSource;
use crate::finding::{Finding, Severity, kind};

impl Resolver<'_> {
    pub(super) fn max_bytes(&mut self, code: Option<usize>) -> usize {
        self.size_setting("logs max bytes", code, "LOGBRIDGE_MAX_BYTES", defaults::MAX_BYTES, defaults::MIN_BYTES)
    }

    /// Resolves the maximum request size, which applies to both signals.
    pub(super) fn max_request(&mut self, code: Option<usize>) -> usize {
        const VARIABLE: &str = "LOGBRIDGE_MAX_REQUEST_BYTES";
        self.size_setting("max request", code, VARIABLE, defaults::MAX_REQUEST, defaults::MIN_REQUEST)
    }

    pub(super) fn size_setting(
        &mut self,
        name: &'static str,
        code: Option<usize>,
        variable: &'static str,
        built_in: usize,
        least: usize,
    ) -> usize {
        let (given, source) = match code {
            Some(given) => (given, SettingSource::Code),
            None => self.size_variable(variable).unwrap_or((built_in, SettingSource::BuiltIn)),
        };
        if given < least {
            let text = format!("{given} bytes is below the minimum; {least} bytes are used");
            let help = format!("write {least} or more");
            self.add_finding(Finding::new(&kind::TOO_SMALL, Severity::Warning, source.to_string(), text).help(help));
        }
        let decided = given.max(least);
        self.add_setting(name, decided.to_string(), source);
        decided
    }

    /// Parses a number of bytes, or a number followed by `KiB`, `MiB` or `GiB`.
    fn size_variable(&mut self, variable: &'static str) -> Option<(usize, SettingSource)> {
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
            let problem = format!("`{value}` is not a size; the default is used");
            self.add_error(
                &kind::BAD_VALUE,
                variable,
                &problem,
                "write bytes as a whole number, such as 67108864, or 64MiB",
            );
        }
        Some((bytes?, SettingSource::Variable(variable)))
    }
}
