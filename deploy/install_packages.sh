#!/usr/bin/env bash
# Installs the packages of Debian 12 or 13 that the project needs, and only those that are missing.
#
#   deploy/install_packages.sh ROLE...
#   deploy/install_packages.sh --names ROLE...     installs nothing: what the packages are called here
#   deploy/install_packages.sh --release           installs nothing: 12 or 13, the Debian whose names hold here
#
#   build     to compile the server and the client
#   test      to compile the tests
#   runtime   to run the compiled programs
#   lint      to check the format and style of the sources
#   fuzz      to build the fuzz targets
#   cache     to keep the results of the compiler for the next build
#   browser   to test the pages that the programs write
#   docker    to build and run the image, and its base where no registry can be reached
#   roots     to test on a Debian in a folder of its own
#   fleet     to test what compose.yaml puts beside the servers; where there is an init, Debian starts
#             haproxy and prometheus as services too
#
# If no package is missing, it needs neither the network nor root; otherwise it needs root or sudo.
# Exit codes: 0 all packages are installed, 1 some are not, 2 wrong arguments.
set -euo pipefail

# The only list of packages. oneDNN's CMake package needs OpenCL (ocl-icd-opencl-dev); gRPC's needs OpenSSL, c-ares, re2
# and zlib, on which libgrpc++-dev depends. Packages whose names differ between the releases of Debian are in `names`.
packages_of() {
  case $1 in
    build)
      echo g++ cmake ninja-build \
        libgrpc++-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev libabsl-dev \
        libssl-dev libdnnl-dev ocl-icd-opencl-dev libtbb-dev libhwy-dev nlohmann-json3-dev \
        prometheus-cpp-dev libmicrohttpd-dev \
        libfreetype-dev libpng-dev libzip-dev fonts-dejavu-extra
      ;;
    test)
      echo libgtest-dev libgmock-dev libbenchmark-dev openssl \
        python3 python3-grpcio python3-protobuf python3-numpy python3-yaml
      ;;
    runtime)
      echo libgrpc++1.51 libprotobuf32 libabsl libdnnl libgomp1 libtbb12 libhwy1 libssl3 libstdc++6 \
        libprometheus-cpp-core1.0 libmicrohttpd12 libfreetype6 libpng16-16 libzip
      ;;
    # Format and style are checked with the tools of Debian 12. libomp is here because clang needs its omp.h.
    lint) echo git clang-format-14 clang-tidy-14 libomp-14-dev ;;
    fuzz) echo clang libclang-rt libomp ;;
    cache) echo ccache ;;
    browser) echo chromium chromium-driver ;;
    docker) echo docker.io debootstrap ;;
    roots) echo debootstrap git ;;
    fleet) echo haproxy prometheus docker-compose python3 python3-yaml ;;
    *) return 1 ;;
  esac
}

# Packages whose names differ between releases: the name in packages_of, that in Debian 12, that in Debian 13.
readonly names="
libgrpc++1.51   libgrpc++1.51        libgrpc++1.51t64
libprotobuf32   libprotobuf32        libprotobuf32t64
libabsl         libabsl20220623      libabsl20240722
libdnnl         libdnnl2             libdnnl3.6
libhwy1         libhwy1              libhwy1t64
libssl3         libssl3              libssl3t64
libpng16-16     libpng16-16          libpng16-16t64
libmicrohttpd12 libmicrohttpd12      libmicrohttpd12t64
libzip          libzip4              libzip5
clang           clang-14             clang-19
libclang-rt     libclang-rt-14-dev   libclang-rt-19-dev
libomp          libomp-14-dev        libomp-19-dev
"

# Prints the release whose names are used here: 12 or 13. On any other system the names of 13 are tried, or those of 12
# if its package sources have Debian 12's oneDNN.
debian_release() {
  local ID='' VERSION_ID='' PRETTY_NAME='this system'
  # shellcheck source=/dev/null
  [[ ! -e /etc/os-release ]] || . /etc/os-release
  if [[ $ID == debian && ($VERSION_ID == 12 || $VERSION_ID == 13) ]]; then
    echo "$VERSION_ID"
    return
  fi
  local nearest=13
  [[ -z $(apt-cache search --names-only '^libdnnl2$' 2>/dev/null) ]] || nearest=12
  echo "install_packages.sh: known are Debian 12 and 13; on $PRETTY_NAME the names of Debian $nearest are tried" >&2
  echo "$nearest"
}

# names_of RELEASE PACKAGE...: prints the names of these packages in that release, one on each line.
names_of() {
  local release=$1 package
  shift
  for package in "$@"; do
    awk -v package="$package" -v column=$((release - 10)) \
      '$1 == package { package = $column } END { print package }' <<<"$names"
  done
}

# missing_of PACKAGE...: prints those packages that are not installed, one on each line.
missing_of() {
  local installed package
  installed=$(dpkg-query --show --showformat='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
  for package in "$@"; do
    grep --quiet --line-regexp --fixed-strings "installed $package" <<<"$installed" || echo "$package"
  done
}

# as_root COMMAND...: runs a command as root, with sudo if necessary.
as_root() {
  if ((EUID == 0)); then
    "$@"
  else
    sudo "$@"
  fi
}

# apt_get COMMAND...: runs apt-get without questions; it repeats failed downloads and waits for another apt-get to
# finish.
apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes --no-install-recommends \
    -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@"
}

main() {
  local role names_only='' packages=() missing=()
  if [[ $* == --release ]]; then
    debian_release
    return
  fi
  if [[ ${1:-} == --names ]]; then
    names_only=true
    shift
  fi
  for role in "$@"; do
    packages_of "$role" >/dev/null || {
      echo "install_packages.sh: no role \"$role\"; there are build, test, runtime, lint, fuzz, cache, browser, docker, roots and fleet" >&2
      exit 2
    }
    read -ra packages <<<"${packages[*]} $(packages_of "$role")"
  done
  ((${#packages[@]} > 0)) || {
    echo "usage: install_packages.sh ROLE...   (build, test, runtime, lint, fuzz, cache, browser, docker, roots, fleet)" >&2
    exit 2
  }

  mapfile -t packages < <(names_of "$(debian_release)" "${packages[@]}")
  if [[ -n $names_only ]]; then
    printf '%s\n' "${packages[@]}"
    return
  fi
  mapfile -t missing < <(missing_of "${packages[@]}")
  ((${#missing[@]} > 0)) || return 0
  if ((EUID != 0)) && ! command -v sudo >/dev/null; then
    echo "install_packages.sh: run this as root, or install sudo; missing: ${missing[*]}" >&2
    exit 1
  fi
  echo "installing: ${missing[*]}"
  if ! { apt_get update && apt_get install "${missing[@]}"; }; then
    echo "install_packages.sh: apt-get failed; missing: ${missing[*]}" >&2
    exit 1
  fi
}

main "$@"
