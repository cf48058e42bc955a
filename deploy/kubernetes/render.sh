#!/usr/bin/env bash
# Writes attention-server.yaml: the chart with its default values, for clusters without Helm.
#
#   deploy/kubernetes/render.sh            writes it
#   deploy/kubernetes/render.sh --check    says what would change, and writes nothing
#
# Exit codes: 0 written, or up to date; 1 not up to date, or Helm refuses the chart; 2 wrong
# arguments; 127 there is no helm (3.x).
set -euo pipefail

folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly folder
readonly manifest=$folder/attention-server.yaml

# The version of Kubernetes is fixed to the oldest that the chart supports, so that the result does not depend on Helm's
# version. Two labels that name Helm are removed, because Helm does not manage the result.
render() {
  cat <<'HEAD'
# Two attention servers in plain text: the chart in deploy/kubernetes/chart with its default values,
# as deploy/kubernetes/render.sh writes it. Change the chart, not this file.
#
#   kubectl apply --namespace attention --filename deploy/kubernetes/attention-server.yaml
#
# The image is built by deploy/Dockerfile and must be where the cluster finds it.
HEAD
  helm template attention-server "$folder/chart" --kube-version 1.27.0 --skip-tests |
    grep --invert-match --extended-regexp '^ *(app\.kubernetes\.io/managed-by|helm\.sh/chart): '
}

command -v helm >/dev/null || {
  echo "render.sh: there is no helm on the PATH" >&2
  exit 127
}
rendered=$(render)
case ${1:-} in
  "") printf '%s\n' "$rendered" >"$manifest" ;;
  --check)
    diff --unified "$manifest" - <<<"$rendered" || {
      echo "render.sh: attention-server.yaml is not what the chart gives; run deploy/kubernetes/render.sh" >&2
      exit 1
    }
    ;;
  *)
    echo "usage: render.sh [--check]" >&2
    exit 2
    ;;
esac
