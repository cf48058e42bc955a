#!/usr/bin/env bash
# What a newcomer meets: the README's two commands on machines that never saw this project.
#
#   tests/end_to_end/newcomer_test.sh RELEASE [FOLDER]     RELEASE: 12 or 13, of Debian; FOLDER: where the
#                                                          machines are made, default a temporary one
#
#   bare    nothing but Debian, as root
#   used    a user who has sudo; libgtest-dev is installed without libgmock-dev; build folders are there that
#           another compiler made, and an older state of this project
#
# Wants root, debootstrap and a mirror of Debian; 3 GB on disk. Exit codes: 0 passed, or could not run: then the
# last line is "SKIPPED: why"; 1 failed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly root
# shellcheck source=tests/end_to_end/debian_root.sh
source "$root/tests/end_to_end/debian_root.sh"

readonly release=${1:?a release of Debian is wanted: 12 or 13}
folder=${2:-}
readonly home=/home/newcomer/attention-server # where the sources lie on both machines

fail() {
  echo "FAILED: $1"
  [[ -z ${2:-} ]] || tail -n 40 "$2"
  exit 1
}

# machine NAME: a fresh one.
machine() {
  rm -rf --one-file-system "${folder:?}/$1"
  cp --archive "$folder/debian" "$folder/$1"
  copy_sources "$folder/$1$home"
}

# quickstart_on NAME COMMAND...: runs it, which starts deploy/quickstart.sh, and reads the tutorials' numbers in
# what that prints.
quickstart_on() {
  local name=$1 output=$folder/$1.quickstart started=$SECONDS line
  shift
  in_root "$folder/$name" "$@" >"$output" 2>&1 </dev/null || fail "$name: deploy/quickstart.sh" "$output"
  sed -i 's/\x1b\[[0-9;]*m//g' "$output"
  for line in '^ *jim +0\.1400 +0\.2000 +0\.2600' '^ *jim +0\.1004 +0\.1066 +0\.1132' \
    '^ *jim +0\.4814 +0\.5814 +0\.6814$' 'the server has stopped'; do
    grep --quiet --extended-regexp --regexp="$line" "$output" ||
      fail "$name: no line of deploy/quickstart.sh matches $line" "$output"
  done
  echo "ok: $name: deploy/quickstart.sh, $((SECONDS - started)) s"
}

# tests_on NAME COMMAND...: runs it, which starts tests/run.sh; all pass.
tests_on() {
  local name=$1 output=$folder/$1.tests started=$SECONDS
  shift
  in_root "$folder/$name" "$@" >"$output" 2>&1 </dev/null || fail "$name: tests/run.sh" "$output"
  grep --quiet '^100% tests passed' "$output" || fail "$name: tests/run.sh ran no test" "$output"
  sed -n '/The following tests did not run/,$p' "$output"
  echo "ok: $name: tests/run.sh, $((SECONDS - started)) s"
}

bare() {
  machine bare
  quickstart_on bare bash "$home/deploy/quickstart.sh"
  tests_on bare bash "$home/tests/run.sh"
}

# What the bare machine built, as another compiler would have left it: objects that cannot be linked here.
leave_old_builds() {
  local build=$folder/used$home/build
  cp --archive "$folder/bare$home/build" "$build"
  sed -i 's/^set(CMAKE_CXX_COMPILER_VERSION "[^"]*")/set(CMAKE_CXX_COMPILER_VERSION "9.9.9")/' \
    "$build"/release/CMakeFiles/*/CMakeCXXCompiler.cmake
  find "$build/release" -name '*.o' -exec sh -c 'echo "not an object" >"$1"' - {} \;
  cp --archive "$build/release" "$build/dev"
}

used() {
  local user=(su newcomer --shell /bin/bash --command)
  machine used
  in_root "$folder/used" bash -c "apt-get -qq update && apt-get -qqy install --no-install-recommends sudo libgtest-dev &&
    useradd newcomer && echo 'newcomer ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/newcomer" >"$folder/used.log" 2>&1 ||
    fail "used: the machine cannot be made" "$folder/used.log"
  leave_old_builds
  in_root "$folder/used" chown --recursive newcomer /home/newcomer
  quickstart_on used "${user[@]}" "cd $home && bash deploy/quickstart.sh"
  ! in_root "$folder/used" test -e /usr/share/doc/libgmock-dev || fail "used: quickstart.sh installed libgmock-dev"
  # Which tests pass has been seen on the bare machine; here it matters that all of them are built.
  tests_on used "${user[@]}" "cd $home && bash tests/run.sh --tests-regex '^(decode|ops)_test\$'"
}

codename_of "$release" >/dev/null || fail "there is no Debian \"$release\" here; there are 12 and 13"
if [[ -z $folder ]]; then
  folder=$(mktemp -d)
  trap 'rm -rf --one-file-system "$folder"' EXIT
fi
mkdir -p "$folder"
if [[ ! -e $folder/debian ]] && ! provide_root "$release" "$folder/debian"; then
  echo "SKIPPED: $why"
  exit 0
fi
bare
used
echo "passed: newcomer on Debian $release"
