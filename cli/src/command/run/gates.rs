//! Which level kept records from being sent, by what programs say themselves, and what opens it.

use super::reports::{Cut, Program};
use super::text::{UNMATCHED, many};

/// A level that stopped records on their way to the endpoint.
#[derive(Debug)]
pub(super) struct Gate {
    /// What it did, in words.
    pub(super) what: String,
    pub(super) help: String,
}

/// The one that stopped most of the records below WARN.
pub(super) fn below_warn(programs: &[Program]) -> Option<Gate> {
    let is_below = |cut: &&Cut| matches!(cut.level.as_str(), "info" | "debug" | "trace");
    most(programs, is_below).or_else(|| uncounted(programs))
}

/// The one that stopped most of the records.
pub(super) fn tightest(programs: &[Program]) -> Option<Gate> {
    most(programs, |_| true).or_else(|| uncounted(programs))
}

fn most(programs: &[Program], wanted: impl Fn(&&Cut) -> bool) -> Option<Gate> {
    // What the console leaves out is sent all the same.
    let cuts = programs.iter().flat_map(|program| &program.cuts).filter(|cut| cut.stage != "console");
    let cut = cuts.filter(wanted).max_by_key(|cut| cut.records)?;
    let help = if cut.is_by_text() { changes_text(&cut.by) } else { opens(&cut.by, &cut.stage) };
    Some(Gate { what: format!("{}, most of them by {}", all(programs), cut.by), help })
}

/// Of programs that say how many were stopped, and not by what.
fn uncounted(programs: &[Program]) -> Option<Gate> {
    let at = |of: fn(&Program) -> u64| programs.iter().map(of).sum::<u64>();
    let (module, otlp) = (at(|program| program.below), at(|program| program.otlp.below));
    let (stage, variable) = if otlp > module { ("otlp", "LOGBRIDGE_OTLP_LEVEL") } else { ("module stage", "RUST_LOG") };
    let help = opens(variable, stage);
    (module + otlp > 0).then(|| Gate { what: all(programs), help })
}

/// How many were stopped, by levels and by their text.
fn all(programs: &[Program]) -> String {
    let sum = |of: fn(&Program) -> u64| programs.iter().map(of).sum::<u64>();
    let below = |number| format!("{} were below their level", many(number, "record"));
    match (sum(Program::below_levels), sum(Program::unmatched)) {
        (below_levels, 0) => below(below_levels),
        (0, unmatched) => format!("{} {UNMATCHED}", many(unmatched, "record")),
        (below_levels, unmatched) => {
            format!("{} {UNMATCHED}, {}", many(unmatched, "record"), below(below_levels))
        }
    }
}

/// What lets more texts through.
fn changes_text(by: &str) -> String {
    let setting = by.split_once(':').map_or(by, |(setting, _)| setting).trim();
    format!("change what stands behind the `/` in {setting}, or leave it out")
}

/// What lets more through: the setting that decided is the one to be changed.
fn opens(by: &str, stage: &str) -> String {
    let setting = by.split_once(':').map_or(by, |(setting, _)| setting).trim();
    let is_variable = |name: &str| {
        name.bytes().any(|byte| byte.is_ascii_uppercase())
            && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    match (setting, stage) {
        ("code", "otlp") => "name another level in code: `Otlp::level`".to_owned(),
        ("code", _) => "name another level in code: `Builder::filter_level`".to_owned(),
        (name, _) if is_variable(name) => format!("{name}=info"),
        (_, "otlp") => "LOGBRIDGE_OTLP_LEVEL=info".to_owned(),
        (name, _) if name.starts_with("not set") || name.starts_with("root") => "RUST_LOG=info".to_owned(),
        (name, _) => format!("change the level that {name} sets"),
    }
}

/// Whether some directive of a filter lets INFO through.
pub(super) fn lets_info_through(filter: &str) -> bool {
    let directives = filter.split_once('/').map_or(filter, |(directives, _)| directives).split(',');
    let mut levels = directives.map(|directive| directive.rsplit('=').next().unwrap_or_default().trim().to_lowercase());
    levels.any(|level| matches!(level.as_str(), "info" | "debug" | "trace"))
}

#[cfg(test)]
mod tests {
    use super::super::reports::OtlpAccount;
    use super::*;

    fn cut(stage: &str, level: &str, records: u64, by: &str) -> Cut {
        Cut { stage: stage.to_owned(), level: level.to_owned(), records, by: by.to_owned(), ..Cut::default() }
    }

    #[test]
    fn the_setting_that_decided_is_the_one_that_is_named() {
        for (stage, by, help) in [
            ("otlp", "LOGBRIDGE_OTLP_LEVEL: error", "LOGBRIDGE_OTLP_LEVEL=info"),
            ("otlp", "code: ERROR", "name another level in code: `Otlp::level`"),
            ("module stage", "code: shop=WARN", "name another level in code: `Builder::filter_level`"),
            ("module stage", "RUST_LOG: shop=warn", "RUST_LOG=info"),
            ("module stage", "MY_LOG: WARN", "MY_LOG=info"),
            ("module stage", "not set: at the root, NOTSET means WARN", "RUST_LOG=info"),
            ("module stage", "/etc/levels: WARN", "change the level that /etc/levels sets"),
        ] {
            let cuts = vec![
                cut("console", "info", 900, "LOGBRIDGE_CONSOLE_LEVEL: error"),
                cut("otlp", "warn", 90, "LOGBRIDGE_OTLP_LEVEL: off"),
                cut(stage, "info", 9, by),
            ];
            let program = Program { below: 9, cuts, ..Program::default() };
            let gate = below_warn(&[program]).expect("a gate");
            assert_eq!(gate.help, help, "{by}");
            assert!(gate.what.ends_with(by), "{}", gate.what);
        }
    }

    #[test]
    fn a_filter_on_the_text_is_no_level() {
        let program = |below| {
            let cuts =
                vec![cut("module stage", "info", 4, &format!("RUST_LOG: {}", logbridge::internals::levels::ON_TEXT))];
            Program { below, cuts, ..Program::default() }
        };
        let gate = tightest(&[program(4)]).expect("a gate");
        assert_eq!(
            gate.what,
            "4 records did not match the text filter, most of them by RUST_LOG: a filter on the text"
        );
        assert_eq!(gate.help, "change what stands behind the `/` in RUST_LOG, or leave it out");
        let gate = tightest(&[program(6)]).expect("a gate");
        let what = "4 records did not match the text filter, 2 records were below their level, ";
        assert!(gate.what.starts_with(what), "{}", gate.what);
    }

    #[test]
    fn where_no_directive_is_named_the_stage_is() {
        let otlp = OtlpAccount { below: 5, ..OtlpAccount::default() };
        let gate = tightest(&[Program { otlp, ..Program::default() }]).expect("a gate");
        assert_eq!(
            (gate.what.as_str(), gate.help.as_str()),
            ("5 records were below their level", "LOGBRIDGE_OTLP_LEVEL=info")
        );
        assert_eq!(tightest(&[Program { below: 1, ..Program::default() }]).expect("a gate").help, "RUST_LOG=info");
        assert!(tightest(&[Program::default()]).is_none());
    }

    #[test]
    fn a_filter_lets_info_through_where_any_directive_does() {
        for (filter, lets) in
            [("info", true), ("error,shop=info", true), ("warn", false), ("shop=WARN/info", false), ("", false)]
        {
            assert_eq!(lets_info_through(filter), lets, "{filter}");
        }
    }
}
