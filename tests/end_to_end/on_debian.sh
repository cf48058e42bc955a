#!/usr/bin/env bash
# Runs a command in a copy of the sources on a bare Debian 12 or 13, whatever this machine has.
#
#   tests/end_to_end/on_debian.sh RELEASE COMMAND...     e.g. 13 bash tests/run.sh
#
# What ccache keeps on this machine it finds there too, if the command installs it.
# Wants root, debootstrap and a mirror of Debian. Exit codes: the command's, 2 no such release; 0 where it cannot run:
# then the last line is "SKIPPED: why".
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly root
# shellcheck source=tests/end_to_end/debian_root.sh
source "$root/tests/end_to_end/debian_root.sh"

if (($# < 2)) || ! codename_of "$1" >/dev/null; then
  echo "usage: on_debian.sh 12|13 COMMAND..." >&2
  exit 2
fi
folder=$(mktemp -d)
trap 'rm -rf --one-file-system "$folder"' EXIT
if ! provide_root "$1" "$folder/debian"; then
  echo "SKIPPED: $why"
else
  copy_sources "$folder/debian/src"
  ! command -v ccache >/dev/null || compiler_cache=$(ccache --get-config cache_dir)
  in_root "$folder/debian" bash -c 'cd /src && exec "$@"' - "${@:2}"
fi
