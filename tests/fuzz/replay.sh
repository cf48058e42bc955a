#!/usr/bin/env bash
# Runs a fuzz target on the inputs that are kept for it.
#
#   tests/fuzz/replay.sh PROGRAM CORPUS.tar.gz
#
# Exit codes: 0 nothing found, else that of the program.
set -euo pipefail
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
tar --extract --gzip --file "$2" --directory "$folder"
"$1" "$folder"
