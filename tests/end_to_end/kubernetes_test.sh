#!/usr/bin/env bash
# What deploy/kubernetes says, against what the server says, and against itself. No cluster is needed.
#
#   tests/end_to_end/kubernetes_test.sh [BUILD_DIR]     default: build/release
#
# Always: the chart's values, schema, flags and names of metrics; the plain manifests; the policy of
# values-tls.yaml, by a server that reads it. With helm 3 on the PATH the chart itself, with all
# example values and with wrong ones; and of what it gives, with promtool the alerts, and with
# kubeconform all of it, where KUBERNETES_SCHEMAS names a folder of schemas that stand for themselves
# (KIND-GROUP-VERSION.json, such as v1.34.0-standalone-strict of yannh/kubernetes-json-schema). What
# cannot be checked it says, and leaves out.
# Exit codes: 0 passed, or could not run: then the last line is "SKIPPED: why"; 1 failed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly root
readonly build=${1:-$root/build/release}
readonly kubernetes=$root/deploy/kubernetes
readonly chart=$kubernetes/chart
readonly python=/usr/bin/python3 # Debian's, which has python3-yaml
export PYTHONDONTWRITEBYTECODE=1

# shellcheck source=deploy/server_process.sh
source "$root/deploy/server_process.sh"

if ! "$python" -c 'import yaml' 2>/dev/null; then
  echo "SKIPPED: python3-yaml is not installed"
  exit 0
fi

folder=$(mktemp -d)
readonly folder
trap 'kill_server; rm -rf "$folder"' EXIT
failures=0

# assert NAME COMMAND...: in this shell, whose trap ends the servers.
assert() {
  local name=$1
  shift
  if "$@" >"$folder/output" 2>&1; then
    echo "ok: $name"
  else
    echo "FAILED: $name"
    sed 's/^/    /' "$folder/output"
    failures=$((failures + 1))
  fi
}

# refused WANTED COMMAND...: it fails, and its output has this text.
refused() {
  local wanted=$1 output
  shift
  if output=$("$@" 2>&1); then
    echo "it was not refused"
    return 1
  fi
  grep --quiet --fixed-strings --regexp="$wanted" <<<"$output" || { echo "$output" && return 1; }
}

# What /metrics answers once a call was answered: counters of methods are there from the first on.
write_metrics() {
  local address
  start_server "$build/attention_server" "$folder" --metrics_port=0 || return 1
  address=$(grep --only-matching '"metrics_address":"[^"]*"' "$folder/server.log" | cut --delimiter='"' --fields=4)
  "$build/attention_client" attend "$root/client/samples/001_jim_likes_football.json" \
    --target="$server_target" >/dev/null || return 1
  "$python" - "http://$address/metrics" >"$folder/metrics" <<'PYTHON' || return 1
import sys
import urllib.request
no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(no_proxy.open(sys.argv[1], timeout=30).read().decode())
PYTHON
  stop_server
}

# The policy of values-tls.yaml: the server starts with it, or says what is wrong.
read_policy() {
  "$python" - "$kubernetes/values-tls.yaml" >"$folder/policy.json" <<'PYTHON' || return 1
import json
import sys
import yaml
with open(sys.argv[1], encoding="utf-8") as values:
    print(json.dumps(yaml.safe_load(values)["policy"]["document"]))
PYTHON
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost \
    -keyout "$folder/key.pem" -out "$folder/cert.pem" || return 1
  start_server "$build/attention_server" "$folder" --tls_cert="$folder/cert.pem" --tls_key="$folder/key.pem" \
    --tls_client_ca="$folder/cert.pem" --policy="$folder/policy.json" || return 1
  stop_server
}

check_chart() {
  "$python" "$root/tests/end_to_end/kubernetes_chart.py" --server="$build/attention_server" \
    --metrics="$folder/metrics"
}

check_manifests() {
  "$python" "$root/tests/end_to_end/kubernetes_manifests.py" --server="$build/attention_server" \
    --metrics="$folder/metrics" "$@"
}

# Further values, each beside the chart's own: what a reader would try first.
write_variants() {
  cat >"$folder/claimed.yaml" <<<'layers: {kind: existingClaim, existingClaim: shared, readOnly: true}'
  cat >"$folder/folders.yaml" <<<'{layers: {kind: emptyDir}, fullnameOverride: attend, networkPolicy: {metricsFrom: []}}'
  cat >"$folder/ipv6.yaml" <<<'{listenAddress: "[::]", flags: {max_tokens: 1048576, keepalive_s: 2.5}, layers: {kind: image}}'
  cat >"$folder/tls.yaml" <<<'{tls: {enabled: true, secretName: s}, stopping: {lameDuckSeconds: 0, drainSeconds: 600}}'
}

# template ARGUMENT...: for the oldest Kubernetes that the chart supports; a helm that was built from
# source would take 1.20.
template() { helm template attention "$chart" --namespace attend --kube-version 1.27.0 "$@"; }

# render NAME VALUES: the manifests of the chart with them, in $folder/NAME.rendered.yaml.
render() { template --values "$2" >"$folder/$1.rendered.yaml"; }

# renders_not WANTED VALUE...: the chart is refused with --set of these, and the words say WANTED.
renders_not() {
  local wanted=$1
  shift
  refused "$wanted" template "${@/#/--set=}"
}

check_with_helm() {
  local values name
  assert "helm lint" helm lint --strict "$chart"
  assert "attention-server.yaml is what the chart gives" bash "$kubernetes/render.sh" --check
  write_variants
  for values in "$chart/values.yaml" "$kubernetes"/values-*.yaml "$folder"/{claimed,folders,ipv6,tls}.yaml; do
    name=$(basename "$values" .yaml)
    assert "helm lint with $name" helm lint --strict "$chart" --values "$values"
    assert "helm template with $name" render "$name" "$values"
    assert "what it gives fits together" check_manifests "$folder/$name.rendered.yaml"
  done
  assert "a value that there is not is refused" renders_not replica replica=3
  assert "a flag that there is not" renders_not max_qeue_ms flags.max_qeue_ms=5
  assert "a flag that another value stands for" renders_not drain_s flags.drain_s=5
  assert "a flag out of range" renders_not max_message_mib flags.max_message_mib=4096
  assert "root" renders_not user user=0
  assert "a port out of range" renders_not port service.port=70000
  assert "an unknown kind of layers" renders_not kind layers.kind=nfs
  assert "TLS without a certificate" renders_not "tls.secretName is empty" tls.enabled=true
  assert "a policy without TLS" renders_not "policy needs tls.enabled" policy.existingConfigMap=who
  assert "an autoscaler without a target" renders_not "both 0" autoscaling.enabled=true \
    autoscaling.targetQueueMs=0 autoscaling.targetCpuPercent=0
  assert "an autoscaler upside down" renders_not "minReplicas is 20" autoscaling.enabled=true autoscaling.minReplicas=20
  assert "an existing claim without its name" renders_not "layers.existingClaim is empty" layers.kind=existingClaim
}

# Those of the Prometheus operator have no schema among Kubernetes' own.
check_schemas() {
  kubeconform -strict -summary -skip ServiceMonitor,PrometheusRule \
    -schema-location "$KUBERNETES_SCHEMAS/{{.ResourceKind}}{{.KindSuffix}}.json" \
    "$kubernetes/attention-server.yaml" "$folder"/*.rendered.yaml
}

# The alerts as Prometheus reads them.
check_alerts() {
  "$python" - "$folder/values-fleet.rendered.yaml" >"$folder/rules.yaml" <<'PYTHON' || return 1
import sys
import yaml
with open(sys.argv[1], encoding="utf-8") as manifests:
    rules = [one["spec"] for one in yaml.safe_load_all(manifests) if one and one["kind"] == "PrometheusRule"]
print(yaml.safe_dump(*rules))
PYTHON
  promtool check rules "$folder/rules.yaml"
}

assert "the server tells its metrics" write_metrics
assert "the chart's values, schema, flags and metrics" check_chart
assert "the plain manifests fit together" check_manifests "$kubernetes/attention-server.yaml"
assert "the server takes the policy of values-tls.yaml" read_policy
if command -v helm >/dev/null; then
  check_with_helm
  if command -v promtool >/dev/null; then
    assert "promtool takes the alerts" check_alerts
  else
    echo "left out: promtool, which comes with Debian's prometheus"
  fi
  if command -v kubeconform >/dev/null && [[ -n ${KUBERNETES_SCHEMAS:-} ]]; then
    assert "kubeconform finds nothing" check_schemas
  else
    echo "left out: kubeconform, which needs KUBERNETES_SCHEMAS to name a folder of schemas"
  fi
else
  echo "left out: the chart itself, since there is no helm"
fi

if ((failures > 0)); then
  echo "failed: $failures"
  exit 1
fi
echo "passed: kubernetes"
