#!/usr/bin/env bash
# Brings what some tests need and pip cannot install: today a Postgres server.
# Does nothing for what is there; where it cannot install, the tests that need it say so.
set -euo pipefail
cd "$(dirname "$0")/.."

apt_install() {  # apt_install PACKAGE…: as root on Debian only; quiet unless it fails
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "setup: cannot install $* (needs Debian and root); the tests that need it are skipped" >&2
    return 0
  fi
  local log; log=$(mktemp)
  if ! { DEBIAN_FRONTEND=noninteractive apt-get update -q && \
         DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "setup: installing $* failed" >&2
  fi
  rm -f "$log"
}

if ! command -v initdb >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
  apt_install postgresql
fi
