//! Kinds of findings about an endpoint, as `logbridge doctor` checks it: LB063 to LB074, then LB170 to LB184.

super::definition::kinds! {
    UNRESOLVED_NAME = "LB063" "unresolved-name" Dropped {
        title: "the host name of the endpoint cannot be resolved",
        effect: "No request reaches the endpoint.",
        cause: "The resolver of this machine does not know the name. In a container, `localhost` is the container \
                itself, and service names exist only in their own network.",
        fix: "Correct the host name of the endpoint, or check the resolver.",
        example: "In docker compose, a collector with the service name `collector` is `http://collector:4318`, not \
                  `http://localhost:4318`.",
    }
    UNREACHABLE = "LB064" "unreachable" Dropped {
        title: "no connection to the endpoint can be established",
        effect: "No request reaches the endpoint.",
        cause: "Nothing listens at that address and port, a firewall drops the packets, or only one of IPv4 and IPv6 \
                is served. A collector that listens on localhost in its container accepts no outside connection. \
                ClickStack opens its OTLP ports only after an ingestion key is set.",
        fix: "Start the collector, let it listen on 0.0.0.0, or set another endpoint.",
        example: "In the collector's configuration: `endpoint: 0.0.0.0:4318`",
    }
    WRONG_PROTOCOL = "LB065" "wrong-protocol" Dropped {
        title: "the port and the exporter use different protocols",
        effect: "Every request fails. The stock exporter reports \"network error\" or \"frame with invalid size\".",
        cause: "OTLP uses gRPC over HTTP/2, usually on port 4317, or HTTP/1.1, usually on port 4318.",
        fix: "Use the other port, or set OTEL_EXPORTER_OTLP_PROTOCOL to the protocol of the port.",
        example: "`OTEL_EXPORTER_OTLP_PROTOCOL=grpc` for port 4317",
    }
    WRONG_SCHEME = "LB066" "wrong-scheme" Dropped {
        title: "the scheme of the URL and the port disagree about TLS",
        effect: "With https:// to a plain port, the handshake fails. With http:// to a TLS port, the answer is an \
                 alert or status 400.",
        cause: "The scheme of the endpoint decides whether TLS is used.",
        fix: "Change the scheme or the port of the endpoint.",
        example: "Instead of `https://localhost:4318` for a collector without TLS, write `http://localhost:4318`.",
    }
    BAD_CERTIFICATE = "LB067" "bad-certificate" Dropped {
        title: "TLS fails because a certificate is expired, unknown, missing or for another name",
        effect: "The connection ends during the TLS handshake, and no request is sent.",
        cause: "The certificate must be valid now, for the host of the URL, and signed by a trusted root. Some \
                endpoints ask for a client certificate. gRPC of opentelemetry-otlp 0.33 trusts no root unless code \
                sets one. A wrong clock also makes certificates expire.",
        fix: "Set the roots, and the certificate and key of the client, in OTEL_EXPORTER_OTLP_CERTIFICATE, \
              …_CLIENT_CERTIFICATE and …_CLIENT_KEY. The stock Rust exporter (0.33) reads none of them and needs TLS \
              settings in code.",
        example: "`OTEL_EXPORTER_OTLP_CERTIFICATE=/etc/ssl/private-ca.pem`",
    }
    CREDENTIALS_REFUSED = "LB068" "credentials-refused" Refused {
        title: "the endpoint rejects the credentials",
        effect: "The endpoint answers 401 or 403 (UNAUTHENTICATED or PERMISSION_DENIED) and accepts no records.",
        cause: "No key was sent, or the endpoint does not know it. An empty or badly written \
                OTEL_EXPORTER_OTLP_LOGS_HEADERS sends none.",
        fix: "Set OTEL_EXPORTER_OTLP_HEADERS or HYPERDX_API_KEY, and check for quotes and line breaks around the key.",
        example: "`OTEL_EXPORTER_OTLP_HEADERS=authorization=KEY`",
    }
    WRONG_PATH = "LB069" "wrong-path" Refused {
        title: "the endpoint accepts logs at another path or address",
        effect: "The endpoint answers 404 or a redirect, and accepts no records.",
        cause: "`/v1/logs` is appended to a general endpoint only. Behind a proxy, the path often has a prefix. OTLP \
                exporters do not follow redirects, because a POST would become a GET without its body. The stock \
                exporter counts a redirect as a success.",
        fix: "Use the path or address that the finding names.",
        example: "Instead of `OTEL_EXPORTER_OTLP_ENDPOINT=http://gateway`, write \
                  `OTEL_EXPORTER_OTLP_ENDPOINT=http://gateway/otlp`.",
    }
    NO_LOGS_PIPELINE = "LB070" "no-logs-pipeline" Refused {
        title: "the endpoint is an OTLP receiver that does not accept logs",
        effect: "The endpoint answers 404, or UNIMPLEMENTED over gRPC, to every request with logs.",
        cause: "The collector has no `logs:` pipeline, or the backend accepts only traces (Jaeger, Tempo).",
        fix: "Add a logs pipeline to the configuration of the collector, or send logs elsewhere.",
        example: "Under `service: pipelines:` add `logs: { receivers: [otlp], exporters: [debug] }`.",
    }
    NOT_OTLP = "LB071" "not-otlp" Refused {
        title: "the endpoint is not an OTLP receiver",
        effect: "A login page, a proxy or another service answers. The records are lost, although the stock exporter \
                 counts a status 200 as delivered.",
        cause: "Host, port or path of the endpoint belong to another service.",
        fix: "Compare host, port and path with those of the collector.",
        example: "`http://grafana:3000` is a user interface. The collector beside it is `http://collector:4318`.",
    }
    NO_ANSWER = "LB072" "no-answer" Dropped {
        title: "the endpoint accepts the connection but does not answer",
        effect: "Each export takes its whole timeout, and so do flush and shutdown.",
        cause: "The endpoint hangs, is overloaded, or expects something other than HTTP. A full queue of the \
                collector's exporters also blocks its receivers.",
        fix: "Check the log of the collector, and the backends that it exports to.",
        example: "`docker logs collector` shows `sending queue is full`.",
    }
    ENDPOINT_LIMITS = "LB073" "endpoint-limits" Refused {
        title: "the endpoint rejects large or compressed requests",
        effect: "Large or compressed batches are rejected as a whole.",
        cause: "Receivers limit the size of a request, by default to 4 MiB for gRPC and to 1 MiB in some proxies. Some \
                do not accept gzip. A batch of 512 long records exceeds such limits.",
        fix: "Raise the limit of the receiver, send fewer records per request, or disable compression.",
        example: "`OTEL_BLRP_MAX_EXPORT_BATCH_SIZE=128`, and unset `OTEL_EXPORTER_OTLP_COMPRESSION`",
    }
    NOT_TAKEN = "LB074" "not-taken" Refused {
        title: "the endpoint answers, but does not accept the records",
        effect: "The endpoint is busy (429, 503), fails (500), cannot read the request (400), or rejects some of its \
                 records (a partial success).",
        cause: "The answer of the endpoint states the reason; the finding quotes it.",
        fix: "Correct the cause that the answer names, and check the log of the endpoint.",
        example: "\"partial success: rejected 3: timestamp too old\" means that the clock of the sender is off.",
    }
}
