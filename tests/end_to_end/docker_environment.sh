# shellcheck shell=bash disable=SC2034,SC2154  # variables are shared with the script that sources this
# What the Docker test needs around it: a daemon, and a base image that can install packages.
# Source this file. It wants `root` (the repository) and `folder` (a temporary one) to be set.
#
#   provide_daemon            uses the Docker daemon that answers, or starts one of its own
#   provide_base RELEASE      sets `slim` to debian:bookworm-slim for 12, to debian:trixie-slim for 13, and
#                             `base` to an image that is this and knows this machine's apt sources
#   remove_environment        for an EXIT trap: undoes both
#
# The first two return 1 and set `why` where that is impossible.

# shellcheck source=tests/end_to_end/debian_root.sh
source "$root/tests/end_to_end/debian_root.sh"

why=
slim=
base=
daemon_pid=
made_images=()

provide_daemon() {
  if docker info >/dev/null 2>&1; then
    return 0
  fi
  if ((EUID != 0)); then
    why="no Docker daemon answers, and only root can start one"
    return 1
  fi
  if ! bash "$root/deploy/install_packages.sh" docker; then
    why="no Docker daemon answers, and its package cannot be installed"
    return 1
  fi
  echo "starting a Docker daemon for this test"
  start_daemon || start_daemon --bridge=none --iptables=false || {
    tail -n 5 "$folder/dockerd.log"
    why="no Docker daemon answers, and dockerd does not start here"
    return 1
  }
}

# start_daemon FLAG...
start_daemon() {
  local deadline=$((SECONDS + 30))
  export DOCKER_HOST=unix://$folder/docker.sock
  dockerd --host "$DOCKER_HOST" --data-root "$folder/docker" --exec-root "$folder/docker-exec" \
    --pidfile "$folder/docker.pid" "$@" >"$folder/dockerd.log" 2>&1 &
  daemon_pid=$!
  until docker info >/dev/null 2>&1; do
    if ((SECONDS >= deadline)) || ! kill -0 "$daemon_pid" 2>/dev/null; then
      stop_daemon
      return 1
    fi
    sleep 0.2
  done
}

stop_daemon() {
  if [[ -n $daemon_pid ]]; then
    kill -TERM "$daemon_pid" 2>/dev/null || true
    wait "$daemon_pid" || true
    umount "$folder/docker-exec/netns/default" 2>/dev/null || true # dockerd leaves it mounted
    daemon_pid=
  fi
}

# Like the published image: the smallest variant, no documentation, no package lists.
make_slim() {
  local tree=$folder/slim
  echo "making $slim with debootstrap"
  make_root "$1" "$tree" || return 1
  cat >"$tree/etc/dpkg/dpkg.cfg.d/docker" <<END
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/locale/*
END
  find "$tree/usr/share/doc" ! -type d ! -name copyright -delete
  rm -rf "$tree"/var/lib/apt/lists/* "$tree"/var/cache/apt/*.bin "$tree"/var/cache/apt/archives/*.deb \
    "$tree"/usr/share/man/* "$tree"/usr/share/locale/* "$tree"/var/log/*
  tar --directory "$tree" --create . | docker import - "$slim" >/dev/null || return 1
  made_images+=("$slim")
  rm -rf "$tree"
}

provide_base() {
  slim=debian:$(codename_of "$1")-slim
  base=$slim
  if ! docker image inspect "$slim" >/dev/null 2>&1 && ! timeout 120 docker pull --quiet "$slim" 2>/dev/null; then
    if ((EUID != 0)) || ! bash "$root/deploy/install_packages.sh" docker || ! make_slim "$1"; then
      tail -n 5 "$folder/slim.log" 2>/dev/null || true
      why="no registry can be reached for $slim, and it cannot be made with debootstrap"
      return 1
    fi
  fi
  add_sources_to_base "$1"
}

# A machine may have its packages from a mirror, with its own settings: the image is built with them.
add_sources_to_base() {
  local context=$folder/sources with_sources=attention-docker-test-base:$1
  write_apt_settings "$1" "$context"
  [[ -s $context/etc/apt/sources.list ]] || return 0
  cat >"$context/Dockerfile" <<END
FROM $slim
RUN rm -f /etc/apt/sources.list.d/debian.sources
COPY etc/ /etc/
END
  if docker build --network=host --quiet --tag "$with_sources" "$context" >"$folder/sources.log" 2>&1; then
    base=$with_sources
    made_images+=("$with_sources")
  fi
}

remove_environment() {
  if [[ -z $daemon_pid ]] && ((${#made_images[@]} > 0)); then
    docker image rm --force "${made_images[@]}" >/dev/null 2>&1 || true
  fi
  stop_daemon
}
