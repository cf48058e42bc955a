"""Three times as many calls as the server can answer: those that it takes are answered in time."""

from server import ENCODER, Row, Server, create_layer, load

MAX_QUEUE_MS = 500
MEMORY_MIB = 600


def run(build, long):
    seconds = 60 if long else 8
    flags = [f"--max_queue_ms={MAX_QUEUE_MS}", f"--memory_mib={MEMORY_MIB}", "--max_message_mib=8"]
    shape = {"layer": "encoder", "lengths": 64}
    with Server(build, *flags) as server:
        create_layer(build, server, ENCODER)
        peak = load(build, server, callers=16, connections=2, duration_s=seconds / 3, **shape)
        idle = load(build, server, callers=1, duration_s=3, **shape)
        rate = 3 * peak["answered_per_s"]
        over = load(build, server, rate=rate, connections=4, duration_s=seconds, timeout_s=10,
                    **shape)
        after = load(build, server, callers=1, warm_up_s=0, duration_s=3, **shape)
        stopped = server.stop()
    goodput = over["answered_per_s"] / peak["answered_per_s"]
    p99 = over["latency"]["p99_ms"]
    limit = MAX_QUEUE_MS + over["server_compute"]["p99_ms"]
    after_1s = after["by_second"][1] if len(after["by_second"]) > 1 else {"answered": 0, "p50_ms": 0}
    normal = after_1s["p50_ms"] / idle["latency"]["p50_ms"]
    refusals = over["refusal_latency"]
    refused = over["by_code"].get("RESOURCE_EXHAUSTED", 0)
    return [
        Row(f"{rate:.0f} calls/s offered for {seconds} s, 3 x the peak: goodput",
            ">= 0.9 of the peak", f"{goodput:.2f} of {peak['answered_per_s']:.0f}/s",
            goodput >= 0.9),
        Row("p99 of those accepted", f"<= {MAX_QUEUE_MS} ms + one batch", f"{p99:.0f} ms",
            p99 <= limit),
        Row("all others are refused at once, none fails otherwise", "0 failures",
            f"{refused} refused, {sum(over['failures'].values())} failures",
            refused > 0 and not over["failures"], must=True),
        Row("p99 of the refusals", f"<= {MAX_QUEUE_MS // 5} ms", f"{refusals['p99_ms']:.0f} ms",
            refusals["p99_ms"] <= MAX_QUEUE_MS / 5),
        Row("resident memory", f"<= --memory_mib={MEMORY_MIB}",
            f"{over['server_resident_mib']:.0f} MiB", over["server_resident_mib"] <= MEMORY_MIB,
            must=True),
        Row("latency 1 to 2 s after it, against before", "<= 1.25 x", f"{normal:.2f} x",
            normal <= 1.25 and after_1s["answered"] > 0),
        Row("SIGTERM then", "exit code 0", f"{stopped}", stopped == 0, must=True),
    ]
