#!/usr/bin/env bash
# Brings what some tests need and pip cannot install: Postgres, Chromium, a JDK, the Trino JDBC driver.
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

# A real browser for the studio's tests (tests/e2e), driven by Playwright.
if ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null; then
  apt_install chromium
fi

# The Trino JDBC driver, by Maven coordinates; tests/integration/clients runs it with `java`.
JDBC_VERSION=476
JDBC_SHA256=a3736d21609a5a317d2ce88b3835e312e9b6f41393c1d4b09f2ad6e7aeb3bb90
jdbc_jar=.test-cache/trino-jdbc-$JDBC_VERSION.jar

jdbc_is_right() { echo "$JDBC_SHA256  $jdbc_jar" | sha256sum --check --status 2>/dev/null; }

if ! jdbc_is_right; then
  command -v javac >/dev/null || apt_install default-jdk-headless
  command -v mvn >/dev/null || apt_install maven
  if command -v mvn >/dev/null; then
    mkdir -p .test-cache
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
      -Dartifact=io.trino:trino-jdbc:$JDBC_VERSION -DoutputDirectory=.test-cache \
      || echo "setup: fetching the Trino JDBC driver failed" >&2
    if [ -e "$jdbc_jar" ] && ! jdbc_is_right; then
      rm -f "$jdbc_jar"
      echo "setup: the Trino JDBC driver has another SHA-256 than pinned; removed" >&2
      exit 1
    fi
  fi
fi

# The releases that tests of user engines, jobs and backends run on.
HEADWATER_RELEASES=${HEADWATER_RELEASES:-$PWD/.test-cache/releases}
export HEADWATER_RELEASES
for release in sail spark-4.1; do
  .venv/bin/headwater release install "$release" >/dev/null 2>.test-cache/release.log || {
    tail -n 5 .test-cache/release.log >&2
    echo "setup: installing the release $release failed; the tests that need it are skipped" >&2
  }
done
