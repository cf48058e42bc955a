"""What the server costs beside its kernels: the programs in tests/bench, which compare in turns."""

import json
import subprocess

from server import Row, Skipped


def measure(build, program, *arguments):
    if not (build / program).exists():
        raise Skipped(f"{program} is not built (see ATTENTION_BENCHMARKS)")
    run = subprocess.run([build / program, *arguments], check=True, stdout=subprocess.PIPE)
    return json.loads(run.stdout)


def median(build, rounds, program, *arguments):
    """The measurement whose ratio is in the middle."""
    all_of_them = [measure(build, program, *arguments) for _ in range(rounds)]
    return sorted(all_of_them, key=lambda m: m["ratio"])[rounds // 2]


def run(build, long):
    rounds = 3 if long else 1
    smallest = median(build, rounds, "server_bench", "smallest")
    stored = median(build, rounds, "stored_layer_bench", "--threads=2", "--callers=4")
    batching = median(build, rounds, "server_bench", "batching")
    return [
        Row("8 x 3 tokens, 8 callers: calls/s, of an echo service", ">= 0.85",
            f"{smallest['ratio']:.2f}: {smallest['calls_per_s']:.0f}/s of "
            f"{smallest['echo_calls_per_s']:.0f}/s; {smallest['cpu_us']:.1f} us of CPU a call of "
            f"{smallest['echo_cpu_us']:.1f}", smallest["ratio"] >= 0.85),
        Row("512 tokens x 768, a stored layer, 4 callers: server CPU, of the kernel's", "<= 1.15 x",
            f"{stored['ratio']:.2f} x: {stored['server_cpu_ms']:.1f} ms of "
            f"{stored['in_process_cpu_ms']:.1f} ms", stored["ratio"] <= 1.15),
        Row("8 tokens x 768, a stored layer, 16 callers: calls/s, of batching off", ">= 2.5 x",
            f"{batching['ratio']:.2f} x: {batching['calls_per_s']:.0f}/s of "
            f"{batching['alone_calls_per_s']:.0f}/s", batching["ratio"] >= 2.5),
    ]
