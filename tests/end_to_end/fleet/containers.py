"""The stack in containers, as deploy/compose.yaml has it, on other ports."""

import os
import subprocess

from processes import free_ports
from server import ROOT

COMPOSE_FILE = ROOT / "deploy" / "compose.yaml"


class Containers:
    """Runs until the end of a with statement. `services` are those whose images there are."""

    def __init__(self, services):
        self.services = services
        self.project = f"attention-fleet-test-{os.getpid()}"
        ports = free_ports(4)
        self.target, self.haproxy_metrics = (f"127.0.0.1:{port}" for port in ports[:2])
        self.prometheus, grafana = (f"http://127.0.0.1:{port}" for port in ports[2:])
        self.grafana = grafana if "grafana" in services else None
        self.environment = os.environ | {
            "ATTENTION_LISTEN": self.target, "HAPROXY_LISTEN": self.haproxy_metrics,
            "PROMETHEUS_LISTEN": f"127.0.0.1:{ports[2]}", "GRAFANA_LISTEN": f"127.0.0.1:{ports[3]}"}

    def compose(self, *arguments, **more):
        return subprocess.run(
            ["docker-compose", "--file", COMPOSE_FILE, "--project-name", self.project, *arguments],
            check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=self.environment, **more).stdout

    def __enter__(self):
        try:
            self.compose("up", "--detach", "--no-build", *self.services)
        except subprocess.CalledProcessError as error:
            self.__exit__()
            raise RuntimeError(f"docker-compose up: {error.stdout}") from error
        return self

    def __exit__(self, *_):
        self.compose("kill")
        self.compose("down", "--volumes")

    def start(self, name):
        self.compose("start", name)

    def kill(self, name):
        self.compose("kill", "-s", "SIGKILL", name)

    def stop(self, name):
        """SIGTERM; the exit code."""
        self.compose("stop", name)
        return int(self.state(name, "ExitCode"))

    def state(self, name, what):
        """Of the container of a service."""
        container = self.compose("ps", "--quiet", name).split()[-1]
        return subprocess.run(
            ["docker", "inspect", "--format", f"{{{{.State.{what}}}}}", container], check=True,
            text=True, stdout=subprocess.PIPE, env=self.environment).stdout.strip()

    def unhealthy(self):
        """The services whose own health checks do not say that they are well."""
        return [name for name in self.services if self.state(name, "Health.Status") != "healthy"]

    def logs(self):
        return self.compose("ps") + self.compose("logs", "--no-color", "--tail=30")
