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
# expect WHAT EXPRESSION: a line of what it printed, without its colours, matches.
expect() {
  if grep --quiet --extended-regexp --regexp="$2" "$folder/plain"; then
    echo "ok: $1"
  else
    echo "FAILED: $1: no line matches $2"
    failures=$((failures + 1))
  fi
}

sed 's/\x1b\[[0-9;]*m//g' "$folder/output" >"$folder/plain"
expect "the words" '^ +jim +and +john +are +brothers +likes +football +swimming *$'
expect "the scores of jim" '^ *jim +0\.1400 +0\.2000 +0\.2600 +0\.3200 +0\.3800 +0\.4400 +0\.5000 +0\.5600$'
expect "the attention weights of jim" '^ *jim +0\.1004 +0\.1066 +0\.1132 +0\.1202 +0\.1276 +0\.1355 +0\.1439 +0\.1528$'
expect "the output of jim" '^ *jim +0\.4814 +0\.5814 +0\.6814$'
expect "the output of swimming" '^ *swimming +0\.5817 +0\.6817 +0\.7817$'
expect "the heat map of jim" '^ *jim +10\.0 +10\.7 +11\.3 +12\.0 +12\.8 +13\.5 +14\.4 +15\.3 +jim$'
expect "the heat map of swimming" '^ *swimming +4\.0 +5\.3 +6\.9 +9\.1 +11\.9 +15\.6 +20\.4 +26\.7 +swimming$'
expect "what jim attends to most" '^ *jim -> swimming 15\.3 %, football 14\.4 %, likes 13\.5 %$'
expect "the server stops" 'the server has stopped'
if ! grep --quiet $'\033\\[48;2;' "$folder/output"; then
  echo "FAILED: colours: no line has a coloured background"
  failures=$((failures + 1))
fi

if ((failures > 0)); then
  cat "$folder/output"
  exit 1
fi
echo "passed: quickstart"
