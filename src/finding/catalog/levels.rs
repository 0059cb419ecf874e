//! Kinds of findings about filters and levels: LB001 to LB019.

super::kinds! {
    UNKNOWN_LEVEL = "LB001" "unknown-level" Filtered "a word that stands where a level belongs is none",
        "What stands behind `=` in a filter must be a level. A directive with another word there is ignored, so its target gets what a shorter directive or the root says, which is less than was meant.",
        "use off, error, warn, info, debug, trace or notset; the finding shows the filter as it was probably meant.";
    LEVEL_AS_TARGET = "LB002" "level-as-target" Filtered "a level that is misspelt was read as the name of a module",
        "A bare word in a filter that is no level is a target, and all of that target passes. `RUST_LOG=inof` so names a module `inof` that does not exist, says nothing about the rest, and the rest gets WARN (in env_logger: nothing).",
        "write the level as off, error, warn, info, debug, trace or notset; where a module of that name exists, write `name=trace`.";
    SEPARATOR = "LB003" "separator" Filtered "something other than a comma stands between two directives",
        "Only a comma separates directives. With `;`, a space or a line break between them, two directives become one that names a target which does not exist.",
        "separate directives by commas: `RUST_LOG=info,shop::db=debug`.";
    QUOTES = "LB004" "quotes" Filtered "quotes have become part of a filter",
        "Files of docker, compose and systemd hand quotes over as part of the value, where a shell removes them. `\"info\"` is then no level but the name of a module.",
        "remove the quotes from the file: `RUST_LOG=info`.";
    SPAN_DIRECTIVE = "LB005" "span-directive" Filtered "a directive for spans and fields, as tracing's EnvFilter has them",
        "`target[span{field=value}]=level` is EnvFilter's and has no meaning here: the directive is ignored.",
        "choose records by target, as in `RUST_LOG=info,shop::db=debug`; LOGBRIDGE_SPAN_LEVEL says which spans there are.";
    TWO_SLASHES = "LB006" "two-slashes" Filtered "a filter with two slashes is ignored as a whole",
        "Behind one `/` stands a pattern for the text of records. A second `/` makes the whole filter invalid, as in env_logger, and the root falls back to WARN.",
        "write targets with `::`, and at most one `/` in front of the pattern: `RUST_LOG=info/paid`.";
    TWO_EQUALS = "LB007" "two-equals" Filtered "a directive has two equals signs",
        "A directive is `target=level`. One with a second `=` is ignored, often because a comma is missing between two of them.",
        "put a comma between directives: `RUST_LOG=app=info,db=debug`.";
    MESSAGE_FILTER = "LB008" "message-filter" Filtered "a pattern behind `/` cuts records by their text",
        "What stands behind the `/` of a filter is a pattern, and records whose text does not match it are cut everywhere. Mostly a path was meant, or a target that was written with slashes.",
        "remove the `/` and what follows it, or write the target with `::`.";
    LONE_DIRECTIVE = "LB009" "lone-directive" Filtered "a filter names only single modules",
        "Without a level of its own, the root is NOTSET, and NOTSET at the root means WARN: everything that no directive names gets WARN (with env_logger and EnvFilter: nothing at all).",
        "put a level for the rest in front: `RUST_LOG=info,shop::db=debug`.";
    REPEATED = "LB010" "repeated" Filtered "a filter names the same target twice",
        "Of two directives for the same target the last one counts; the first has no effect.",
        "keep the one that is meant.";
    HYPHEN = "LB011" "hyphen" Filtered "a directive has a hyphen where targets have an underscore",
        "The target of a record is the path of its module, unless the call names another one, and a crate `my-app` is `my_app` there. A directive with the hyphen matches only records that were written with `target: \"my-app\"`; once one has come, the running program does not name this any more.",
        "where a module is meant, write the underscore: `RUST_LOG=my_app=debug`.";
    STAR = "LB012" "star" Filtered "a directive has a `*`, which stands for itself",
        "Targets are compared by their beginning. There are no patterns: a `*` in a directive matches only a target with a `*` in it.",
        "leave it out: `shop` names `shop` and all below it; a bare level names everything.";
    UPPERCASE = "LB013" "uppercase" Filtered "a directive has capital letters where targets are lower-case",
        "Targets are compared letter by letter, and names of crates and modules are lower-case by custom.",
        "write the name as the module has it; for a target of your own with capital letters this is well.";
    COMPILED_OUT = "LB014" "compiled-out" NeverCreated "a level is asked for that is not compiled into the program",
        "A feature `max_level_*` or `release_max_level_*` of `log` or `tracing` removes the calls below a level while compiling. Features of all dependencies are added up, and the lowest wins: one dependency that asks for `release_max_level_warn` silences every crate of the release build.",
        "`logbridge doctor project` names the crate that asks for the feature: remove it there, or depend on a version without it. The same, seen in a project, is LB045.";
    PREFIX = "LB015" "prefix" Filtered "a directive also names a crate that begins with the same letters",
        "A directive names every target that begins with it, as in env_logger: `shop=off` also silences `shop_core`.",
        "end the name with `::` to mean the modules of that crate only, or add a directive for the other crate.";
    MATCHES_NOTHING = "LB016" "matches-nothing" Filtered "a directive matches no crate of the program",
        "No crate that has logged, or that is compiled in, has a target that begins with this name. Mostly it is misspelt, or the package has another name than its library.",
        "compare it with the targets in the report; the target is the path of the module, with `_` for `-`.";
    THRESHOLD_WITHOUT_EFFECT = "LB017" "threshold-without-effect" Filtered "a destination asks for more than the module stage lets through",
        "A record passes the module stage first (RUST_LOG), then the threshold of each destination, which can only be stricter. A destination at DEBUG behind a module stage at INFO gets INFO.",
        "raise the module stage: `RUST_LOG=debug`, or `Builder::filter_level`.";
    LEVELS_UNCHANGED = "LB018" "levels-unchanged" Filtered "the levels could not be changed, and stay as they were",
        "A levels file that is missing or has an error in it changes nothing; it is looked at again four times a second. And each different set of levels is kept for as long as the process lives, so after half a million of them there are no new ones.",
        "write one or more directives a line as in RUST_LOG, `#` before comments, and `[otlp]`, `[console]` or `[spans]` before those of another stage; set levels for modules, not for single requests.";
    COLON = "LB019" "colon" Filtered "a colon stands where an equals sign belongs",
        "`app:debug` has no `=`, so it is the name of a module that does not exist: it lets everything of that through, and the rest gets what the root has.",
        "write an equals sign: `RUST_LOG=app=debug`.";
}
