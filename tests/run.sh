#!/usr/bin/env bash
# Installs what is missing, builds the preset release with its tests and benchmarks, and runs the tests but
# for those of the label `long`, which take minutes each and belong to .ci/long.
#
#   bash tests/run.sh [CTEST_ARGUMENT...]     e.g. --label-regex unit
#
# Exit codes: 0 every test passed; else that of the step which failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash deploy/install_packages.sh build test
export CMAKE_ARGUMENTS="-DATTENTION_TESTS=ON -DATTENTION_BENCHMARKS=ON"
bash deploy/build.sh release
ctest --preset release --no-tests=error --parallel "$(nproc)" --label-exclude long "$@"
