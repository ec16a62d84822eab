"""DuckDB instances as a worker runs them: set up, then locked, in the one order that works.

Extensions are loaded from their wheels, secrets made and the catalog attached while external access
is still allowed; then file access shrinks to a list of directories and the configuration is locked
(https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview). All of this is the
second line of defence: the first is that only SQL that Headwater emitted arrives here.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb

from headwater.engines.duckdb.protocol import Configure, Mode
from headwater.model.identifiers import CATALOG_NAME

EXTENSIONS = ("avro", "httpfs", "iceberg")
"""In the order in which they must be loaded."""

BARRIER_OPTIMIZERS = ("cte_filter_pusher",)
"""Optimizers off where policies apply: they copy the user's predicates below a policy's filter."""

METRICS = (
    "CPU_TIME",
    "OPERATOR_NAME",
    "OPERATOR_TYPE",
    "OPERATOR_ROWS_SCANNED",
    "SYSTEM_PEAK_BUFFER_MEMORY",
    "TOTAL_BYTES_READ",
)


def extension_path(name: str) -> Path:
    """The extension's file inside its installed wheel, for this DuckDB's version."""
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"the package duckdb-extension-{name} is not installed")
    folder = Path(spec.origin).parent / "extensions" / f"v{duckdb.__version__}"
    return folder / f"{name}.duckdb_extension"


def quote(text: str) -> str:
    """A string literal of DuckDB's."""
    return "'" + text.replace("'", "''") + "'"


def open_instance(
    configuration: Configure, mode: Mode, reach: str = ""
) -> duckdb.DuckDBPyConnection:
    """A locked in-memory DuckDB with its one connection, for one mode of statements.

    `governed` runs without the optimizers that would undo the barrier, and may attach the catalog:
    everything that writes runs there too. With a `reach` it reads what that names; the warehouse
    only if it says so.
    """
    elsewhere: list[dict[str, Any]] = []
    if reach:
        configuration, elsewhere = _reaching(configuration, json.loads(reach))
    connection = duckdb.connect(":memory:", config={"python_enable_replacements": "false"})
    try:
        for name in EXTENSIONS:
            connection.execute(f"LOAD {quote(str(extension_path(name)))}")
        _storage_secret(connection, configuration)
        for number, keys in enumerate(elsewhere):
            _secret(connection, f"elsewhere_{number}", keys)
        if mode == "governed":
            connection.execute(
                f"CREATE SECRET catalog (TYPE iceberg, TOKEN {quote(configuration.catalog_token)})"
            )
        scopes = [str(keys["scope"]).rstrip("/") + "/" for keys in elsewhere]
        for statement in _settings(configuration, mode, scopes):
            connection.execute(statement)
    except BaseException:
        connection.close()
        raise
    return connection


def _reaching(
    configuration: Configure, reach: Mapping[str, Any]
) -> tuple[Configure, list[dict[str, Any]]]:
    """The configuration of an instance that reaches something else, and the keys for it."""
    own = bool(reach["own"])
    root = configuration.root.removeprefix("file://")
    kept = [each for each in configuration.directories if own or each != root]
    changed = replace(
        configuration,
        storage_kind=configuration.storage_kind if own else "none",
        directories=[*kept, *reach["directories"]],
    )
    return changed, list(reach["s3"])


def _storage_secret(connection: duckdb.DuckDBPyConnection, configuration: Configure) -> None:
    connection.execute("SET allow_persistent_secrets = false")
    if configuration.storage_kind != "s3":
        return
    keys = {
        "scope": configuration.root,
        "endpoint": configuration.endpoint,
        "region": configuration.region,
        "key_id": configuration.access_key_id,
        "secret": configuration.secret_access_key,
        "path_style": configuration.path_style,
    }
    _secret(connection, "warehouse", keys)


def _secret(connection: duckdb.DuckDBPyConnection, name: str, keys: Mapping[str, Any]) -> None:
    """A secret for the files below a prefix of a bucket."""
    options = {
        "KEY_ID": keys["key_id"],
        "SECRET": keys["secret"],
        "REGION": keys["region"],
        "URL_STYLE": "path" if keys["path_style"] else "vhost",
        "SCOPE": str(keys["scope"]).rstrip("/") + "/",
    }
    if keys.get("session_token"):
        options["SESSION_TOKEN"] = keys["session_token"]
    if keys["endpoint"] is not None:
        scheme, _, host = str(keys["endpoint"]).rpartition("://")
        options["ENDPOINT"] = host.rstrip("/")
        options["USE_SSL"] = "false" if scheme == "http" else "true"
    listed = ", ".join(f"{option} {quote(value)}" for option, value in options.items())
    connection.execute(f"CREATE SECRET {name} (TYPE s3, PROVIDER config, {listed})")


def attach_catalog(connection: duckdb.DuckDBPyConnection, configuration: Configure) -> None:
    """Attaches the catalog as `lake` with the worker's token; the server must be listening.

    DuckDB allows this on a locked instance, since it is no file access. The attachment keeps the
    token, so the secret goes.
    """
    connection.execute(
        f"ATTACH {quote(CATALOG_NAME)} AS {CATALOG_NAME} (TYPE iceberg, "
        f"ENDPOINT {quote(configuration.catalog_uri)}, SECRET catalog, "
        "ACCESS_DELEGATION_MODE 'none')"
    )
    connection.execute("DROP SECRET catalog")


def _settings(configuration: Configure, mode: Mode, scopes: list[str]) -> list[str]:
    allowed = [*configuration.directories, *scopes]
    if configuration.storage_kind == "s3":
        allowed.append(configuration.root.rstrip("/") + "/")
    settings = [
        "SET TimeZone = 'UTC'",
        "SET enable_progress_bar = true",
        "SET enable_progress_bar_print = false",
        "SET progress_bar_time = 0",
        "SET enable_profiling = 'no_output'",
        "SET profiling_coverage = 'all'",
        f"SET custom_profiling_settings = {quote(json.dumps(dict.fromkeys(METRICS, 'true')))}",
        f"SET memory_limit = '{configuration.memory_bytes}B'",
        f"SET threads = {configuration.threads}",
        f"SET temp_directory = {quote(configuration.spill_directory)}",
        f"SET max_temp_directory_size = '{configuration.spill_bytes}B'",
        "SET autoinstall_known_extensions = false",
        "SET autoload_known_extensions = false",
        "SET allow_community_extensions = false",
        # CREATE TABLE AS makes this folder, relative and to no purpose, before it knows the table's
        "SET allowed_paths = ['data']",
        f"SET allowed_directories = [{', '.join(quote(path) for path in allowed)}]",
    ]
    if configuration.storage_kind in ("local", "none"):
        # the operating system caches these files already; a second copy would only cost memory
        settings.append("SET enable_external_file_cache = false")
    if mode == "governed":
        settings.append(f"SET disabled_optimizers = {quote(','.join(BARRIER_OPTIMIZERS))}")
    return [
        *settings,
        "SET allowed_configs = ['TimeZone']",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ]
