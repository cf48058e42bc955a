#!/usr/bin/env bash
# Checks who includes whom, which folders there are, and nothing else.
#
#   tests/include_law.sh [ROOT]        default: this repository
#
# Prints FILE:LINE: RULE for each violation. Exit codes: 0 none, 1 some, 2 no such ROOT.
#
# README.md draws the law as a whole.
set -euo pipefail

# Start of a header's name in an #include; what follows it is a folder or a file.
readonly q='["<]'
readonly protobuf="${q}(attention/v1/|google/|grpc/|upb/)|\.pb\.h"
readonly grpc="${q}(grpc|grpcpp|grpc\+\+)/"
readonly time="${q}(chrono>|ctime>|time\.h>|sys/time\.h>|absl/time/)"

# in_order FOLDER ROOM...: a rule for each room of the folder, which may include those named before it, and none
# of those named after it.
in_order() {
  local folder=$1 room
  shift
  while (($# > 1)); do
    room=$1
    shift
    echo "^$folder/$room/ ; - ; ${q}$folder/($(IFS='|' && echo "$*"))/ ; $folder/$room knows none of $*"
  done
}

# Columns: files that the rule is for | files excepted | what they must not include | the rule.
# The first three are extended regular expressions; paths are from ROOT, "-" excepts nothing.
rules() {
  cat <<END
^kernels/ ; - ; $protobuf|$grpc ; kernels know no proto and no gRPC
^kernels/ ; - ; ${q}nlohmann/ ; kernels know no JSON
^kernels/ ; - ; ${q}(server|client)/ ; kernels know neither server nor client
^kernels/ ; - ; $time ; kernels have no clock
^kernels/reference/ ; :"kernels/(memory/|simd/convert\.h|products/packed_weight\.h|attention/attention_problem\.h|encoder/encoder\.h|reference/) ; ${q}kernels/ ; the oracle knows what is computed and not how
^kernels/attention/rows/ ; :"kernels/attention/rows/ ; ${q}kernels/attention/ ; kernels/attention/rows knows rows and no operator
^(kernels|server|client)/ ; ^kernels/reference/ ; ${q}kernels/reference/ ; the oracle is for tests and benchmarks
^server/(engine|host|json|models)/ ; - ; $protobuf|$grpc ; behind server/rpc nobody knows proto and gRPC
^server/(host|json)/ ; :"server/(host|json)/ ; ${q}server/ ; server/host and server/json know nobody else in the server
^server/models/ ; :"server/(host|json|models)/ ; ${q}server/ ; server/models knows only host and json and kernels
^server/engine/ ; :"server/(host|json|models|engine)/ ; ${q}server/ ; server/engine knows only models and what they know
^server/ops/ ; :"server/(host|json|ops)/ ; ${q}server/ ; server/ops knows only host and json
^server/rpc/encoder/ ; - ; ${q}server/rpc/attention/ ; the doors do not know each other
^server/rpc/layers/ ; - ; ${q}server/rpc/(attention|encoder)/ ; the doors do not know each other
^server/rpc/ ; - ; ${q}server/[^/]*$ ; server/rpc does not look up at server
^server/ ; ^server/(rpc|engine|host|json|models)/ ; \.pb\.h ; in the server only rpc sees the proto
^ ; ^(server|tests)/ ; ${q}server/ops/ ; server/ops is used by server alone
^server/ ; - ; ${q}client/ ; the server does not know the client
^client/[^/:]*: ; :"client/[^/]*$ ; ${q}client/ ; the client library knows nothing of the programs
^client/ ; - ; ${q}(server|kernels)/ ; the client sees neither server nor kernels
^ ; ^(kernels/onednn/[a-z0-9_]*\.cc|kernels/onednn/onednn_versions\.h|tests/bench/onednn_[a-z0-9_]*\.cc|tests/kernels/onednn_created\.cc): ; ${q}(oneapi/dnnl/|dnnl[a-z_]*\.h|mkldnn) ; oneDNN's headers in the sources of kernels/onednn alone
^ ; ^(server/(options|set_flags)\.(h|cc)|client/(programs/parse_flags|(cli|load)/main)\.cc|tests/.*): ; ${q}absl/flags/ ; flags are read in server/options.* and the clients' main alone
^ ; ^tests/ ; ${q}(tests|gtest|gmock)/ ; nothing outside tests includes tests
^ ; - ; ${q}\.\.?/ ; an include names the path from the root
END
  in_order kernels memory onednn simd threads products attention encoder
  in_order server/rpc messages shared attention encoder layers
  in_order client/cli files pictures views commands
}

# Every #include of the tree as PATH:LINE:"NAME or PATH:LINE:<NAME>. A quoted name has lost its closing
# mark, so that a rule can say with $ where it ends.
includes() {
  find . \( -path ./build -o -path ./.git \) -prune -o -type f \( -name '*.h' -o -name '*.cc' \) -print0 |
    LC_ALL=C sort --zero-terminated |
    xargs --null --no-run-if-empty grep --with-filename --line-number --extended-regexp \
      '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<]' |
    sed -E 's,^\./,,; s,^([^:]*:[0-9]+:)[[:space:]]*#[[:space:]]*include[[:space:]]*(["<][^">]*[">]?).*$,\1\2,; s,"$,,'
}

# check_includes FILE: FILE holds the output of `includes`.
check_includes() {
  local files except forbidden rule
  while IFS=';' read -r files except forbidden rule; do
    files=${files% } except=${except# } forbidden=${forbidden# }
    except=${except% } forbidden=${forbidden% } rule=${rule# }
    [[ $except != - ]] || except='^$'
    grep --extended-regexp "$files" "$1" | grep --extended-regexp --invert-match "$except" |
      grep --extended-regexp "^[^:]*:[0-9]+:.*($forbidden)" | sed -E "s,^([^:]*:[0-9]+):.*$,\1: $rule," || true
  done < <(rules)
}

check_folders() {
  find . \( -path ./build -o -path ./.git \) -prune -o -type d -regextype posix-extended \
    -regex '.*/(common|utils|base|misc)' -printf '%P:1: no folder is named %f\n'
}

main() {
  local folder violations
  folder=${1:-$(dirname "${BASH_SOURCE[0]}")/..}
  cd "$folder" || exit 2
  list=$(mktemp)
  trap 'rm -f "$list"' EXIT
  includes >"$list" || true
  violations=$(check_includes "$list"; check_folders)
  if [[ -n $violations ]]; then
    echo "$violations"
    exit 1
  fi
  echo "the include law holds: $(wc -l <"$list") includes"
}

main "$@"
