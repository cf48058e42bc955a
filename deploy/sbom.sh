#!/usr/bin/env bash
# Writes what the image is made of as an SPDX 2.3 document (JSON), from dpkg's database. For the
# Dockerfile; needs what debian:trixie-slim has.
#
#   deploy/sbom.sh packages [PATTERN...]     a line for each installed package, or for those named so
#   deploy/sbom.sh document BUILT_WITH       the document, on standard output, of the system it runs on;
#                                            BUILT_WITH: lines of `packages`, of those that are compiled
#                                            into the programs, such as headers
#
# The same packages and programs give the same document, but for its time: SOURCE_DATE_EPOCH where that
# is set, else now. Licences are not told: Debian has them in /usr/share/doc/PACKAGE/copyright.
# Exit codes: 0 written, 2 wrong arguments, else that of the command which failed.
set -euo pipefail

readonly programs=(/usr/local/bin/attention_server /usr/local/bin/attention_client)

# package, version, architecture, source package, its version, home page
list_packages() {
  # shellcheck disable=SC2016  # dpkg-query fills these in
  local columns='${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\t${Homepage}'
  dpkg-query --show --showformat="\${db:Status-Status}\t$columns\n" "$@" | sed -n 's/^installed\t//p' | sort
}

# name, version and SHA-256 of each of our programs
list_programs() {
  local program version sum
  for program in "${programs[@]}"; do
    version=$("$program" --version | head -n1)
    read -r sum _ < <(sha256sum "$program")
    printf '%s\t%s\t%s\n' "${program##*/}" "${version##* }" "$sum"
  done
}

write_document() {
  local built_with=$1 folder sum created
  folder=$(mktemp -d)
  list_programs >"$folder/programs"
  list_packages >"$folder/installed"
  # A document's namespace is a name that no other document has: here, a sum of what it tells.
  read -r sum _ < <(cat "$folder/programs" "$folder/installed" "$built_with" | sha256sum)
  created=$(date --utc --date="@${SOURCE_DATE_EPOCH:-$(date +%s)}" +%Y-%m-%dT%H:%M:%SZ)
  awk -v name=attention-server -v namespace="https://spdx.org/spdxdocs/attention-server-$sum" \
    -v created="$created" -f "$(dirname "${BASH_SOURCE[0]}")/sbom.awk" \
    "$folder/programs" "$folder/installed" "$built_with"
  rm -rf "$folder"
}

case ${1:-}:$# in
  packages:*) list_packages "${@:2}" ;;
  document:2) write_document "$2" ;;
  *)
    echo "usage: sbom.sh packages [PATTERN...] | document BUILT_WITH" >&2
    exit 2
    ;;
esac
