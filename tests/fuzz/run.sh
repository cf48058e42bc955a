#!/usr/bin/env bash
# Builds the fuzz targets with clang and runs each from the inputs that are kept, and a first few.
#
#   tests/fuzz/run.sh [SECONDS [TARGET...]]     seconds of a CPU that each target gets, default 30; targets: all
#   tests/fuzz/run.sh --keep                    afterwards: keeps what new inputs reach, and no more
#
# The kept inputs are tests/fuzz/corpus/TARGET.tar.gz, the working ones build/fuzz/corpus/TARGET/.
# What a target finds is left in build/fuzz/. Exit codes: 0 nothing found, else that of the target.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
readonly targets=(array_fuzzer layer_config_fuzzer policy_fuzzer request_fuzzer safetensors_fuzzer)
readonly kept=tests/fuzz/corpus
readonly work=build/fuzz/corpus

# add FILE CORPUS [PREFIX]: a first input, named by its content.
add() {
  local file
  file=$2/$(sha1sum "$1" | cut --delimiter=' ' --fields=1)
  { printf '%b' "${3:-}" && cat "$1"; } >"$file"
}

# encode MESSAGE FILE CORPUS PREFIX: a first input, from protobuf's text format.
encode() {
  protoc --proto_path=proto --encode="attention.v1.$1" \
    attention/v1/attention_service.proto attention/v1/encoder_service.proto <"$2" >build/fuzz/encoded
  add build/fuzz/encoded "$3" "$4"
}

first_inputs() {
  local file
  mkdir -p "$work/$1"
  [[ ! -e $kept/$1.tar.gz ]] || tar --extract --gzip --file "$kept/$1.tar.gz" --directory "$work/$1"
  case $1 in
    array_fuzzer) find tests/data -name model.safetensors && find tests/fuzz/seeds -name '*.npy' ;;
    layer_config_fuzzer) find tests/data -name config.json ;;
    policy_fuzzer) find tests/fuzz/seeds -name '*.json' ;;
    request_fuzzer) find tests/fuzz/seeds -name '*.txtpb' ;;
    safetensors_fuzzer) find tests/data -name model.safetensors ;;
  esac | while read -r file; do
    case $file in
      */encode_*.txtpb) encode EncodeRequest "$file" "$work/$1" '\0' ;;
      *.txtpb) encode ComputeAttentionRequest "$file" "$work/$1" '\1' ;;
      *.npy) add "$file" "$work/$1" '\0' ;;
      */model.safetensors) add "$file" "$work/$1" "$([[ $1 != array_fuzzer ]] || printf '%s' '\1')" ;;
      *) add "$file" "$work/$1" ;;
    esac
  done
}

# fuzz SECONDS TARGET
fuzz() {
  echo "==> $2, $1 s"
  # Debian's libraries do not tell AddressSanitizer how full their vectors are.
  ASAN_OPTIONS=detect_container_overflow=0 "build/fuzz/$2" -max_total_time="$1" -max_len=16384 \
    -timeout=10 -rss_limit_mb=2048 -artifact_prefix=build/fuzz/ -print_final_stats=1 -print_funcs=0 \
    -verbosity=0 "$work/$2" 2>&1 | grep --invert-match '^["#]'
}

keep() {
  local target smallest
  smallest=$(mktemp --directory)
  mkdir -p "$kept"
  for target in "${targets[@]}"; do
    mkdir "$smallest/$target"
    ASAN_OPTIONS=detect_container_overflow=0 "build/fuzz/$target" -merge=1 -verbosity=0 \
      "$smallest/$target" "$work/$target"
    # The same bytes from the same inputs.
    tar --create --gzip --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 \
      --file "$kept/$target.tar.gz" --directory "$smallest/$target" .
  done
  rm -rf "$smallest"
}

if [[ ${1:-} == --keep ]]; then
  keep
  exit
fi
seconds=${1:-30}
chosen=("${@:2}")
((${#chosen[@]} > 0)) || chosen=("${targets[@]}")
bash deploy/install_packages.sh build fuzz
clang=$(bash deploy/install_packages.sh --names fuzz | grep '^clang-')
export CMAKE_ARGUMENTS="-DCMAKE_C_COMPILER=$clang -DCMAKE_CXX_COMPILER=${clang/clang/clang++}"
bash deploy/build.sh fuzz fuzzers
for target in "${chosen[@]}"; do first_inputs "$target"; done
export -f fuzz
export work
# All at once: they share the CPUs for as long as it takes to give each its seconds.
cpus=$(nproc)
((${#chosen[@]} <= cpus)) || seconds=$((seconds * ${#chosen[@]} / cpus))
# shellcheck disable=SC2016  # the inner bash expands them
printf '%s\n' "${chosen[@]}" |
  xargs --max-args=1 --max-procs="${#chosen[@]}" bash -o pipefail -c 'fuzz "$0" "$1"' "$seconds"
