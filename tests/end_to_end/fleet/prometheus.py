"""Asks a Prometheus."""

import json
import urllib.parse
import urllib.request


def get(url):
    """The text that is answered, past any proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as answer:
        return answer.read().decode()


class Prometheus:
    def __init__(self, url):
        self.url = url

    def ask(self, path, **parameters):
        """The data of an answer of its HTTP API. RuntimeError: it refuses; OSError: none there."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        answer = json.loads(get(url))
        if answer["status"] != "success":
            raise RuntimeError(f"{path}: {answer}")
        return answer["data"]

    def query(self, expression):
        """The series of an expression, as they are now: [(labels, value)]."""
        return [(series["metric"], float(series["value"][1]))
                for series in self.ask("query", query=expression)["result"]]

    def by_server(self, expression):
        return {labels["server"]: value for labels, value in self.query(expression)}

    def firing(self):
        """The alerts that fire: {(name, server or "")}."""
        return {(alert["labels"]["alertname"], alert["labels"].get("server", ""))
                for alert in self.ask("alerts")["alerts"] if alert["state"] == "firing"}

    def rules(self):
        return [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]
