"""Fractions of CPUs, by control group: no more compute threads than are granted."""

import contextlib
import os
import pathlib
import time

from server import ATTENTION_768, Row, Server, Skipped, create_layer, load

PERIOD_US = 100_000


@contextlib.contextmanager
def cpu_group(cpus):
    """A control group with a quota, of version 1 or 2, while the with statement lasts."""
    root = pathlib.Path("/sys/fs/cgroup")
    v1 = root / "cpu"
    parent = v1 if (v1 / "cpu.cfs_quota_us").exists() else root
    group = parent / f"attention-trial-{os.getpid()}"
    try:
        group.mkdir()
        if parent == v1:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(int(cpus * PERIOD_US)))
        else:
            (group / "cpu.max").write_text(f"{int(cpus * PERIOD_US)} {PERIOD_US}")
    except OSError as error:
        if group.exists():
            group.rmdir()
        raise Skipped(f"no control group with a CPU quota can be made here: {error}") from error
    try:
        yield group
    finally:
        for _ in range(50):  # the kernel needs a moment after the last process has ended
            with contextlib.suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.1)


def periods(group):
    """How many there were, and in how many the group was throttled."""
    stat = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    return int(stat["nr_periods"]), int(stat["nr_throttled"])


def run(build, long):
    seconds = 30 if long else 4
    rows = []
    for cpus, want in ((0.5, 1), (1.5, 1), (2, 2)):
        if (os.cpu_count() or 1) < want:
            continue
        with cpu_group(cpus) as group, Server(build, "--log_level=info", group=group) as server:
            threads = server.compute_threads()
            create_layer(build, server, ATTENTION_768)
            before = periods(group)
            result = load(build, server, callers=1, layer="attention", lengths=128,
                          duration_s=seconds)
            after = periods(group)
            share = (after[1] - before[1]) / max(1, after[0] - before[0])
        rows.append(Row(f"quota of {cpus} CPUs: compute threads", str(want), str(threads),
                        threads == want, must=True))
        measured = f"{share:.0%} of the periods, {result['answered_per_s']:.0f} calls/s"
        if cpus == 1.5:
            rows.append(Row("quota of 1.5 CPUs, one caller of 128 x 768: throttled", "< 5 %",
                            measured, share < 0.05))
    return rows
