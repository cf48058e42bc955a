"""The files of deploy/compose, looked at before anything runs."""

import json
import re
import shutil
import subprocess

import yaml

from server import ROOT

COMPOSE = ROOT / "deploy" / "compose"
COMPOSE_FILE = ROOT / "deploy" / "compose.yaml"
RULES = COMPOSE / "prometheus" / "rules.yaml"
RULES_TEST = ROOT / "tests" / "end_to_end" / "fleet" / "rules_test.yaml"


def check():
    """Has each program check its own files; whether one found something."""
    haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/bin")
    prometheus = COMPOSE / "prometheus" / "prometheus.yaml"
    commands = {
        "HAProxy takes its file": [haproxy, "-c", "-q", "-f", COMPOSE / "haproxy" / "haproxy.cfg"],
        "Prometheus takes its files": ["promtool", "check", "config", prometheus],
        "the rules fire when they should": ["promtool", "test", "rules", RULES_TEST],
        "docker-compose takes its file": ["docker-compose", "--file", COMPOSE_FILE, "config", "-q"],
    }
    failed = False
    for name, command in commands.items():
        run = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             check=False)
        failed = tell(name, run.returncode and run.stdout) or failed
    for name, found in look().items():
        failed = tell(name, found) or failed
    return failed


def tell(name, found):
    """Prints how it went; whether something was found that should not be."""
    print(f"FAILED: {name}\n    {found}" if found else f"ok: {name}", flush=True)
    return bool(found)


def alerts():
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def look():
    """What no program checks, and what was found."""
    def is_whole(rule):
        return ("for" in rule and rule["labels"]["severity"] in ("critical", "warning", "info")
                and rule["annotations"]["summary"] and rule["annotations"]["description"])

    tested = re.findall(r'{alertname="(\w+)"', RULES_TEST.read_text())
    return {
        "each alert says how bad it is and what to do":
            [rule["alert"] for rule in alerts() if not is_whole(rule)],
        "each alert has a test in which it fires":
            [rule["alert"] for rule in alerts() if rule["alert"] not in tested],
    }


def metrics_of_rules():
    """The names of all metrics in the rules' expressions."""
    of_ours = r"\b(?:attention|haproxy|process)_[a-z_]+\b"
    return {name for rule in alerts() for name in re.findall(of_ours, rule["expr"])}


def expressions_of_dashboard():
    """(panel, expression) of all panels, with what Grafana would put for its variables."""
    dashboard = json.loads((COMPOSE / "grafana" / "dashboards" / "attention.json").read_text())
    values = {"$__rate_interval": "2m", "$server": ".*", "$method": ".*"}
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for name, value in values.items():
                expression = expression.replace(name, value)
            yield panel["title"], expression
