"""Hours in minutes: calls of all kinds and sizes, some cancelled, some wrong, clients killed."""

import random
import statistics
import time

from server import ATTENTION_768, ENCODER, Load, Row, Server, create_layer, wait_until

MEMORY_MIB = 1024
SOME_PAGES = 0.05  # MiB/min; samples that are all but equal have no noise to speak of
SOME_GO_WRONG = {"cancelled_share": 0.1, "invalid_share": 0.05}


def slope_mib_per_min(samples):
    """Of resident memory: least squares over the medians of twelve equal parts of the later three
    quarters, and its standard error; the parts' noise is taken as independent."""
    later = samples[len(samples) // 4:]
    size = len(later) // 12
    parts = [later[i * size:(i + 1) * size] for i in range(12)]
    x = [statistics.median(t for t, _ in part) / 60 for part in parts]
    y = [statistics.median(mib for _, mib in part) for part in parts]
    mean_x, mean_y = statistics.mean(x), statistics.mean(y)
    spread = sum((a - mean_x) ** 2 for a in x)
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / spread
    errors = [b - mean_y - slope * (a - mean_x) for a, b in zip(x, y)]
    error = (sum(e * e for e in errors) / (len(x) - 2) / spread) ** 0.5
    return slope, error


def run(build, long):
    seconds = 600 if long else 12
    chance = random.Random(1)
    common = {"duration_s": seconds, "warm_up_s": 2, "timeout_s": 60, **SOME_GO_WRONG}
    flags = ["--log_level=error", "--max_queue_ms=60000", f"--memory_mib={MEMORY_MIB}"]
    with Server(build, *flags) as server:
        create_layer(build, server, ATTENTION_768)
        create_layer(build, server, ENCODER)
        loads = [
            Load(build, server, "--verify", lengths="uniform:1-64", callers=2, **common),
            Load(build, server, "--verify", layer="attention", lengths="lognormal:48,0.8,400",
                 callers=2, connections=2, **common),
            Load(build, server, "--verify", layer="encoder", lengths="lognormal:24,0.7,200",
                 callers=2, **common),
        ]
        samples, killed, start = [], 0, time.monotonic()
        while loads[0].process.poll() is None:
            victim = Load(build, server, lengths="uniform:1-2000", callers=4, duration_s=1000)
            for _ in range(chance.randrange(4, 16)):
                samples.append((time.monotonic() - start, server.resident_mib()))
                time.sleep(0.1)
            victim.kill()
            killed += 1
        results = [one.result() for one in loads]
        connections_end = wait_until(lambda: server.open_files() < 40, 60)
        stopped = server.stop()
    answered = sum(r["answered"] for r in results)
    wrong = sum(r["wrong"] for r in results)
    all_ok = all(set(r["by_code"]) == {"OK"} for r in results)
    failures = {text: count for r in results for text, count in r["failures"].items()}
    cancelled, refused = (sum(r[name] for r in results) for name in ("cancelled", "refused"))
    slope, error = slope_mib_per_min(samples)
    most = max(mib for _, mib in samples)
    return [
        Row(f"{seconds} s of mixed calls: those that should be answered are", "0 failures",
            f"{answered} answered ({cancelled} cancelled, {refused} refused, {killed} clients "
            f"killed), failures: {failures or 0}", all_ok and not failures, must=True),
        Row("bytes of all answers, against the same call alone", "0 differ", f"{wrong} differ",
            wrong == 0, must=True),
        Row("slope of resident memory", "0 within noise",
            f"{slope:+.2f} +- {error:.2f} MiB/min at {most:.0f} MiB",
            abs(slope) <= max(3 * error, SOME_PAGES)),
        Row("resident memory", f"<= --memory_mib={MEMORY_MIB}", f"{most:.0f} MiB",
            most <= MEMORY_MIB, must=True),
        Row("connections of killed clients end", "all", "all" if connections_end else "not all",
            connections_end, must=True),
        Row("SIGTERM then", "exit code 0", f"{stopped}", stopped == 0, must=True),
    ]
