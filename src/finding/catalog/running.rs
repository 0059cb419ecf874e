//! Kinds of findings about a program that runs: LB075 to LB090.

super::kinds! {
    SLOT_TAKEN = "LB075" "slot-taken" NeverCreated "somebody else gets the records of `log`, or the events of tracing",
        "Each facade has one logger, or one subscriber, for the whole process, and the first to come has it. Who comes later gets an error that is often thrown away, and sees nothing. On a single thread, `with_default` and `set_default` put another subscriber in front of the global one.",
        "initialize once, as the first line of `main`; to have both, compose: `logbridge::layer()` in your registry, `logbridge::logger()` in your logger.";
    APPLICATION = "LB076" "lost-in-the-application" Dropped "the application's own code has kept records back",
        "A log processor of the application did not hand a record on, or a value panicked while it was formatted for one.",
        "see to it that each processor forwards every record, and mend the `Display`, `Debug` or `Serialize` that panics.";
    LEVEL_LOWERED = "LB077" "level-lowered" NeverCreated "something has lowered `log::max_level()` after the start",
        "`log::set_max_level` is one number for the whole process. Whoever lowers it (a library's own init, a test helper) silences `log` records of every crate before they reach anybody.",
        "remove the call that the finding's value points to; levels are changed by RUST_LOG or `bridge.levels()`.";
    ROOT_NOT_SET = "LB078" "root-not-set" Filtered "records were cut because nobody has set a level for the root",
        "NOTSET at the root means WARN: as long as neither RUST_LOG nor code names a level, INFO and below are cut.",
        "RUST_LOG=info, or `Builder::filter_level(LevelFilter::Info)`.";
    SUPPRESSED = "LB079" "suppressed" Suppressed "records were logged where telemetry is suppressed",
        "`Context::enter_telemetry_suppressed_scope` keeps exporters from logging about themselves. A guard that is held across an `.await`, or a context that was captured inside, takes the records of unrelated code along.",
        "drop the guard before the next `.await`, and do not capture the context inside the scope.";
    REPETITION = "LB080" "repetition" Suppressed "records that are like too many others were held back",
        "More records came from one line of code than the limit on repetition allows. The records that passed say how many were held back, in the attribute `logbridge.suppressed`.",
        "raise the limit (LOGBRIDGE_REPETITION), or exempt a level.";
    CANNOT_DELIVER = "LB081" "cannot-deliver" Queued "an endpoint cannot be reached, or asks to wait",
        "Requests fail in a way that may pass: refused connections, timeouts, 429 and 503. Records wait and are sent again and again, within the bound of memory or spool.",
        "`logbridge doctor endpoint` says what is wrong with it and what would make it work.";
    REFUSED = "LB082" "refused" Refused "an endpoint has refused records for good",
        "It answered with a status that sending again does not change (400, 401, 403, 404, 405, 413, 415, 500), with a redirect, or with a partial success that rejects some (or only warns). They are lost, unless a spool keeps what was refused for its credentials or its path.",
        "mend what the endpoint's own words say; `logbridge doctor endpoint` tries path, key and size one by one.";
    UNCONFIRMED = "LB083" "unconfirmed" Refused "an endpoint answered with a success that is no OTLP answer",
        "A login page, a proxy or another service answers 200 to anything. Other exporters count that as delivered; here it is counted apart, and the records are probably lost.",
        "compare host, port and path with those of the collector.";
    OVERLOAD = "LB084" "overload" Dropped "records were dropped because there was no room",
        "Records came faster than they could be delivered until the outbox (or the queue of spans) was full. The policy of LOGBRIDGE_OVERLOAD decides which ones go. One that is larger than the whole outbox, or that cannot be encoded, goes at once.",
        "raise LOGBRIDGE_MAX_BYTES or use a spool; log less (the report names the targets that it cost most), or let calls wait: LOGBRIDGE_OVERLOAD=block.";
    QUEUE_GROWS = "LB085" "queue-grows" Queued "the outbox fills faster than it is sent",
        "More than half of the outbox waits to be sent, while the endpoint answers. When it is full, records are dropped.",
        "look at the rates in the report: the endpoint is too slow, or a target logs too much.";
    LEFT_AT_EXIT = "LB086" "left-at-exit" Dropped "the process ended before everything was delivered",
        "The flush at exit has a deadline. What the endpoint did not take until then is lost with the process, unless a spool keeps it.",
        "raise LOGBRIDGE_EXIT_TIMEOUT, or use a spool: LOGBRIDGE_SPOOL_DIR.";
    AFTER_SHUTDOWN = "LB087" "after-shutdown" Dropped "records were logged after logbridge was shut down",
        "`Bridge::shutdown` is for the end of a program: what is logged after it reaches the console, and no endpoint. The finding names the place that called it.",
        "remove the call: the end of the process flushes by itself; to wait for delivery, use `Bridge::flush`.";
    WORKER_ENDED = "LB088" "worker-ended" Queued "the thread that sends cannot run, or has ended and was started anew",
        "A panic or a closed descriptor ended the thread or its runtime. Records that had not been answered are sent again, after a pause of a second at most, however often that happens.",
        "look at the cause that the finding names; a program that closes descriptors must spare those it did not open.";
    CLOCK_OFF = "LB089" "clock-off" HardToFind "the clock differs from that of the endpoint",
        "The endpoint's `Date` is minutes away from the time of this machine. Records carry this machine's time: a search for the last minutes does not find them, and some backends refuse or delete what is too old or too new.",
        "set the clock (NTP), or search with a wider time range.";
    SPOOL_TROUBLE = "LB090" "spool-trouble" Dropped "the spool cannot be used as it should",
        "A full disk, a directory that was removed, a damaged file: the outbox goes on in memory, and what is readable is sent. What is damaged is set aside and named. In a directory that others can write, only files of the process's own user are sent.",
        "mend the directory (room, permissions); files set aside may be removed by hand, and `logbridge replay --any-owner` sends files of other users.";
}
