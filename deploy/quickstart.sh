#!/usr/bin/env bash
# From a fresh Debian 12 or 13 to attention computed by a running server: installs the packages, builds,
# starts the server on a free port, sends it the sentence of the tutorials, stops it.
#
#   bash deploy/quickstart.sh
#
# It asks no questions. The first run takes some minutes, later ones take seconds. Exit code: 0 if all went well.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
readonly programs=$root/build/release
readonly sample=$root/client/samples/001_jim_likes_football.json

# shellcheck source=deploy/server_process.sh
source "$root/deploy/server_process.sh"

folder=$(mktemp -d)
trap 'kill_server; rm -rf "$folder"' EXIT

heading() { printf '\n==> %s\n' "$*"; }

heading "Packages"
bash "$root/deploy/install_packages.sh" build
echo "all installed"

heading "Build (preset release)"
bash "$root/deploy/build.sh" release attention_server attention_client

heading "Server"
start_server "$programs/attention_server" "$folder"
echo "listening on $server_target"

heading "attend: scores, weights and outputs"
"$programs/attention_client" attend "$sample" --target="$server_target"

heading "explain: who attends to whom"
"$programs/attention_client" explain "$sample" --target="$server_target" --color=always

heading "Stop"
stop_server
echo "the server has stopped"

cat <<END

Try it yourself:
  build/release/attention_server --port=50051 &
  build/release/attention_client explain client/samples/001_jim_likes_football.json --target=localhost:50051
END
