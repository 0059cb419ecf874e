#!/usr/bin/env python3
"""Strict OTLP/logs sink on 127.0.0.1: decodes with Google's protobuf (opentelemetry-proto), checks the OTLP rules,
keeps an account of every record (loss, duplicates, order) and plays scripted faults.
Needs only PyPI: opentelemetry-proto grpcio (optional: zstandard).

  strict_sink.py --http 4318 --grpc 4317 --out DIR [--plan "503,503;ra=1,429,ok*3,partial=2,reset,ok"] [--no-records] [--no-check [--seq-only]] [--seq NAME]

Plan: comma-separated answers, one per request in order of arrival (any transport); the last one repeats.
  ok | NNN (HTTP status; on gRPC mapped) | NNN;ra=SECONDS (Retry-After / RetryInfo) | grpc=CODE[;ra=S] | partial=N (accept, say N rejected)
  hang=S (read, wait S seconds, then answer ok) | reset (RST after reading) | rstearly (RST before reading the body)
  drop (store it, then close without an answer: the ambiguous case) | garbage (200 with a body that is no protobuf) | html (200 with a sign-in page)
  redirect=N (3xx to /elsewhere) | bigbody=N (200 with N bytes) | trickle=S (answer dribbled over S seconds) | close (200 + Connection: close)
  X*N repeats X N times.
--http 0 takes any free port; "ready PORT" says which. --grpc 0 switches gRPC off.
GET /stats -> JSON account;  POST /plan (body = plan) -> replace the plan;  POST /clear.
Files in --out: records.jsonl (one per log record), requests.jsonl (one per request), violations.jsonl."""
import argparse, asyncio, base64, collections, gzip, json, os, re, signal, socket, struct, sys, threading, time, zlib
from concurrent import futures
from google.protobuf import json_format, unknown_fields
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as svc, logs_service_pb2_grpc as svcg
ap = argparse.ArgumentParser(); ap.add_argument("--http", type=int, default=4318); ap.add_argument("--grpc", type=int, default=4317)
ap.add_argument("--out", required=True); ap.add_argument("--plan", default="ok"); ap.add_argument("--no-records", action="store_true"); ap.add_argument("--seq", default="seq", help="attribute that numbers records")
ap.add_argument("--no-check", action="store_true", help="count records only (about 1 M logs/s)"); ap.add_argument("--seq-only", action="store_true", help="with --no-check: still account for the seq attribute (loss, duplicates)")
A = ap.parse_args(); os.makedirs(A.out, exist_ok=True)
F = {n: open(os.path.join(A.out, n + ".jsonl"), "w", buffering=1 << 16) for n in ("records", "requests", "violations")}
LOCK = threading.Lock(); St = collections.Counter(); Seen = collections.Counter(); LastSeq = {}; Viol = collections.Counter()

def parse_plan(s):
    out = []
    for x in filter(None, (y.strip() for y in s.split(","))):
        m = re.match(r"^(.*)\*(\d+)$", x); out += [m[1]] * int(m[2]) if m else [x]
    return out or ["ok"]
Plan = parse_plan(A.plan)
def next_action():
    with LOCK:
        a = Plan.pop(0) if len(Plan) > 1 else Plan[0]
    d = dict((kv.split("=", 1) + [""])[:2] for kv in a.split(";")); return a, d

def viol(rule, detail=""):
    Viol[rule] += 1
    if Viol[rule] <= 50: F["violations"].write(json.dumps({"t": time.time(), "rule": rule, "detail": str(detail)[:400]}) + "\n")

def has_unknown(msg):
    if len(unknown_fields.UnknownFieldSet(msg)): return True
    for fd, v in msg.ListFields():
        if fd.type == fd.TYPE_MESSAGE:
            for x in (v if (fd.is_repeated if hasattr(fd, "is_repeated") else fd.label == 3) else [v]):
                if has_unknown(x): return True
    return False

def plain(v, depth=0):
    k = v.WhichOneof("value")
    if depth > 64: viol("anyvalue-too-deep"); return None
    if k is None: return None
    if k == "array_value": return [plain(x, depth + 1) for x in v.array_value.values]
    if k == "kvlist_value": kvs(v.kvlist_value.values, "kvlist"); return {x.key: plain(x.value, depth + 1) for x in v.kvlist_value.values}
    if k == "bytes_value": return {"bytes": v.bytes_value.hex()}
    if k == "double_value": d = v.double_value; return d if d == d and abs(d) != float("inf") else repr(d)
    return getattr(v, k)
def kvs(lst, where):
    keys = [a.key for a in lst]
    if len(set(keys)) != len(keys): viol("duplicate-attribute-key", f"{where}: {[k for k, n in collections.Counter(keys).items() if n > 1]}")
    if any(k == "" for k in keys): viol("empty-attribute-key", where)
    return {a.key: plain(a.value) for a in lst}

def take(req, transport, size):
    """check + account one decoded request; returns number of records"""
    now = time.time_ns(); n = 0
    if not A.no_check and has_unknown(req): viol("unknown-protobuf-field", transport)
    if not req.resource_logs: viol("empty-request", transport)
    seen_res = set()
    for rl in req.resource_logs:
        rk = rl.resource.SerializeToString(deterministic=True) + rl.schema_url.encode()
        if rk in seen_res: viol("same-resource-twice-in-one-request")
        seen_res.add(rk); res = kvs(rl.resource.attributes, "resource")
        if not res.get("service.name"): viol("resource-without-service.name", res)
        if not rl.scope_logs: viol("resource_logs-without-scope_logs")
        seen_sc = set()
        for sl in rl.scope_logs:
            sk = sl.scope.SerializeToString(deterministic=True) + sl.schema_url.encode()
            if sk in seen_sc: viol("same-scope-twice-in-one-resource", sl.scope.name)
            seen_sc.add(sk); kvs(sl.scope.attributes, "scope")
            if not sl.log_records: viol("scope_logs-without-records")
            for r in sl.log_records:
                n += 1
                if A.no_check:
                    if A.seq_only:
                        for a in r.attributes:
                            if a.key == A.seq: Seen[(res.get("service.name"), a.value.int_value)] += 1
                    continue
                if len(r.trace_id) not in (0, 16) or (r.trace_id and not any(r.trace_id)): viol("bad-trace_id", r.trace_id.hex())
                if len(r.span_id) not in (0, 8) or (r.span_id and not any(r.span_id)): viol("bad-span_id", r.span_id.hex())
                if r.span_id and not r.trace_id: viol("span_id-without-trace_id")
                if not 0 <= r.severity_number <= 24: viol("severity_number-out-of-range", r.severity_number)
                if not r.observed_time_unix_nano: viol("observed_time-missing (spec: MUST be set by collector/SDK)")
                if r.time_unix_nano and abs(now - r.time_unix_nano) > 3600e9: viol("time_unix_nano-more-than-1h-off", r.time_unix_nano)
                if r.flags & ~0xff: viol("reserved-flag-bits-set", r.flags)
                at = kvs(r.attributes, "record"); body = plain(r.body) if r.HasField("body") else None
                s = at.get(A.seq); key = (res.get("service.name"), s)
                if s is not None:
                    Seen[key] += 1
                    if Seen[key] == 1:
                        if isinstance(s, int):
                            if s < LastSeq.get(key[0], -1): St["out_of_order"] += 1
                            LastSeq[key[0]] = max(s, LastSeq.get(key[0], -1))
                if not A.no_records:
                    F["records"].write(json.dumps({"rx": now, "tr": transport, "svc": res.get("service.name"), "scope": sl.scope.name, "t": r.time_unix_nano, "ot": r.observed_time_unix_nano,
                        "sev": r.severity_number, "sevt": r.severity_text, "body": body, "attrs": at, "trace": r.trace_id.hex(), "span": r.span_id.hex(), "flags": r.flags, "event": r.event_name, "dropped": r.dropped_attributes_count}) + "\n")
    St["records"] += n; St["requests"] += 1; St["bytes"] += size; St["max_request_bytes"] = max(St["max_request_bytes"], size); St["max_records_per_request"] = max(St["max_records_per_request"], n)
    St["tr:" + transport] += n
    return n

I64 = {"timeUnixNano", "observedTimeUnixNano", "intValue"}
def check_json(o, path=""):
    if isinstance(o, dict):
        for k, v in o.items():
            if "_" in k and not path.endswith("fields"): viol("json-key-not-lowerCamelCase", k)
            if k in ("traceId", "spanId"):
                if not isinstance(v, str) or not re.fullmatch(r"[0-9a-fA-F]*", v) or len(v) not in ((0, 32) if k == "traceId" else (0, 16)): viol("json-id-not-hex", f"{k}={v}")
            if k in I64 and not isinstance(v, (str, int)): viol("json-int64-neither-string-nor-int", f"{k}={v!r}")
            if k in I64 and isinstance(v, int) and not isinstance(v, bool): viol("json-int64-as-number (accepted, strings are canonical)", k)
            if k == "severityNumber" and not isinstance(v, int): viol("json-enum-as-name (OTLP/JSON: integers only)", v)
            if v is None: viol("json-null-value", k)
            check_json(v, path + "/" + k)
    elif isinstance(o, list):
        for x in o: check_json(x, path + "[]")
def from_json(b):
    o = json.loads(b); check_json(o)
    def fix(x):
        if isinstance(x, dict):
            for k in list(x):
                if k in ("traceId", "spanId") and isinstance(x[k], str): x[k] = base64.b64encode(bytes.fromhex(x[k])).decode()
                else: fix(x[k])
        elif isinstance(x, list):
            for y in x: fix(y)
    fix(o); return json_format.ParseDict(o, svc.ExportLogsServiceRequest(), ignore_unknown_fields=False)

def stats():
    dup = sum(c - 1 for c in Seen.values() if c > 1); by = collections.Counter(k[0] for k in Seen)
    gaps = {}
    for s, n in by.items():
        ks = [k[1] for k in Seen if k[0] == s and isinstance(k[1], int)]
        if ks: gaps[str(s)] = {"distinct": n, "min": min(ks), "max": max(ks), "missing_between": max(ks) - min(ks) + 1 - len(ks)}
    return {"account": dict(St), "distinct_seq": len(Seen), "duplicates": dup, "per_service": gaps, "violations": dict(Viol)}
def flush():
    for f in F.values(): f.flush()

HTTP2GRPC = {400: 3, 401: 16, 403: 7, 404: 12, 413: 8, 429: 8, 500: 13, 502: 14, 503: 14, 504: 4}
def note(**kw): F["requests"].write(json.dumps({"t": time.time(), **kw}) + "\n")

# ---------------------------------------------------------------- HTTP/1.1 (asyncio, hand-made so that every fault can be played)
async def conn(rd, wr):
    peer = wr.get_extra_info("peername"); nreq = 0
    def rst():
        s = wr.get_extra_info("socket"); s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); wr.transport.abort()
    async def answer(code, body=b"", ct="application/x-protobuf", extra="", close=False):
        wr.write((f"HTTP/1.1 {code} X\r\ncontent-type: {ct}\r\ncontent-length: {len(body)}\r\n{extra}{'connection: close' + chr(13) + chr(10) if close else ''}\r\n").encode() + body); await wr.drain()
        if close: wr.close()
    try:
        while True:
            line = await rd.readline()
            if not line: return
            try: meth, path, ver = line.decode().split()
            except ValueError: viol("bad-request-line", line); return
            h = {}
            while True:
                l = await rd.readline()
                if l in (b"\r\n", b""): break
                k, v = l.decode("latin-1").split(":", 1); h.setdefault(k.strip().lower(), v.strip())
            nreq += 1
            if meth == "GET" and path == "/stats": flush(); await answer(200, json.dumps(stats(), indent=1).encode(), "application/json"); continue
            if "expect" in h: wr.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if path not in ("/plan", "/clear"): act, d = next_action()
            else: act, d = "ctl", {}
            if "rstearly" in d: note(tr="http", act=act); rst(); return
            if "chunked" in h.get("transfer-encoding", "").lower():
                body = b""
                while True:
                    n = int((await rd.readline()).split(b";")[0], 16); c = await rd.readexactly(n + 2)
                    if not n: break
                    body += c[:-2]
            else: body = await rd.readexactly(int(h.get("content-length", 0)))
            if path == "/plan":
                with LOCK: Plan[:] = parse_plan(body.decode())
                await answer(200); continue
            if path == "/clear":
                for c in (St, Seen, Viol, LastSeq): c.clear()
                await answer(200); continue
            if "reset" in d: note(tr="http", act=act, wire=len(body)); rst(); return
            wire = len(body); ce = h.get("content-encoding", "").lower(); ct = h.get("content-type", "").split(";")[0].strip().lower(); js = ct == "application/json"
            if meth != "POST": viol("http-method-not-POST", meth)
            if path != "/v1/logs": viol("http-path-not-/v1/logs", path)
            if not h.get("user-agent", "").lower().startswith(("otel-", "otlp")) : St["user-agent-not-otel-style"] += 1
            code = int(d.keys().__iter__().__next__()) if re.match(r"^\d{3}", act) else 0
            try:
                if ce == "gzip": body = gzip.decompress(body)
                elif ce == "deflate": body = zlib.decompress(body)
                elif ce == "zstd": import zstandard; body = zstandard.ZstdDecompressor().decompressobj().decompress(body)
                elif ce: viol("unknown-content-encoding", ce)
                if js: req = from_json(body)
                elif ct == "application/x-protobuf": req = svc.ExportLogsServiceRequest.FromString(body)
                else: viol("bad-content-type", ct); note(tr="http", act="415"); await answer(415); continue
            except Exception as e:
                viol("undecodable-" + (ct or "?"), repr(e)); note(tr="http", act="400", err=repr(e)[:200]); await answer(400, b"", close=False); continue
            tr = ("http-json" if js else "http-proto") + ("-" + ce if ce else "")
            note(tr=tr, act=act, wire=wire, raw=len(body), conn=peer[1], nth=nreq, ua=h.get("user-agent"), hdr={k: v for k, v in h.items() if k not in ("host", "content-length", "content-type", "user-agent", "content-encoding")})
            rct = "application/json" if js else "application/x-protobuf"
            if code >= 300 and code not in ():
                St["refused_requests"] += 1
                ex = f"retry-after: {d['ra']}\r\n" if "ra" in d else ""
                await answer(code, b"" if not js else b'{"code":14,"message":"scripted"}', rct, ex); continue
            if "redirect" in d: await answer(int(d["redirect"]), b"", rct, f"location: http://127.0.0.1:{A.http}/elsewhere\r\n"); continue
            if "html" in d: await answer(200, b"<!doctype html><html><head><title>Sign in</title></head><body>Please sign in to continue.</body></html>", "text/html; charset=utf-8"); continue
            take(req, tr, wire)
            if "drop" in d: wr.close(); return
            if "hang" in d: await asyncio.sleep(float(d["hang"]))
            if "partial" in d:
                St["told_rejected"] += int(d["partial"]); resp = svc.ExportLogsServiceResponse(); resp.partial_success.rejected_log_records = int(d["partial"]); resp.partial_success.error_message = "scripted partial success"
                await answer(200, json_format.MessageToJson(resp).encode() if js else resp.SerializeToString(), rct); continue
            if "garbage" in d: await answer(200, b"\xff\xfenot protobuf" * 3, "text/html"); continue
            if "bigbody" in d: await answer(200, b"x" * int(d["bigbody"]), "text/plain"); continue
            if "trickle" in d:
                b = f"HTTP/1.1 200 OK\r\ncontent-type: {rct}\r\ncontent-length: 0\r\n\r\n".encode()
                for i in range(len(b)): wr.write(b[i:i + 1]); await wr.drain(); await asyncio.sleep(float(d["trickle"]) / len(b))
                continue
            await answer(200, b"{}" if js else b"", rct, close="close" in d)
            if "close" in d: return
    except (asyncio.IncompleteReadError, ConnectionError): St["connections_cut_by_client"] += 1
    except Exception as e: print("SINK BUG", repr(e), flush=True); import traceback; traceback.print_exc()
    finally:
        try: wr.close()
        except Exception: pass

# ---------------------------------------------------------------- gRPC
import grpc
class S(svcg.LogsServiceServicer):
    def Export(self, req, ctx):
        act, d = next_action(); md = dict(ctx.invocation_metadata()); note(tr="grpc", act=act, wire=req.ByteSize(), ua=md.get("user-agent"), hdr={k: str(v) for k, v in md.items() if k != "user-agent"}, deadline=ctx.time_remaining())
        code = int(act[:3]) if re.match(r"^\d{3}", act) else 0
        if "ra" in d:
            # google.rpc.Status{details: RetryInfo{retry_delay}} by hand
            from google.protobuf import any_pb2, duration_pb2
            from google.rpc import error_details_pb2, status_pb2
            ri = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=int(float(d["ra"])), nanos=int(float(d["ra"]) % 1 * 1e9))); an = any_pb2.Any(); an.Pack(ri)
            gc = int(d["grpc"]) if "grpc" in d else HTTP2GRPC.get(code, 14)
            ctx.set_trailing_metadata((("grpc-status-details-bin", status_pb2.Status(code=gc, message="scripted", details=[an]).SerializeToString()),))
        if code >= 300 or "grpc" in d:
            St["refused_requests"] += 1; gc = int(d["grpc"]) if "grpc" in d else HTTP2GRPC.get(code, 2)
            ctx.abort([c for c in grpc.StatusCode if c.value[0] == gc][0], "scripted")
        if "reset" in d or "rstearly" in d: ctx.abort(grpc.StatusCode.UNAVAILABLE, "reset")
        with LOCK: take(req, "grpc", req.ByteSize())
        if "drop" in d: ctx.abort(grpc.StatusCode.UNAVAILABLE, "stored but not acknowledged")
        if "hang" in d: time.sleep(float(d["hang"]))
        r = svc.ExportLogsServiceResponse()
        if "partial" in d: St["told_rejected"] += int(d["partial"]); r.partial_success.rejected_log_records = int(d["partial"]); r.partial_success.error_message = "scripted"
        return r

async def main():
    srv = await asyncio.start_server(conn, "127.0.0.1", A.http, limit=1 << 26, backlog=512)
    A.http = srv.sockets[0].getsockname()[1]
    if A.grpc:
        g = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", 64 << 20), ("grpc.so_reuseport", 0)]); svcg.add_LogsServiceServicer_to_server(S(), g)
        g.add_insecure_port(f"127.0.0.1:{A.grpc}"); g.start()
    stop = asyncio.Event()
    for s in (signal.SIGTERM, signal.SIGINT): asyncio.get_running_loop().add_signal_handler(s, stop.set)
    print("ready", A.http, flush=True); await stop.wait(); flush(); print(json.dumps(stats(), indent=1), flush=True); os._exit(0)
asyncio.run(main())
