"""The stack as processes of this machine: Debian's haproxy and prometheus with the files of
deploy/compose, other ports, and servers with the flags of deploy/compose.yaml."""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

import yaml

from server import ROOT, Server

COMPOSE = ROOT / "deploy" / "compose"
NAMES = ["attention-1", "attention-2"]


def free_ports(count):
    """Ports that nothing listens on, and below those that the system gives to clients."""
    ports = []
    for port in range(20000 + os.getpid() % 10000, 32768):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise RuntimeError("this machine has no free ports")


class Processes:
    """Runs until the end of a with statement. `target` is HAProxy's HOST:PORT."""

    grafana = None

    def __init__(self, build):
        self.build = build
        ports = free_ports(7)
        self.ports = {NAMES[0]: ports[0:2], NAMES[1]: ports[2:4]}  # of calls, of metrics
        self.target = f"127.0.0.1:{ports[4]}"
        self.haproxy_metrics = f"127.0.0.1:{ports[5]}"
        self.prometheus_address = f"127.0.0.1:{ports[6]}"
        self.prometheus = f"http://{self.prometheus_address}"
        self.servers = {}
        self.others = []

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        try:
            for name in NAMES:
                self.start(name)
            self.start_haproxy()
            self.start_prometheus()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.others:
            process.terminate()
            process.wait()
        for server in self.servers.values():
            server.__exit__()
        self.folder.cleanup()

    def start(self, name):
        calls, metrics = self.ports[name]
        service = yaml.safe_load((COMPOSE.parent / "compose.yaml").read_text())["services"][name]
        flags = [flag for flag in service["command"] if not flag.startswith("--layer_dir")]
        self.servers[name] = Server(
            self.build, f"--port={calls}", f"--metrics_port={metrics}", "--threads=1",
            f"--layer_dir={self.folder.name}/layers", *flags)

    def kill(self, name):
        self.servers[name].__exit__()

    def stop(self, name):
        """SIGTERM; the exit code."""
        return self.servers[name].stop()

    def run(self, name, *command, **more):
        with open(self.log(name), "w", encoding="utf-8") as log:
            self.others.append(subprocess.Popen(command, stdout=log, stderr=log, **more))

    def log(self, name):
        return pathlib.Path(self.folder.name) / f"{name}.log"

    def start_haproxy(self):
        addresses = {"LISTEN": self.target, "LISTEN_METRICS": self.haproxy_metrics}
        for i, name in enumerate(NAMES, 1):
            calls, metrics = self.ports[name]
            addresses |= {f"SERVER_{i}": f"127.0.0.1:{calls}", f"SERVER_{i}_METRICS": str(metrics)}
        self.run("haproxy", shutil.which("haproxy", path="/usr/sbin:/usr/bin"), "-db", "-f",
                 COMPOSE / "haproxy" / "haproxy.cfg", env=os.environ | addresses)

    def start_prometheus(self):
        """With other targets, which are files of their own."""
        folder = pathlib.Path(self.folder.name) / "prometheus"
        shutil.copytree(COMPOSE / "prometheus", folder)
        targets = [{"targets": [f"127.0.0.1:{metrics}"], "labels": {"server": name}}
                   for name, (_, metrics) in self.ports.items()]
        (folder / "targets" / "attention.yaml").write_text(yaml.safe_dump(targets))
        (folder / "targets" / "haproxy.yaml").write_text(
            yaml.safe_dump([{"targets": [self.haproxy_metrics]}]))
        self.run("prometheus", "prometheus", f"--config.file={folder}/prometheus.yaml",
                 f"--storage.tsdb.path={folder}/data",
                 f"--web.listen-address={self.prometheus_address}")

    def logs(self):
        """The ends of all logs, for whoever has to find out why."""
        texts = [f"{path.name}:\n" + "\n".join(path.read_text().splitlines()[-30:])
                 for path in pathlib.Path(self.folder.name).glob("*.log")]
        texts += [f"{name}:\n" + "\n".join(map(str, server.logged()[-10:]))
                  for name, server in self.servers.items() if not server.log.closed]
        return "\n".join(texts)
