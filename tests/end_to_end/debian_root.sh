# shellcheck shell=bash
# Bare roots of Debian 12 and 13, such as a newcomer's machine, and what a base image is made of. Source this
# file. Making and entering a root is for root alone.
#
#   provide_root RELEASE FOLDER             make_root, with what that takes; where it is impossible, returns 1 and
#                                           sets `why`
#   make_root RELEASE FOLDER                a minimal Debian 12 or 13 that knows this machine's mirror; its log
#                                           is FOLDER.log
#   copy_sources FOLDER                     the files that git knows of, as they lie here, into FOLDER
#   in_root FOLDER COMMAND...               runs it there; what it leaves running ends with it; where
#                                           $compiler_cache is a folder, ccache finds its results in it
#   codename_of RELEASE                     what its package lists are called: bookworm, trixie
#   write_apt_settings RELEASE FOLDER       this machine's mirror and settings of apt as files below FOLDER, as
#                                           they lie below /: etc/apt and, for a mirror by https, etc/ssl/certs

codename_of() {
  case $1 in
    12) echo bookworm ;;
    13) echo trixie ;;
    *) return 1 ;;
  esac
}

# "deb URI SUITE COMPONENT" for each package list of that release, from where this machine has its own.
apt_sources() {
  local codename uri suite component
  codename=$(codename_of "$1")
  # shellcheck disable=SC2016  # apt-get fills these in
  apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' \
    2>/dev/null | while read -r uri suite component; do
    echo "deb $uri $(sed -E "s/^(bookworm|trixie)/$codename/" <<<"$suite") $component"
  done | sort --unique
}

# The archive that has the release itself.
mirror_of() { apt_sources "$1" | awk -v suite="$(codename_of "$1")" '$3 == suite && $4 == "main" { print $2; exit }'; }

write_apt_settings() {
  local to=$2
  mkdir -p "$to/etc/apt/apt.conf.d" "$to/etc/ssl/certs"
  apt_sources "$1" >"$to/etc/apt/sources.list"
  apt-config dump | grep -E '^Acquire::(http|https|Retries|Check-Valid-Until|Check-Date)\b.* "..*";$' \
    >"$to/etc/apt/apt.conf.d/90machine" || true
  if grep --quiet https: "$to/etc/apt/sources.list"; then
    cp /etc/ssl/certs/ca-certificates.crt "$to/etc/ssl/certs/"
  fi
}

make_root() {
  local to=$2 codename mirror http_proxy=${http_proxy:-}
  codename=$(codename_of "$1")
  mirror=$(mirror_of "$1")
  eval "$(apt-config shell http_proxy Acquire::http::Proxy)"
  mkdir -p "$to"
  chmod 755 "$to"
  ${http_proxy:+env http_proxy="$http_proxy"} \
    debootstrap --variant=minbase "$codename" "$to" ${mirror:+"$mirror"} >"$to.log" 2>&1 || return 1
  [[ -z $mirror ]] || write_apt_settings "$1" "$to"
  cp /etc/resolv.conf "$to/etc/resolv.conf"
  # As Debian's installer leaves it, which debootstrap alone does not.
  printf '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n' >"$to/etc/hosts"
}

# shellcheck disable=SC2034,SC2154  # the script that sources this has root, and reads why
provide_root() {
  if ((EUID != 0)); then
    why="only root can make a root of Debian"
  elif ! bash "$root/deploy/install_packages.sh" roots; then
    why="debootstrap cannot be installed"
  elif ! make_root "$1" "$2"; then
    why="debootstrap cannot make Debian $1: $(tail -n1 "$2.log")"
  else
    return 0
  fi
  return 1
}

# shellcheck disable=SC2154  # the script that sources this has root
copy_sources() {
  mkdir -p "$1"
  git -C "$root" ls-files -z | tar --directory "$root" --null --files-from=- --create | tar --directory "$1" --extract
}

in_root() {
  local inside=$1 variable passed=()
  shift
  for variable in http_proxy https_proxy no_proxy; do
    [[ -z ${!variable:-} ]] || passed+=("$variable=${!variable}")
  done
  # In namespaces of its own, so that no mount and no process outlives it.
  # shellcheck disable=SC2016  # the inner bash expands them
  unshare --mount --pid --fork --kill-child bash -c '
    mount --rbind /dev "$0/dev" && mount --rbind /sys "$0/sys" && mount -t proc proc "$0/proc" &&
    if [[ -n $1 ]]; then mkdir -p "$1" "$0/root/.cache/ccache" && mount --bind "$1" "$0/root/.cache/ccache"; fi &&
    exec chroot "$0" "${@:2}"' \
    "$inside" "${compiler_cache:-}" /usr/bin/env --ignore-environment \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "${passed[@]}" "$@"
}
