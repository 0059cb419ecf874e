//! Finds the level or message filter that stopped most records, according to the reports of programs.

use super::program_reports::{ProgramReport, StoppedRecords};
use super::wording::UNMATCHED;
use crate::command::wording::plural;

/// How reports of all versions begin the origin of a level that nothing sets.
const UNSET: [&str; 5] = ["default", "no level", "not set", "root", "unset"];

/// A level or message filter that stopped records.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) text: String,
    /// How to let the records pass.
    pub(super) help: String,
}

/// Returns the gate that stopped most of the records below WARN.
pub(super) fn below_warn(programs: &[ProgramReport]) -> Option<Gate> {
    let is_below = |stopped: &&StoppedRecords| matches!(stopped.level.as_str(), "info" | "debug" | "trace");
    most(programs, is_below).or_else(|| unnamed(programs))
}

/// Returns the gate that stopped most of the records.
pub(super) fn tightest(programs: &[ProgramReport]) -> Option<Gate> {
    most(programs, |_| true).or_else(|| unnamed(programs))
}

fn most(programs: &[ProgramReport], wanted: impl Fn(&&StoppedRecords) -> bool) -> Option<Gate> {
    // Records that the console filtered are exported all the same.
    let filtered = programs.iter().flat_map(|program| &program.filtered).filter(|stopped| stopped.stage != "console");
    let most = filtered.filter(wanted).max_by_key(|stopped| stopped.records)?;
    let help =
        if most.is_by_message_filter() { change_message_filter(&most.by) } else { lower_level(&most.by, &most.stage) };
    Some(Gate { text: format!("{}, most of them by {}", stopped_records(programs), most.by), help })
}

/// Returns a gate for programs whose report does not name directives.
fn unnamed(programs: &[ProgramReport]) -> Option<Gate> {
    let at = |of: fn(&ProgramReport) -> u64| programs.iter().map(of).sum::<u64>();
    let (module, otlp) = (at(|program| program.below), at(|program| program.otlp.below));
    let (stage, variable) = if otlp > module { ("otlp", "LOGBRIDGE_OTLP_LEVEL") } else { ("module stage", "RUST_LOG") };
    let help = lower_level(variable, stage);
    (module + otlp > 0).then(|| Gate { text: stopped_records(programs), help })
}

/// Formats the numbers of records that levels and message filters stopped.
fn stopped_records(programs: &[ProgramReport]) -> String {
    let sum = |of: fn(&ProgramReport) -> u64| programs.iter().map(of).sum::<u64>();
    let below = |number| format!("{} were below their level", plural(number, "record"));
    match (sum(ProgramReport::below_levels), sum(ProgramReport::unmatched)) {
        (below_levels, 0) => below(below_levels),
        (0, unmatched) => format!("{} {UNMATCHED}", plural(unmatched, "record")),
        (below_levels, unmatched) => {
            format!("{} {UNMATCHED}, {}", plural(unmatched, "record"), below(below_levels))
        }
    }
}

/// Suggests changing a message filter.
fn change_message_filter(by: &str) -> String {
    let setting = by.split_once(':').map_or(by, |(setting, _)| setting).trim();
    format!("change or remove the text filter after the `/` in {setting}")
}

/// Suggests lowering the level in the setting that decided.
fn lower_level(by: &str, stage: &str) -> String {
    let setting = by.split_once(':').map_or(by, |(setting, _)| setting).trim();
    let is_variable = |name: &str| {
        name.bytes().any(|byte| byte.is_ascii_uppercase())
            && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    match (setting, stage) {
        ("code", "otlp") => "change the level in code: `Otlp::level`".to_owned(),
        ("code", _) => "change the level in code: `Builder::filter_level`".to_owned(),
        (name, _) if is_variable(name) => format!("{name}=info"),
        (_, "otlp") => "LOGBRIDGE_OTLP_LEVEL=info".to_owned(),
        (name, _) if UNSET.iter().any(|unset| name.starts_with(unset)) => "RUST_LOG=info".to_owned(),
        (name, _) => format!("change the level in {name}"),
    }
}

/// Returns whether some directive of a filter lets INFO pass.
pub(super) fn lets_info_through(filter: &str) -> bool {
    let directives = filter.split_once('/').map_or(filter, |(directives, _)| directives).split(',');
    let mut levels = directives.map(|directive| directive.rsplit('=').next().unwrap_or_default().trim().to_lowercase());
    levels.any(|level| matches!(level.as_str(), "info" | "debug" | "trace"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::run::program_reports::OtlpCounts;

    fn stopped(stage: &str, level: &str, records: u64, by: &str) -> StoppedRecords {
        StoppedRecords {
            stage: stage.to_owned(),
            level: level.to_owned(),
            records,
            by: by.to_owned(),
            ..StoppedRecords::default()
        }
    }

    #[test]
    fn the_deciding_setting_is_named() {
        for (stage, by, help) in [
            ("otlp", "LOGBRIDGE_OTLP_LEVEL: error", "LOGBRIDGE_OTLP_LEVEL=info"),
            ("otlp", "code: ERROR", "change the level in code: `Otlp::level`"),
            ("module stage", "code: shop=WARN", "change the level in code: `Builder::filter_level`"),
            ("module stage", "RUST_LOG: shop=warn", "RUST_LOG=info"),
            ("module stage", "MY_LOG: WARN", "MY_LOG=info"),
            ("module stage", "not set: at the root, NOTSET means WARN", "RUST_LOG=info"),
            ("module stage", "/etc/levels: WARN", "change the level in /etc/levels"),
        ] {
            let filtered = vec![
                stopped("console", "info", 900, "LOGBRIDGE_CONSOLE_LEVEL: error"),
                stopped("otlp", "warn", 90, "LOGBRIDGE_OTLP_LEVEL: off"),
                stopped(stage, "info", 9, by),
            ];
            let program = ProgramReport { below: 9, filtered, ..ProgramReport::default() };
            let gate = below_warn(&[program]).expect("a gate");
            assert_eq!(gate.help, help, "{by}");
            assert!(gate.text.ends_with(by), "{}", gate.text);
        }
    }

    #[test]
    fn a_message_filter_is_not_called_a_level() {
        let program = |below| {
            let filtered = vec![stopped(
                "module stage",
                "info",
                4,
                &format!("RUST_LOG: {}", logbridge::internals::levels::MESSAGE_FILTER_CAUSE),
            )];
            ProgramReport { below, filtered, ..ProgramReport::default() }
        };
        let gate = tightest(&[program(4)]).expect("a gate");
        assert_eq!(
            gate.text,
            "4 records did not match the text filter, most of them by RUST_LOG: a filter on the text"
        );
        assert_eq!(gate.help, "change or remove the text filter after the `/` in RUST_LOG");
        let gate = tightest(&[program(6)]).expect("a gate");
        let text = "4 records did not match the text filter, 2 records were below their level, ";
        assert!(gate.text.starts_with(text), "{}", gate.text);
    }

    #[test]
    fn without_a_directive_the_stage_is_named() {
        let otlp = OtlpCounts { below: 5, ..OtlpCounts::default() };
        let gate = tightest(&[ProgramReport { otlp, ..ProgramReport::default() }]).expect("a gate");
        assert_eq!(
            (gate.text.as_str(), gate.help.as_str()),
            ("5 records were below their level", "LOGBRIDGE_OTLP_LEVEL=info")
        );
        assert_eq!(
            tightest(&[ProgramReport { below: 1, ..ProgramReport::default() }]).expect("a gate").help,
            "RUST_LOG=info"
        );
        assert!(tightest(&[ProgramReport::default()]).is_none());
    }

    #[test]
    fn a_filter_lets_info_pass_if_any_directive_does() {
        for (filter, lets) in
            [("info", true), ("error,shop=info", true), ("warn", false), ("shop=WARN/info", false), ("", false)]
        {
            assert_eq!(lets_info_through(filter), lets, "{filter}");
        }
    }
}
