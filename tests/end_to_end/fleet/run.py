#!/usr/bin/python3
"""Two servers behind HAProxy, watched by Prometheus, while one is killed, started again, stopped.

    tests/end_to_end/fleet/run.py [--build=build/release] [--services=haproxy,prometheus,...]

With --services in containers, by docker-compose: services of deploy/compose.yaml, whose images must
be there; else as processes, of Debian's packages. fleet_test.sh does what has to be done before.
Exit codes: 0 passed; 1 failed; 2 wrong arguments.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import time
import types

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "fleet"), str(TESTS / "trials")]

import files  # noqa: E402
from containers import Containers  # noqa: E402
from processes import NAMES, Processes  # noqa: E402
from prometheus import Prometheus, get  # noqa: E402
from server import ENCODER, ROOT, Load, create_layer, load, wait_until  # noqa: E402

SAMPLE = ROOT / "client" / "samples" / "001_jim_likes_football.json"

# Seconds to wait for what a busy machine may take its time with; no speed is judged here.
PATIENCE = 120


class Story:
    """What happens to a fleet, in the order of `run`, and what has to hold meanwhile."""

    def __init__(self, build, stack):
        self.build, self.stack = build, stack
        self.front = types.SimpleNamespace(target=stack.target, pid=0)
        self.prometheus = Prometheus(stack.prometheus)
        self.failures = 0

    def check(self, name, holds, detail=""):
        print(f"ok: {name}" if holds else f"FAILED: {name}\n    {detail}", flush=True)
        self.failures += not holds

    def check_soon(self, name, condition, detail=lambda: ""):
        """That `condition` comes to hold. What cannot be asked yet does not hold yet."""
        def holds():
            try:
                return condition()
            except (OSError, RuntimeError):
                return False
        self.check(name, wait_until(holds, PATIENCE), detail())

    def run(self):
        for part in (self.comes_up, self.spreads, self.takes_calls_back, self.loses_one,
                     self.gets_it_back, self.restarts_one, self.shows_all):
            part()

    def takes_calls(self):
        """The servers that HAProxy gives calls to."""
        up = self.prometheus.by_server('haproxy_server_status{proxy="attention", state="UP"}')
        return {name for name, value in up.items() if value == 1}

    def answered(self):
        """Calls that were answered, by server."""
        return self.prometheus.by_server(
            'sum by (server) (attention_calls_total{method=~"ComputeAttention|Encode", code="OK"})')

    def comes_up(self):
        self.check_soon("Prometheus reads both servers and HAProxy",
                        lambda: [value for _, value in self.prometheus.query("up")] == [1, 1, 1])
        self.check_soon("HAProxy gives calls to both", lambda: self.takes_calls() == set(NAMES))
        if isinstance(self.stack, Containers):
            self.check_soon("all containers are healthy", lambda: not self.stack.unhealthy(),
                            self.stack.unhealthy)
        text = subprocess.run([self.build / "attention_client", "attend", SAMPLE,
                               f"--target={self.stack.target}"], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
        self.check("attend answers the tutorials' numbers through HAProxy", "0.1400" in text, text)
        create_layer(self.build, self.front, ENCODER)

    def check_answered(self, name, result):
        """That no call of a load failed or was refused."""
        failed = result["failures"] | ({"refused": result["refused"]} if result["refused"] else {})
        self.check(f"{name}: none of {result['answered']} calls fails"
                   f" ({result['retries']} were made again)",
                   result["answered"] > 0 and not failed, failed)

    def spreads(self):
        """Small calls, of which hardly two are open at a time: HAProxy then goes round. Of larger
        ones a server gets fewer where the machine gives it less."""
        before = self.answered()
        result = load(self.build, self.front, rate=100, duration_s=8, warm_up_s=0)
        self.check_answered("both are up", result)

        def answered():
            after = self.answered()
            return [after.get(name, 0) - before.get(name, 0) for name in NAMES]
        self.check_soon("both have counted them", lambda: sum(answered()) >= result["answered"])
        least, most = sorted(answered())
        self.check(f"the calls are spread over both: {least:g} and {most:g}", least >= 0.8 * most)

    def takes_calls_back(self):
        load(self.build, self.front, layer="encoder", lengths=64, rate=50, duration_s=2,
             warm_up_s=0, cancelled_share=0.5)
        self.check_soon("servers hear of callers who have left", lambda: self.prometheus.query(
            'sum(attention_calls_total{code="CANCELLED"}) > 0'))

    def while_loaded(self, name, happens, *flags):
        """A closed loop, so that both have calls at every moment; of a layer that one of them was
        sent, and the other one finds in the folder that they share."""
        run = Load(self.build, self.front, *flags, layer="encoder", lengths="uniform:1-8",
                   callers=8, connections=2, duration_s=15, warm_up_s=0)
        try:
            time.sleep(3)
            happens()
        except BaseException:
            run.kill()
            raise
        self.check_answered(name, run.result())

    def loses_one(self):
        self.while_loaded("one is killed", lambda: self.stack.kill(NAMES[0]), "--retry")
        self.check_soon("the alert for it fires, and no other",
                        lambda: self.prometheus.firing() == {("AttentionServerDown", NAMES[0])},
                        self.prometheus.firing)
        self.check("HAProxy gives no calls to it", self.takes_calls() == {NAMES[1]})

    def gets_it_back(self):
        self.while_loaded("it is started again", lambda: self.stack.start(NAMES[0]), "--retry")
        self.check_soon("no alert fires any more", lambda: not self.prometheus.firing(),
                        self.prometheus.firing)
        self.check_soon("it gets calls again", lambda: self.answered().get(NAMES[0], 0) > 0)

    def restarts_one(self):
        """As `docker-compose restart` does. It says in time that it stops: nobody needs retries."""
        def restart():
            self.check("a server that is stopped exits with 0", self.stack.stop(NAMES[1]) == 0)
            self.stack.start(NAMES[1])
        self.while_loaded("one is stopped and started", restart)
        self.check_soon("both take calls", lambda: self.takes_calls() == set(NAMES))

    def shows_all(self):
        """Rules and dashboard ask for what there is."""
        bad = [rule["name"] for rule in self.prometheus.rules() if rule["health"] != "ok"]
        self.check("all rules can be evaluated", not bad, bad)
        missing = [name for name in sorted(files.metrics_of_rules())
                   if not self.prometheus.query(f"count({name})")]
        self.check("all metrics that they name are there", not missing, missing)
        empty = [f"{title}: {expression}" for title, expression in files.expressions_of_dashboard()
                 if not self.prometheus.query(expression)
                 and not re.search("ALERTS|EXHAUSTED|DEADLINE", expression)]
        self.check("every panel of the dashboard has something to show", not empty, empty)
        if self.stack.grafana:
            self.check_soon("Grafana has the dashboard", lambda: "Attention servers" in get(
                f"{self.stack.grafana}/api/dashboards/uid/attention"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    parser.add_argument("--services", type=lambda text: text.split(","))
    options = parser.parse_args()
    build = options.build.resolve()

    failed = files.check()
    with Containers(options.services) if options.services else Processes(build) as stack:
        story = Story(build, stack)
        try:
            story.run()
        finally:
            if story.failures or sys.exc_info()[0]:
                print(stack.logs())
    return 1 if failed or story.failures else 0


if __name__ == "__main__":
    sys.exit(main())
