#!/usr/bin/python3
"""Checks manifests of Kubernetes for an attention server: what must fit together, fits.

    kubernetes_manifests.py --server=PROGRAM --metrics=FILE MANIFEST...

PROGRAM is the attention_server, FILE what its /metrics answered. Each MANIFEST is checked for itself.
Exit codes: 0 all fits, 1 something does not: a line each.
"""

import argparse
import collections
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

# The server has ended so long after --lame_duck_s and --drain_s, seconds: a second for calls that
# are cut off, and three tenths for connections (server/server.cc, Stop).
STOP_SECONDS = 2
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
# Names of the server's metrics, in whatever text.
METRIC = re.compile(r"\b(?:attention|process)_[a-z_]+\b")


def fits(labels, selector):
    return bool(selector) and selector.items() <= labels.items()


def served_metrics(text):
    """The names of series in an answer of /metrics."""
    return set(re.findall(r"^([a-z_]+)[ {]", text, re.MULTILINE))


class Manifest:
    def __init__(self, file, server, metrics):
        self.file, self.server, self.metrics = file, server, metrics
        self.failures = []
        with open(file, encoding="utf-8") as stream:
            self.objects = [one for one in yaml.safe_load_all(stream) if one]
        self.deployment = self.only("Deployment")
        self.template = self.deployment["spec"]["template"]
        self.labels = self.template["metadata"]["labels"]
        self.pod = self.template["spec"]
        self.container = self.pod["containers"][0]
        self.flags = dict(argument.removeprefix("--").partition("=")[::2]
                          for argument in self.container["args"])

    def of_kind(self, kind):
        return [one for one in self.objects if one["kind"] == kind]

    def only(self, kind):
        found = self.of_kind(kind)
        if len(found) != 1:
            raise SystemExit(f"FAILED: {self.file}: has {len(found)} objects {kind}; want one")
        return found[0]

    def want(self, condition, problem):
        if not condition:
            self.failures.append(f"{self.file}: {problem}")

    def check(self):
        for check in (self.check_names, self.check_flags, self.check_ports, self.check_probes,
                      self.check_selectors, self.check_stopping, self.check_resources,
                      self.check_rights, self.check_volumes, self.check_metrics):
            try:
                check()
            except (LookupError, StopIteration, ValueError) as error:
                self.want(False, f"{check.__name__}: {error!r}: it is not of the form that is looked for")
        return self.failures

    def check_names(self):
        names = collections.Counter((one["kind"], one["metadata"]["name"]) for one in self.objects)
        for name, count in names.items():
            self.want(count == 1, f"{name} is there {count} times")

    def check_flags(self):
        """The server itself reads them, and the file that --config names."""
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder, "flags.json")
            config.write_text(self.mounted_text(self.flags["config"]), encoding="utf-8")
            arguments = [argument for argument in self.container["args"]
                         if not argument.startswith("--config=")]
            command = [self.server, f"--config={config}", *arguments, "--help"]
            ran = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                 text=True, check=False)
            self.want(ran.returncode == 0, f"attention_server says: {ran.stderr.strip()}")
        self.want(self.container["command"] == ["attention_server"], "another program is started")
        self.want(("insecure" in self.flags) != ("tls_cert" in self.flags),
                  "want --insecure or --tls_cert, one of them")

    def mounted_text(self, path):
        """What a ConfigMap of the manifest has for a file in the container."""
        for mount in self.container["volumeMounts"]:
            volume = next(v for v in self.pod["volumes"] if v["name"] == mount["name"])
            folder, _, key = path.rpartition("/")
            if folder == mount["mountPath"] and "configMap" in volume:
                maps = {one["metadata"]["name"]: one for one in self.of_kind("ConfigMap")}
                return maps[volume["configMap"]["name"]]["data"][key]
        raise SystemExit(f"FAILED: {self.file}: {path} is in no ConfigMap")

    def ports(self):
        return {port["name"]: port["containerPort"] for port in self.container["ports"]}

    def check_ports(self):
        ports = self.ports()
        self.want(ports["grpc"] == int(self.flags["port"]), "port grpc is not --port")
        self.want(ports["metrics"] == int(self.flags["metrics_port"]),
                  "port metrics is not --metrics_port")
        self.want(self.flags["host"] in ("0.0.0.0", "[::]"), "--host is one that nobody reaches")
        self.want(self.flags["metrics_host"] == self.flags["host"],
                  "metrics, and with them probes, are not where calls are")
        for service in self.of_kind("Service"):
            for port in service["spec"]["ports"]:
                self.want(port["targetPort"] in ports,
                          f"Service {service['metadata']['name']} sends to port {port['targetPort']}")

    def check_probes(self):
        ports = self.ports()
        for name in PROBES:
            probe = self.container[name]
            if "tls_cert" in self.flags:
                self.want("grpc" not in probe, f"{name} by gRPC does not speak TLS")
            if "grpc" in probe:
                self.want(probe["grpc"]["port"] == ports["grpc"], f"{name} asks another port")
            else:
                want = "/healthz" if name == "livenessProbe" else "/readyz"
                self.want(probe["httpGet"]["path"] == want, f"{name} does not ask {want}")
                self.want(probe["httpGet"]["port"] in ("metrics", ports["metrics"]),
                          f"{name} asks another port")

    def check_selectors(self):
        want = self.deployment["spec"]["selector"]["matchLabels"]
        selectors = {"Deployment": want}
        for service in self.of_kind("Service"):
            selectors[f"Service {service['metadata']['name']}"] = service["spec"]["selector"]
        for kind, field in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
            for one in self.of_kind(kind):
                selectors[kind] = one["spec"][field]["matchLabels"]
        for spread in self.pod["topologySpreadConstraints"]:
            selectors[f"spread over {spread['topologyKey']}"] = spread["labelSelector"]["matchLabels"]
        for who, selector in selectors.items():
            self.want(fits(self.labels, selector), f"{who} selects none of the servers")
            for pod in self.of_kind("Pod"):
                self.want(not fits(pod["metadata"]["labels"], selector), f"{who} selects a test's pod")
        for autoscaler in self.of_kind("HorizontalPodAutoscaler"):
            target = autoscaler["spec"]["scaleTargetRef"]
            self.want((target["kind"], target["name"])
                      == ("Deployment", self.deployment["metadata"]["name"]),
                      "the autoscaler scales something else")
            self.want("replicas" not in self.deployment["spec"], "replicas would undo the autoscaler's")
        for monitor in self.of_kind("ServiceMonitor"):
            port = monitor["spec"]["endpoints"][0]["port"]
            watched = [one for one in self.of_kind("Service")
                       if fits(one["metadata"]["labels"], monitor["spec"]["selector"]["matchLabels"])
                       and port in [each["name"] for each in one["spec"]["ports"]]]
            self.want(len(watched) == 1, f"the ServiceMonitor finds port {port} {len(watched)} times")

    def check_stopping(self):
        need = float(self.flags["lame_duck_s"]) + float(self.flags["drain_s"]) + STOP_SECONDS
        grace = self.pod["terminationGracePeriodSeconds"]
        self.want(grace >= math.ceil(need), f"the grace period is {grace} s; want {need:g} s")

    def check_resources(self):
        resources = self.container["resources"]
        self.want(resources["requests"] == resources["limits"], "the pod is not Guaranteed")
        self.want(re.fullmatch("[1-9][0-9]*", str(resources["limits"]["cpu"])),
                  f"{resources['limits']['cpu']} are not whole CPUs")

    def check_rights(self):
        for pod in [self.pod] + [one["spec"] for one in self.of_kind("Pod")]:
            security, container = pod["securityContext"], pod["containers"][0]["securityContext"]
            self.want(security["runAsNonRoot"] is True and security["runAsUser"] > 0, "it may be root")
            self.want(security["seccompProfile"]["type"] == "RuntimeDefault", "seccomp is off")
            self.want(pod["automountServiceAccountToken"] is False, "it has a token of Kubernetes")
            self.want(container["readOnlyRootFilesystem"] is True
                      and container["allowPrivilegeEscalation"] is False
                      and container["capabilities"]["drop"] == ["ALL"], "it may do more than it needs")
        for policy in self.of_kind("NetworkPolicy"):
            self.want(sorted(policy["spec"]["policyTypes"]) == ["Egress", "Ingress"],
                      "the network is open one way")
            for rule in policy["spec"]["ingress"]:
                self.want(rule.get("from") and rule.get("ports"), "a rule lets everybody in")

    def check_volumes(self):
        """Files that flags name lie in volumes that are there."""
        mounts = {one["mountPath"]: one["name"] for one in self.container["volumeMounts"]}
        volumes = {one["name"]: one for one in self.pod["volumes"]}
        self.want(sorted(mounts.values()) == sorted(volumes), "volumes and mounts differ")
        for flag in ("config", "tls_cert", "tls_key", "tls_client_ca", "policy"):
            folder, _, name = self.flags.get(flag, "").rpartition("/")
            if not folder:
                continue
            self.want(folder in mounts, f"--{flag} is in no volume")
            volume = volumes[mounts[folder]]
            if "projected" in volume:
                paths = [item["path"] for source in volume["projected"]["sources"]
                         for item in source["secret"]["items"]]
                self.want(name in paths, f"--{flag} is not in the volume {volume['name']}")
        claims = [one["metadata"]["name"] for one in self.of_kind("PersistentVolumeClaim")]
        for volume in volumes.values():
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            self.want(not claims or claim is None or claim in claims, f"there is no claim {claim}")
        if "policy" in self.flags:
            json.loads(self.mounted_text(self.flags["policy"]))

    def check_metrics(self):
        for kind in ("HorizontalPodAutoscaler", "PrometheusRule"):
            for one in self.of_kind(kind):
                for name in set(METRIC.findall(json.dumps(one["spec"]))):
                    self.want(name in self.metrics, f"{kind}: the server has no metric {name}")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--server", required=True)
    parser.add_argument("--metrics", required=True)
    parser.add_argument("manifests", nargs="+")
    options = parser.parse_args()
    metrics = served_metrics(pathlib.Path(options.metrics).read_text(encoding="utf-8"))
    failures = [failure for file in options.manifests
                for failure in Manifest(file, options.server, metrics).check()]
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
