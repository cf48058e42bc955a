#!/usr/bin/env bash
# Tests include_law.sh: it finds one violation of each rule, and nothing in a tree that keeps the law.
#
#   tests/include_law_test.sh ROOT        ROOT: the repository, which must keep the law as well
#
# Exit codes: 0 passed, 1 failed.
set -euo pipefail

root=$(cd "$1" && pwd)
readonly root
readonly law=$root/tests/include_law.sh
folder=$(mktemp -d)
readonly folder
trap 'rm -rf "$folder"' EXIT
failures=0

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# write TREE PATH HEADER...: a file with these includes after one line of comment.
write() {
  local path=$1/$2
  mkdir -p "$(dirname "$path")"
  shift 2
  { echo "// A file."; printf '#include %s\n' "$@"; } >"$path"
}

make_lawful_tree() {
  write "$1" kernels/attention/attention_op.h '<vector>' '"absl/status/statusor.h"' '"kernels/mask.h"'
  write "$1" kernels/onednn/onednn_matmul.cc '"oneapi/dnnl/dnnl.hpp"' '"absl/strings/str_cat.h"'
  write "$1" server/engine/scheduler.cc '<chrono>' '"kernels/attention/attention_op.h"' '"server/engine/scheduler.h"'
  write "$1" server/rpc/service.cc '"attention/v1/attention.pb.h"' '<grpcpp/grpcpp.h>' \
    '"server/engine/scheduler.h"' '"server/ops/metrics.h"'
  write "$1" kernels/reference/reference_attention.cc '"kernels/attention/attention_problem.h"' '"kernels/simd/convert.h"'
  write "$1" server/options.cc '"absl/flags/flag.h"'
  write "$1" server/main.cc '"server/options.h"' '"server/ops/log.h"' '"server/rpc/service.h"'
  write "$1" client/cli/main.cc '"absl/flags/parse.h"' '"client/attention_client.h"'
  write "$1" client/load/main.cc '"absl/flags/flag.h"' '"nlohmann/json.hpp"'
  write "$1" tests/server/service_test.cc '<gtest/gtest.h>' '"server/rpc/service.h"' '"tests/data.h"' \
    '"server/ops/log.h"' '"client/attention_client.h"' '"attention/v1/attention.grpc.pb.h"'
  write "$1" build/release/generated.h '"tests/data.h"'
  mkdir -p "$1/build/common"
}

# expect_found PATH HEADER RULE: the law finds exactly this include, as PATH:2: RULE.
expect_found() {
  local path=$1 header=$2 rule=$3 tree=$folder/tree output code=0
  rm -rf "$tree"
  make_lawful_tree "$tree"
  write "$tree" "$path" "$header"
  output=$(bash "$law" "$tree") || code=$?
  ((code == 1)) || fail "$path includes $header: exit code $code; want 1"
  grep --quiet --line-regexp --fixed-strings "$path:2: $rule" <<<"$output" ||
    fail "$path includes $header: got \"$output\"; want \"$path:2: $rule\""
  ! grep --invert-match --quiet --fixed-strings "$path:2: " <<<"$output" ||
    fail "$path includes $header: found elsewhere as well: $output"
}

expect_kept() {
  local output code=0
  output=$(bash "$law" "$1") || code=$?
  ((code == 0)) || fail "$2: exit code $code; want 0: $output"
}

expect_folder_found() {
  local tree=$folder/tree code=0 output
  rm -rf "$tree"
  make_lawful_tree "$tree"
  mkdir -p "$tree/$1"
  output=$(bash "$law" "$tree") || code=$?
  [[ $code == 1 && $output == "$1:1: no folder is named ${1##*/}" ]] || fail "folder $1: got $code \"$output\""
}

make_lawful_tree "$folder/lawful"
expect_kept "$folder/lawful" "a tree that keeps the law"
expect_kept "$root" "the repository"

rule="kernels know no proto and no gRPC"
for header in '"attention/v1/tensor.pb.h"' '<google/protobuf/message.h>' '<grpcpp/grpcpp.h>' '<grpc/grpc.h>'; do
  expect_found kernels/mask.cc "$header" "$rule"
done
expect_found kernels/mask.cc '"nlohmann/json.hpp"' "kernels know no JSON"
expect_found kernels/mask.cc '"server/engine/scheduler.h"' "kernels know neither server nor client"
expect_found kernels/mask.h '"client/attention_client.h"' "kernels know neither server nor client"
expect_found kernels/mask.h '<chrono>' "kernels have no clock"
expect_found kernels/mask.h '"absl/time/clock.h"' "kernels have no clock"
expect_found kernels/memory/tiles.h '"kernels/onednn/activation.h"' \
  "kernels/memory knows none of onednn simd threads products attention encoder"
expect_found kernels/simd/convert.h '"kernels/threads/executor.h"' \
  "kernels/simd knows none of threads products attention encoder"
expect_found kernels/attention/rows/softmax_rows.h '"kernels/encoder/layer_norm.h"' "kernels/attention knows none of encoder"
expect_found kernels/attention/rows/softmax_rows.h '"kernels/attention/attention_problem.h"' \
  "kernels/attention/rows knows rows and no operator"
expect_found kernels/attention/rotary.cc '"kernels/reference/reference_attention.h"' \
  "the oracle is for tests and benchmarks"
expect_found kernels/reference/reference_attention.cc '"kernels/threads/executor.h"' \
  "the oracle knows what is computed and not how"

rule="behind server/rpc nobody knows proto and gRPC"
expect_found server/engine/batch.h '<grpcpp/grpcpp.h>' "$rule"
expect_found server/engine/batch.h '"attention/v1/attention.pb.h"' "$rule"
rule="server/engine knows only models and what they know"
for header in '"server/rpc/service.h"' '"server/ops/log.h"' '"server/options.h"'; do
  expect_found server/engine/batch.cc "$header" "$rule"
done
expect_found server/models/layer_store.cc '<grpcpp/grpcpp.h>' "behind server/rpc nobody knows proto and gRPC"
expect_found server/models/layer_store.cc '"server/engine/engine.h"' "server/models knows only host and json and kernels"
expect_found server/host/cgroup.cc '"server/models/layer_store.h"' "server/host and server/json know nobody else in the server"
expect_found server/ops/log.cc '"server/engine/engine.h"' "server/ops knows only host and json"
expect_found server/rpc/decode.cc '"server/options.h"' "server/rpc does not look up at server"
expect_found server/ops/log.cc '"attention/v1/attention.pb.h"' "in the server only rpc sees the proto"
expect_found server/server.cc '"attention/v1/attention.grpc.pb.h"' "in the server only rpc sees the proto"
expect_found server/rpc/decode.cc '"client/tensors.h"' "the server does not know the client"

expect_found client/cli/main.cc '"server/ops/log.h"' "server/ops is used by server alone"
expect_found kernels/mask.cc '"server/ops/log.h"' "server/ops is used by server alone"
expect_found client/cli/files/npy.cc '"client/cli/views/grid.h"' \
  "client/cli/files knows none of pictures views commands"
expect_found client/tensors.cc '"client/cli/commands/commands.h"' "the client library knows nothing of the programs"
expect_found client/tensors.cc '"server/rpc/decode.h"' "the client sees neither server nor kernels"
expect_found client/tensors.cc '"kernels/mask.h"' "the client sees neither server nor kernels"

rule="oneDNN's headers in the sources of kernels/onednn alone"
for path in kernels/onednn/onednn_matmul.h kernels/mask.cc server/main.cc tests/kernels/onednn/onednn_matmul_test.cc; do
  expect_found "$path" '"oneapi/dnnl/dnnl.hpp"' "$rule"
done
expect_found kernels/mask.cc '<dnnl.h>' "$rule"

rule="flags are read in server/options.* and the clients' main alone"
for path in server/main.cc server/ops/log.cc kernels/mask.cc client/attention_client.cc; do
  expect_found "$path" '"absl/flags/flag.h"' "$rule"
done

expect_found server/main.cc '"tests/data.h"' "nothing outside tests includes tests"
expect_found kernels/mask.cc '<gtest/gtest.h>' "nothing outside tests includes tests"
expect_found kernels/mask.cc '"../kernels/mask.h"' "an include names the path from the root"

for name in server/common kernels/utils base tests/misc; do
  expect_folder_found "$name"
done

((failures == 0)) || exit 1
echo "passed: the include law finds what it should"
