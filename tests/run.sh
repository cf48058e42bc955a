#!/usr/bin/env bash
# Installs what is missing, builds the preset release and runs every test.
#
#   bash tests/run.sh [CTEST_ARGUMENT...]     e.g. --label-regex unit
#
# Exit codes: 0 every test passed; else that of the step which failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash deploy/install_packages.sh build test
bash deploy/build.sh release
ctest --preset release --no-tests=error --parallel "$(nproc)" "$@"
