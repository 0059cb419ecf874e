//! Kinds of findings about settings: LB020 to LB044, then LB120 to LB144.

super::definition::kinds! {
    BAD_VALUE = "LB020" "bad-value" Dropped {
        title: "a variable or setting has an invalid value",
        effect: "The value is ignored and the default applies, so a queue, a delay, a timeout or a switch is not set \
                 as intended.",
        cause: "The value does not have the form that the setting needs. The stock SDK ignores such a value without a \
                message.",
        fix: "Write the value in the form that the finding shows.",
        example: "Instead of `OTEL_BLRP_MAX_QUEUE_SIZE=10k`, write `OTEL_BLRP_MAX_QUEUE_SIZE=10240`.",
    }
    UNKNOWN_VALUE = "LB021" "unknown-value" Dropped {
        title: "a variable has a value outside its list of known values",
        effect: "The value is ignored and the default applies, which may send records elsewhere or not at all.",
        cause: "Variables such as OTEL_EXPORTER_OTLP_PROTOCOL accept only a few values.",
        fix: "Use one of the values that the finding lists.",
        example: "Instead of `OTEL_EXPORTER_OTLP_PROTOCOL=http`, write `OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf`.",
    }
    BAD_URL = "LB022" "bad-url" Dropped {
        title: "an endpoint is not a valid URL",
        effect: "Nothing can be sent to the endpoint. The stock HTTP exporter cannot be built, or fails later with \
                 \"network error\" if the endpoint is set in code.",
        cause: "An endpoint needs a scheme (`http://` or `https://`) and a host.",
        fix: "Write a complete URL.",
        example: "Instead of `OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4318`, write \
                  `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318`.",
    }
    URL_CREDENTIALS = "LB023" "url-credentials" Refused {
        title: "an endpoint contains a user name and password",
        effect: "The endpoint answers 401, and the password may appear wherever the URL is printed.",
        cause: "OTLP exporters do not send the part of a URL before the `@`.",
        fix: "Send the credentials as a header.",
        example: "`OTEL_EXPORTER_OTLP_HEADERS=authorization=Basic%20…`",
    }
    DOUBLED_PATH = "LB024" "doubled-path" Refused {
        title: "a general endpoint already contains a signal's path",
        effect: "Records are posted to `/v1/logs/v1/logs`, and the endpoint answers 404.",
        cause: "`/v1/logs` is appended to OTEL_EXPORTER_OTLP_ENDPOINT.",
        fix: "Write the base URL without the path.",
        example: "Instead of `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318/v1/logs`, write \
                  `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318`.",
    }
    MISSING_PATH = "LB025" "missing-path" Refused {
        title: "a signal's own endpoint has no path",
        effect: "Records are posted to `/`, and the endpoint answers 404.",
        cause: "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT is used as it is. So is an endpoint that code passes to the stock \
                HTTP exporter.",
        fix: "Write the complete URL with the path.",
        example: "`OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=http://localhost:4318/v1/logs`",
    }
    GRPC_PORT = "LB026" "grpc-port" Dropped {
        title: "the port belongs to the other protocol",
        effect: "Requests fail. The stock exporter reports \"network error\".",
        cause: "By convention, collectors serve gRPC on port 4317 and HTTP on port 4318.",
        fix: "Use port 4318 for HTTP, or set OTEL_EXPORTER_OTLP_PROTOCOL=grpc for port 4317.",
        example: "Instead of `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317`, write \
                  `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318`.",
    }
    BAD_HEADER = "LB027" "bad-header" Refused {
        title: "a header cannot be sent",
        effect: "The header is omitted. If it carries the key, the endpoint answers 401.",
        cause: "The name or value contains characters that HTTP does not allow. An example is the line break at the \
                end of a key from a secret.",
        fix: "Write `key=value,key=value`, percent-encode the values, and remove line breaks.",
        example: "Instead of `OTEL_EXPORTER_OTLP_HEADERS=\"authorization=key;x-tenant=1\"`, write \
                  `OTEL_EXPORTER_OTLP_HEADERS=authorization=key,x-tenant=1`.",
    }
    HEADER_COLON = "LB028" "header-colon" Refused {
        title: "a header is written with a colon",
        effect: "The header is omitted. If it carries the key, the endpoint answers 401.",
        cause: "Headers in a variable have the form `key=value`, not `key: value` as in HTTP.",
        fix: "Write an equals sign.",
        example: "Instead of `OTEL_EXPORTER_OTLP_HEADERS=\"authorization: KEY\"`, write \
                  `OTEL_EXPORTER_OTLP_HEADERS=authorization=KEY`.",
    }
    HEADER_COMMA = "LB029" "header-comma" Refused {
        title: "a comma splits a header in two",
        effect: "The header ends at the comma, so only a part of the key is sent.",
        cause: "Commas separate headers, also inside a value.",
        fix: "Write a comma inside a value as `%2C`.",
        example: "Instead of `OTEL_EXPORTER_OTLP_HEADERS=\"authorization=Bearer a,b\"`, write \
                  `OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20a%2Cb`.",
    }
    HEADER_QUOTE = "LB030" "header-quote" Refused {
        title: "quotes are part of a header",
        effect: "A name with a quote is invalid, so its header is omitted. A value is sent with its quotes, and the \
                 endpoint answers 401.",
        cause: "A shell removes quotes. Environment files of docker, compose and systemd may pass them on as part of \
                the value.",
        fix: "Remove the quotes around names and values from the file.",
        example: "Instead of `OTEL_EXPORTER_OTLP_HEADERS=\"authorization=KEY\"` in an environment file, write \
                  `OTEL_EXPORTER_OTLP_HEADERS=authorization=KEY`.",
    }
    QUOTED_VALUE = "LB031" "quoted-value" Dropped {
        title: "quotes are part of a value",
        effect: "A quoted URL or number is invalid, and a quoted name is sent with its quotes.",
        cause: "A shell removes quotes. Environment files of docker, compose and systemd may pass them on as part of \
                the value.",
        fix: "Remove the quotes from the file.",
        example: "Instead of `OTEL_SERVICE_NAME='shop'` in an environment file, write `OTEL_SERVICE_NAME=shop`.",
    }
    UNEXPANDED = "LB032" "unexpanded" Refused {
        title: "a value contains a placeholder that was not replaced",
        effect: "The program uses the placeholder itself as a key, URL or name.",
        cause: "Only a shell expands variables, and only some files are read by a shell. `${KEY}`, `$(KEY)`, `%KEY%` \
                and `<your-key>` are such placeholders.",
        fix: "Write the value itself, or use a tool that expands the placeholder.",
        example: "`HYPERDX_API_KEY=${API_KEY}` in a systemd unit sends the text `${API_KEY}` as the key.",
    }
    KEY_WHITESPACE = "LB033" "key-whitespace" Refused {
        title: "an ingestion key contains white space or a prefix",
        effect: "The endpoint does not know the key and answers 401.",
        cause: "HYPERDX_API_KEY is sent as it is, including white space inside it or `Bearer ` before it.",
        fix: "Copy the ingestion key again, without anything around it.",
        example: "Instead of `HYPERDX_API_KEY=\"Bearer KEY\"`, write `HYPERDX_API_KEY=KEY`.",
    }
    MISSPELT_VARIABLE = "LB034" "misspelt-variable" Dropped {
        title: "the name of a variable looks misspelt",
        effect: "No program reads the variable, so the default applies.",
        cause: "Names of variables must match exactly, including upper and lower case.",
        fix: "Rename the variable to the name that the finding gives.",
        example: "Instead of `OTEL_EXPORTER_OTLP_LOG_ENDPOINT` (without the S) or `otel_service_name`, write \
                  `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT` or `OTEL_SERVICE_NAME`.",
    }
    NO_EFFECT = "LB035" "no-effect" Dropped {
        title: "a variable has no effect",
        effect: "The setting that the variable asks for does not apply.",
        cause: "The specification or another implementation knows the variable, but this program does not read it. Or \
                the endpoint rejects the requested feature, such as compression, so requests are sent without it.",
        fix: "Unset the variable, and use the setting that the finding names, if there is one.",
        example: "The stock Rust exporter does not read `HYPERDX_API_KEY`. Write \
                  `OTEL_EXPORTER_OTLP_HEADERS=authorization=KEY`.",
    }
    EMPTY_MASKS = "LB036" "empty-masks" Refused {
        title: "an empty variable for one signal hides the general one",
        effect: "With the stock Rust exporter, no key is sent. logbridge treats the empty variable as unset.",
        cause: "The stock exporter takes the empty value of OTEL_EXPORTER_OTLP_LOGS_HEADERS and ignores \
                OTEL_EXPORTER_OTLP_HEADERS.",
        fix: "Unset the variable instead of setting it to an empty value.",
        example: "Remove the line `OTEL_EXPORTER_OTLP_LOGS_HEADERS=` from the environment file.",
    }
    SET_IN_CODE = "LB037" "set-in-code" Dropped {
        title: "code overrides the value of a variable",
        effect: "The variable has no effect, and records are sent to the place that the code names.",
        cause: "A setting in code takes precedence over the environment.",
        fix: "Remove the setting from the code, or unset the variable.",
        example: "`Otlp::to(\"http://other:4318\")` overrides `OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318`.",
    }
    SUSPICIOUS_UNIT = "LB038" "suspicious-unit" Dropped {
        title: "a timeout looks as if it were meant in seconds",
        effect: "Requests time out while they are being answered. Their records are sent twice, or counted as lost \
                 although they arrived.",
        cause: "OTEL_EXPORTER_OTLP_TIMEOUT and similar variables are in milliseconds.",
        fix: "Write the time in milliseconds.",
        example: "For ten seconds, write `OTEL_EXPORTER_OTLP_TIMEOUT=10000` instead of \
                  `OTEL_EXPORTER_OTLP_TIMEOUT=10`.",
    }
    TOO_SMALL = "LB039" "too-small" Dropped {
        title: "a limit is so small that records do not fit",
        effect: "Records are dropped in every burst. With OTEL_BLRP_MAX_QUEUE_SIZE=0, the stock SDK drops all of them.",
        cause: "The limit in memory, on disk or of a queue is smaller than a burst needs.",
        fix: "Raise the limit, or unset it for the default.",
        example: "Instead of `OTEL_BLRP_MAX_QUEUE_SIZE=0`, write `OTEL_BLRP_MAX_QUEUE_SIZE=2048`.",
    }
    BAD_PROXY = "LB040" "bad-proxy" Dropped {
        title: "the environment configures an unusable proxy",
        effect: "An invalid proxy is ignored. A proxy that cannot reach the collector rejects every request.",
        cause: "HTTP_PROXY, HTTPS_PROXY and ALL_PROXY also apply to exporters, as they do to curl.",
        fix: "Write `http://host:port`. If the collector needs no proxy, add its host to NO_PROXY.",
        example: "`HTTP_PROXY=http://proxy:3128` with `NO_PROXY=collector,localhost`",
    }
    BAD_DIRECTORY = "LB041" "bad-directory" Dropped {
        title: "the spool directory is unusable",
        effect: "Records wait in memory only. If the process is killed, they are lost.",
        cause: "The directory cannot be created, or is not writable for the user of the program.",
        fix: "Create the directory for that user, or set LOGBRIDGE_SPOOL_DIR to another one.",
        example: "`install -d -o shop /var/lib/shop/logs` and `LOGBRIDGE_SPOOL_DIR=/var/lib/shop/logs`",
    }
    TRACE_CONTEXT = "LB042" "trace-context" HardToFind {
        title: "the trace context of the environment is not used",
        effect: "The records of the program belong to no trace, or to a trace of their own.",
        cause: "TRACEPARENT becomes the parent of the program's spans only if this is enabled and the value is \
                well-formed.",
        fix: "Set TRACEPARENT as W3C defines it, and enable it with the variable below or with \
              `Builder::trace_context_from_env(true)`.",
        example: "`LOGBRIDGE_TRACE_CONTEXT_FROM_ENV=true`",
    }
    DEBUG_OTHER = "LB043" "debug-other" Filtered {
        title: "DEBUG has a value that is meant for another tool",
        effect: "The debug mirror stays off. Records are exported as usual.",
        cause: "Values such as `express:*` belong to other programs. Only `true`, `1`, `yes` and `on` turn on the \
                debug mirror.",
        fix: "Set DEBUG=true to print what is exported, or leave the variable as it is.",
        example: "`DEBUG=express:*` belongs to Node.js. Write `DEBUG=true` for the mirror.",
    }
    KEY_EXPRESSION = "LB044" "key-expression" HardToFind {
        title: "a key to redact is written as a regular expression",
        effect: "The expression matches no key, so the values are sent unredacted.",
        cause: "LOGBRIDGE_REDACT_KEYS contains names of keys, in which `*` matches any characters.",
        fix: "Write names such as `password` or `*token*`. For regular expressions on values, use \
              LOGBRIDGE_REDACT_VALUES.",
        example: "Instead of `LOGBRIDGE_REDACT_KEYS=.*token.*`, write `LOGBRIDGE_REDACT_KEYS=*token*`.",
    }
}
