#!/usr/bin/env bash
# deploy/quickstart.sh, run from the tree as it is built: shows the tutorials' sentence, asks nothing.
#
#   tests/end_to_end/quickstart_test.sh [BUILD_DIR]     default: build/release
#
# Skipped for another build than the release, which is the one that quickstart.sh makes.
# Exit codes: 0 passed or skipped, 1 failed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly root
folder=$(mktemp -d)
readonly folder
trap 'rm -rf "$folder"' EXIT

if [[ $(realpath "${1:-$root/build/release}") != "$(realpath "$root/build/release")" ]]; then
  echo "SKIPPED: quickstart.sh builds the preset release, not ${1}"
  exit 0
fi

# From another folder, with nobody at the keyboard.
(cd "$folder" && bash "$root/deploy/quickstart.sh" >output 2>&1 </dev/null) || {
  cat "$folder/output"
  echo "FAILED: quickstart.sh exited with an error"
  exit 1
}

failures=0
# expect WHAT EXPRESSION
expect() {
  if grep --quiet --extended-regexp "$2" "$folder/output"; then
    echo "ok: $1"
  else
    echo "FAILED: $1: no line matches $2"
    failures=$((failures + 1))
  fi
}

expect "the scores of jim" '0\.1400 +0\.2000 +0\.2600 +0\.3200 +0\.3800 +0\.4400 +0\.5000 +0\.5600'
expect "the words" 'swimming'
expect "the most attended words" 'jim *-> *[a-z]+'
expect "colours" $'\033\\['
expect "the server stops" 'the server has stopped'

if ((failures > 0)); then
  cat "$folder/output"
  exit 1
fi
echo "passed: quickstart"
