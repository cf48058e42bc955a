# shellcheck shell=bash
# What .ci/run and .ci/long share: stages one after the other, and a summary at the end. Source this file.
#
#   stage NAME COMMAND...     runs it; where it fails, that is the end
#
# A stage that cannot run here prints "SKIPPED: why" as its last line; the summary repeats it.

summary=()
skipped=0
current=
folder=$(mktemp -d)

finish() {
  local code=$?
  printf '\n==> Summary\n'
  printf '%s\n' "${summary[@]}"
  rm -rf "$folder"
  if ((code != 0)); then
    echo "FAILED: $current"
  elif ((skipped > 0)); then
    echo "all stages passed but $skipped SKIPPED, in $((SECONDS / 60)) min $((SECONDS % 60)) s"
  else
    echo "all stages passed in $((SECONDS / 60)) min $((SECONDS % 60)) s"
  fi
}
trap finish EXIT

stage() {
  local started=$SECONDS result last_line
  current=$1
  shift
  printf '\n==> %s\n' "$current"
  "$@" | tee "$folder/output"
  result=$(printf '%5d s  %s' $((SECONDS - started)) "$current")
  last_line=$(tail -n1 "$folder/output")
  if [[ $last_line == "SKIPPED: "* ]]; then
    result+=": $last_line"
    skipped=$((skipped + 1))
  fi
  summary+=("$result")
  echo "==> $current: $((SECONDS - started)) s"
}

# without_randomized_addresses COMMAND...: ThreadSanitizer of GCC 12 fails where a kernel randomizes
# more bits of an address than it knows.
without_randomized_addresses() {
  if setarch --addr-no-randomize true 2>/dev/null; then
    setarch --addr-no-randomize "$@"
  else
    "$@"
  fi
}

build_asan() { bash deploy/build.sh asan; }
test_asan() {
  export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
  export LSAN_OPTIONS=print_suppressions=0:suppressions=$PWD/tests/asan/leaks.txt
  export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
  ctest --preset asan --no-tests=error --parallel "$(nproc)" "$@"
}

build_tsan() { bash deploy/build.sh tsan; }
sanitize_threads() {
  export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:ignore_noninstrumented_modules=1:suppressions=$PWD/tests/tsan/suppressions.txt
}
test_tsan() {
  sanitize_threads
  without_randomized_addresses ctest --preset tsan --no-tests=error --parallel "$(nproc)" "$@"
}
