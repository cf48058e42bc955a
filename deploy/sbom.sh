#!/usr/bin/env bash
# Writes the contents of the image as an SPDX 2.3 document (JSON), from dpkg's database. The Dockerfile calls it; it
# needs only programs of debian:trixie-slim.
#
#   deploy/sbom.sh packages [PATTERN...]     a line for each installed package, or for those named so
#   deploy/sbom.sh document BUILT_WITH       the document, on standard output, of the system it runs on;
#                                            BUILT_WITH: lines of `packages`, of those that are compiled
#                                            into the programs, such as headers
#
# The same packages and programs give the same document, except for its time, which is SOURCE_DATE_EPOCH if that is set,
# otherwise now. Licences are not listed; Debian has them in /usr/share/doc/PACKAGE/copyright.
# Exit codes: 0 written, 2 wrong arguments, otherwise that of the command that failed.
set -euo pipefail

readonly programs=(/usr/local/bin/attention_server /usr/local/bin/attention_client)

# Prints for each package: package, version, architecture, source package, version of the source package, home page.
list_packages() {
  # shellcheck disable=SC2016  # dpkg-query fills these in
  local columns='${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\t${Homepage}'
  dpkg-query --show --showformat="\${db:Status-Status}\t$columns\n" "$@" | sed -n 's/^installed\t//p' | sort
}

# Prints name, version and SHA-256 of each of our programs.
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
  # The namespace of a document must be unique, so it contains a checksum of the contents.
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
