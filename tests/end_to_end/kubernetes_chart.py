#!/usr/bin/python3
"""Checks the chart in deploy/kubernetes without Helm: what it says against what the server says.

    kubernetes_chart.py --server=PROGRAM --metrics=FILE

PROGRAM is the attention_server, FILE what its /metrics answered.
Exit codes: 0 all fits, 1 something does not: a line each.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys

import yaml

from kubernetes_manifests import METRIC, served_metrics

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
CHART = FOLDER / "chart"
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float),
         "boolean": bool}


def output_of(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def resolved(schema, definitions):
    if "$ref" not in schema:
        return schema
    return definitions[schema["$ref"].removeprefix("#/definitions/")]


def differences(values, schema, definitions, path=""):
    """Yields where the keys and the types of the default values are not those of the schema."""
    schema = resolved(schema, definitions)
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(isinstance(values, TYPES[one]) for one in types):
        yield f"values.yaml: {path} is {values!r}; want {' or '.join(types)}"
    if "enum" in schema and values not in schema["enum"]:
        yield f"values.yaml: {path} is {values!r}; want one of {schema['enum']}"
    if not isinstance(values, dict) or "properties" not in schema:
        return
    if schema.get("additionalProperties") is not False:
        yield f"values.schema.json: {path or 'the whole'} lets other keys pass"
    keys = set(schema["properties"])
    # What Helm adds is not ours to list, and flags are all of them left at the server's defaults.
    missing = set() if path == ".flags" else keys - set(values) - {"global"}
    for key in sorted(missing):
        yield f"values.yaml: {path}.{key} is missing, which values.schema.json has"
    for key, value in values.items():
        if key not in keys:
            yield f"values.schema.json: {path}.{key} is missing, which values.yaml has"
        else:
            yield from differences(value, schema["properties"][key], definitions, f"{path}.{key}")


def undocumented(text):
    """Yields keys of values.yaml that no comment stands above: neither its own, nor its group's."""
    explained, depth_explained = False, -1
    for line in text.splitlines():
        stripped = line.lstrip()
        depth = len(line) - len(stripped)
        if not stripped:
            explained = False
        elif stripped.startswith("#"):
            explained = True
        elif re.match(r"[A-Za-z]+:", stripped):
            if depth <= depth_explained:
                depth_explained = -1
            if explained and depth_explained < 0:
                depth_explained = depth
            if not explained and depth_explained < 0 and not stripped.endswith(":"):
                yield f"values.yaml: {stripped} has no comment"


def check(server, metrics):
    values_text = (CHART / "values.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(values_text)
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    yield from differences(values, schema, schema["definitions"])
    yield from undocumented(values_text)

    known = set(re.findall(r"^  --([a-z_]+)", output_of(server, "--help"), re.MULTILINE))
    known -= {"help", "version"}
    template = (CHART / "templates" / "deployment.yaml").read_text(encoding="utf-8")
    of_values = set(re.findall(r"- --([a-z_]+)", template))
    of_schema = set(schema["properties"]["flags"]["properties"])
    for flag in sorted((of_values | of_schema) - known):
        yield f"attention_server has no flag --{flag}"
    for flag in sorted(known - of_values - of_schema):
        yield f"values.schema.json: flags.{flag} is missing, which attention_server has"
    for flag in sorted(of_values & of_schema):
        yield f"values.schema.json: flags.{flag} is what another value stands for"

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    version = output_of(server, "--version").split()[1]
    if chart["appVersion"] != version:
        yield f"Chart.yaml: appVersion is {chart['appVersion']}; attention_server is {version}"

    for file in [FOLDER / "prometheus-adapter.yaml", *sorted(CHART.glob("templates/**/*.yaml"))]:
        for name in sorted(set(METRIC.findall(file.read_text(encoding="utf-8"))) - metrics):
            if name not in ("attention_server", "attention_client"):  # the programs
                yield f"{file.name}: the server has no metric {name}"
    for file in FOLDER.glob("values-*.yaml"):
        example = yaml.safe_load(file.read_text(encoding="utf-8"))
        yield from (f"{file.name}: {key} is no value of the chart" for key in set(example) - set(values))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--server", required=True)
    parser.add_argument("--metrics", required=True)
    options = parser.parse_args()
    metrics = served_metrics(pathlib.Path(options.metrics).read_text(encoding="utf-8"))
    failures = list(check(options.server, metrics))
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
