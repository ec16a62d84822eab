"""`spark.catalog`: what the caller may see of the catalog, and its own temporary views."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.gateway.spark_connect.failures import analysis_failure, unsupported
from headwater.gateway.spark_connect.plans.commands import check_provider, table_properties
from headwater.gateway.spark_connect.plans.functions import (
    FUNCTIONS,
    SESSION_FUNCTIONS,
    TABLE_FUNCTIONS,
)
from headwater.gateway.spark_connect.sessions import SparkSession
from headwater.gateway.spark_connect.statements import is_view, name_parts
from headwater.gateway.spark_connect.types import arrow_schema, simple_string
from headwater.governance.browse import Browser
from headwater.model.identifiers import (
    CATALOG_NAME,
    Namespace,
    TableIdentifier,
    namespace_text,
    parse_namespace,
)
from headwater.model.scan import ScanColumn
from headwater.sql.types import spark_type

Run = Callable[[str], pa.Table | None]
"""Runs a statement as the session's caller."""

ColumnsOf = Callable[[SparkSession, str], list[tuple[str, str, bool]]]
"""Name, type and nullability of a temporary view's columns."""


def _schema(types: dict[str, pa.DataType]) -> pa.Schema:
    return pa.schema(types)


_TABLE = _schema(
    {
        "name": pa.string(),
        "catalog": pa.string(),
        "namespace": pa.list_(pa.string()),
        "description": pa.string(),
        "tableType": pa.string(),
        "isTemporary": pa.bool_(),
    }
)
_DATABASE = _schema(
    {
        "name": pa.string(),
        "catalog": pa.string(),
        "description": pa.string(),
        "locationUri": pa.string(),
    }
)
_COLUMN = _schema(
    {
        "name": pa.string(),
        "description": pa.string(),
        "dataType": pa.string(),
        "nullable": pa.bool_(),
        "isPartition": pa.bool_(),
        "isBucket": pa.bool_(),
        "isCluster": pa.bool_(),
    }
)
_FUNCTION = _schema(
    {
        "name": pa.string(),
        "catalog": pa.string(),
        "namespace": pa.list_(pa.string()),
        "description": pa.string(),
        "className": pa.string(),
        "isTemporary": pa.bool_(),
    }
)
_NOTHING = pa.table({})
_MOST_CACHED = 1000


class CatalogAnswers:
    """Answers the relations of kind `catalog`."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def answer(
        self, request: Any, session: SparkSession, run: Run, columns_of: ColumnsOf
    ) -> pa.Table:
        """The table that a `spark.connect.Catalog` asks for."""
        kind = request.WhichOneof("cat_type")
        asked = getattr(request, kind)
        if kind == "list_columns":
            return self._list_columns(asked, session, columns_of)
        if kind == "create_table":
            run(_create_table(asked))
            return arrow_schema(asked.schema, "UTC").empty_table()
        method = getattr(self, f"_{kind}", None)
        if method is not None:
            found: pa.Table = method(asked, session)
            return found
        text = _statement(kind, asked)
        if text is None:
            raise unsupported(f"spark.catalog cannot do this here: {kind}.")
        return run(text) or _NOTHING

    # --- names ----------------------------------------------------------------------------------

    def _current_catalog(self, _asked: Any, session: SparkSession) -> pa.Table:
        return _one(session.catalog)

    def _current_database(self, _asked: Any, session: SparkSession) -> pa.Table:
        return _one(session.schema)

    def _set_current_catalog(self, asked: Any, session: SparkSession) -> pa.Table:
        if asked.catalog_name.lower() not in (CATALOG_NAME, "spark_catalog"):
            raise error(ErrorCode.CATALOG_NOT_FOUND, f"there is no catalog '{asked.catalog_name}'")
        session.catalog = CATALOG_NAME
        return _NOTHING

    def _set_current_database(self, asked: Any, session: SparkSession) -> pa.Table:
        session.schema = namespace_text(self._namespace(asked.db_name, session, must_exist=True))
        return _NOTHING

    def _list_catalogs(self, asked: Any, _session: SparkSession) -> pa.Table:
        matches = _pattern(asked.pattern)
        names = [name for name in (CATALOG_NAME,) if matches(name)]
        return pa.table(
            {"name": pa.array(names, pa.string()), "description": pa.nulls(len(names), pa.string())}
        )

    def _list_databases(self, asked: Any, session: SparkSession) -> pa.Table:
        matches = _pattern(asked.pattern)
        names = [namespace_text(each) for each in self._browser.schemas(session.identity)]
        return _rows(_DATABASE, [(n, CATALOG_NAME, None, "") for n in names if matches(n)])

    def _get_database(self, asked: Any, session: SparkSession) -> pa.Table:
        namespace = self._namespace(asked.db_name, session, must_exist=True)
        return _rows(_DATABASE, [(namespace_text(namespace), CATALOG_NAME, None, "")])

    def _database_exists(self, asked: Any, session: SparkSession) -> pa.Table:
        namespace = self._namespace(asked.db_name, session)
        return _one(self._browser.sees_schema(session.identity, namespace))

    # --- tables ---------------------------------------------------------------------------------

    def _list_tables(self, asked: Any, session: SparkSession) -> pa.Table:
        return self._listed(asked, session, views_only=False)

    def _list_views(self, asked: Any, session: SparkSession) -> pa.Table:
        return self._listed(asked, session, views_only=True)

    def _listed(self, asked: Any, session: SparkSession, *, views_only: bool) -> pa.Table:
        named = bool(asked.db_name)
        namespace = self._namespace(asked.db_name or session.schema, session)
        matches = _pattern(asked.pattern)
        rows: list[tuple[Any, ...]] = []
        if named or self._browser.sees_schema(session.identity, namespace):
            rows += [
                _table_row(found.identifier, found.kind)
                for found in self._browser.tables(session.identity, namespace)
                if matches(found.identifier.name) and (found.kind == "view" or not views_only)
            ]
        rows += [
            (entry.name, None, [], None, "TEMPORARY", True)
            for entry in session.views.values()
            if matches(entry.name) and not entry.is_global
        ]
        return _rows(_TABLE, sorted(rows, key=lambda row: row[0]))

    def _get_table(self, asked: Any, session: SparkSession) -> pa.Table:
        parts = self._parts(asked.table_name, asked.db_name)
        if len(parts) == 1 and parts[0].casefold() in session.views:
            return _rows(_TABLE, [(parts[0], None, [], None, "TEMPORARY", True)])
        identifier = self._identifier(parts, session)
        found = self._find(identifier, session)
        if found is None:
            raise _no_table(identifier)
        return _rows(_TABLE, [found])

    def _table_exists(self, asked: Any, session: SparkSession) -> pa.Table:
        parts = self._parts(asked.table_name, asked.db_name)
        if len(parts) == 1 and parts[0].casefold() in session.views:
            return _one(True)
        return _one(self._find(self._identifier(parts, session), session) is not None)

    def _list_columns(self, asked: Any, session: SparkSession, columns_of: ColumnsOf) -> pa.Table:
        parts = self._parts(asked.table_name, asked.db_name)
        if len(parts) == 1 and parts[0].casefold() in session.views:
            rows = [
                (name, None, kind, nullable, False, False, False)
                for name, kind, nullable in columns_of(session, parts[0].casefold())
            ]
            return _rows(_COLUMN, rows)
        identifier = self._identifier(parts, session)
        columns = self._browser.columns(session.identity, identifier)
        return _rows(_COLUMN, [_column_row(column) for column in columns])

    def _find(self, identifier: TableIdentifier, session: SparkSession) -> tuple[Any, ...] | None:
        try:
            tables = self._browser.tables(session.identity, identifier.namespace)
        except HeadwaterError as exc:
            if exc.code is not ErrorCode.SCHEMA_NOT_FOUND:
                raise
            return None
        for found in tables:
            if found.identifier.name.lower() == identifier.name.lower():
                return _table_row(found.identifier, found.kind)
        return None

    # --- functions, caches ----------------------------------------------------------------------

    def _list_functions(self, asked: Any, session: SparkSession) -> pa.Table:
        if asked.db_name:
            self._namespace(asked.db_name, session, must_exist=True)
        matches = _pattern(asked.pattern)
        return _rows(_FUNCTION, [_function_row(n) for n in _functions(session) if matches(n)])

    def _function_exists(self, asked: Any, session: SparkSession) -> pa.Table:
        return _one(_function(asked, session) is not None)

    def _get_function(self, asked: Any, session: SparkSession) -> pa.Table:
        found = _function(asked, session)
        if found is not None:
            return _rows(_FUNCTION, [_function_row(found)])
        wanted = ".".join(f"`{part}`" for part in self._parts(asked.function_name, asked.db_name))
        raise analysis_failure(
            "UNRESOLVED_ROUTINE", f"Cannot resolve routine {wanted}. SQLSTATE: 42883", "42883"
        )

    def _drop_temp_view(self, asked: Any, session: SparkSession) -> pa.Table:
        return _one(session.views.pop(asked.view_name.casefold(), None) is not None)

    def _drop_global_temp_view(self, asked: Any, session: SparkSession) -> pa.Table:
        name = f"global_temp.{asked.view_name.casefold()}"
        return _one(session.views.pop(name, None) is not None)

    # What processes read is kept by its content anyway: these remember what was asked, no more.

    def _is_cached(self, asked: Any, session: SparkSession) -> pa.Table:
        return _one(self._cache_key(asked.table_name, session) in session.cached)

    def _cache_table(self, asked: Any, session: SparkSession) -> pa.Table:
        if len(session.cached) < _MOST_CACHED:
            session.cached.add(self._cache_key(asked.table_name, session))
        return _NOTHING

    def _uncache_table(self, asked: Any, session: SparkSession) -> pa.Table:
        session.cached.discard(self._cache_key(asked.table_name, session))
        return _NOTHING

    def _clear_cache(self, _asked: Any, session: SparkSession) -> pa.Table:
        session.cached.clear()
        return _NOTHING

    def _cache_key(self, name: str, session: SparkSession) -> tuple[str, ...]:
        """Tells one table or view from another; raises TABLE_OR_VIEW_NOT_FOUND."""
        parts = self._parts(name, "")
        view = is_view(session, parts)
        if view and ".".join(parts).casefold() in session.views:
            return ("", *(part.casefold() for part in parts))
        identifier = self._identifier(parts, session)
        if view or self._find(identifier, session) is None:
            raise _no_table(identifier)
        return (*identifier.namespace, identifier.name.casefold())

    def _nothing(self, _asked: Any, _session: SparkSession) -> pa.Table:
        return _NOTHING

    _refresh_table = _refresh_by_path = _recover_partitions = _nothing

    # --- names ----------------------------------------------------------------------------------

    def _parts(self, name: str, database: str) -> list[str]:
        parts = [*(name_parts(database) if database else []), *name_parts(name)]
        if not parts:
            raise error(ErrorCode.TABLE_NOT_FOUND, "a table has a name")
        return parts

    def _identifier(self, parts: list[str], session: SparkSession) -> TableIdentifier:
        if len(parts) > 2 and parts[0].lower() in (CATALOG_NAME, "spark_catalog"):
            parts = parts[1:]
        if len(parts) == 1:
            return TableIdentifier(parse_namespace(session.schema), parts[0])
        return TableIdentifier(tuple(parts[:-1]), parts[-1])

    def _namespace(
        self, name: str, session: SparkSession, *, must_exist: bool = False
    ) -> Namespace:
        parts = name_parts(name)
        if len(parts) > 1 and parts[0].lower() in (CATALOG_NAME, "spark_catalog"):
            parts = parts[1:]
        namespace = tuple(parts)
        if must_exist and not self._browser.sees_schema(session.identity, namespace):
            raise error(ErrorCode.SCHEMA_NOT_FOUND, f"the schema {name} cannot be found")
        return namespace


def _no_table(identifier: TableIdentifier) -> Exception:
    return analysis_failure(
        "TABLE_OR_VIEW_NOT_FOUND",
        f"The table or view `{identifier}` cannot be found. SQLSTATE: 42P01",
        "42P01",
    )


def _statement(kind: str, asked: Any) -> str | None:
    """The statement that does what a request asks; None for what there is no statement for."""
    if kind == "drop_table":
        return f"DROP TABLE {'IF EXISTS ' if asked.if_exists else ''}{_quoted(asked.table_name)}"
    if kind == "drop_view":
        return f"DROP VIEW {'IF EXISTS ' if asked.if_exists else ''}{_quoted(asked.view_name)}"
    if kind == "create_database":
        maybe = "IF NOT EXISTS " if asked.if_not_exists else ""
        return f"CREATE SCHEMA {maybe}{_quoted(asked.db_name)}"
    if kind == "drop_database":
        maybe = "IF EXISTS " if asked.if_exists else ""
        return f"DROP SCHEMA {maybe}{_quoted(asked.db_name)}{' CASCADE' if asked.cascade else ''}"
    if kind == "truncate_table":
        return f"TRUNCATE TABLE {_quoted(asked.table_name)}"
    if kind == "get_table_properties":
        return f"SHOW TBLPROPERTIES {_quoted(asked.table_name)}"
    if kind == "get_create_table_string":
        return f"SHOW CREATE TABLE {_quoted(asked.table_name)}"
    return None


def _quoted(name: str) -> str:
    return ".".join(map(_quoted_part, name_parts(name)))


def _quoted_part(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _pattern(text: str) -> Callable[[str], bool]:
    """Spark's name patterns: `*` for anything, `|` between alternatives, case does not matter."""
    if not text:
        return lambda _name: True
    alternatives = [re.escape(each.strip()).replace(r"\*", ".*") for each in text.split("|")]
    compiled = re.compile("|".join(alternatives), re.IGNORECASE)
    return lambda name: compiled.fullmatch(name) is not None


def _one(value: Any) -> pa.Table:
    return pa.table({"value": [value]})


def _rows(schema: pa.Schema, rows: list[tuple[Any, ...]]) -> pa.Table:
    arrays = [
        pa.array([row[place] for row in rows], field.type) for place, field in enumerate(schema)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _table_row(identifier: TableIdentifier, kind: str) -> tuple[Any, ...]:
    told = "VIEW" if kind == "view" else "MANAGED"
    return (identifier.name, CATALOG_NAME, list(identifier.namespace), None, told, False)


def _column_row(column: ScanColumn) -> tuple[Any, ...]:
    kind = spark_type(column.type).lower()
    return (column.name, column.comment, kind, not column.required, False, False, False)


def _functions(session: SparkSession) -> list[str]:
    """What the session registered, and what plans may call; none is in a schema."""
    own = {entry.name for kind in ("function", "table_function") for entry in session.named(kind)}
    return sorted({*own, *FUNCTIONS, *TABLE_FUNCTIONS, *SESSION_FUNCTIONS})


def _function(asked: Any, session: SparkSession) -> str | None:
    """The function of a plain name; None for a name in a schema, where there are none."""
    parts = name_parts(asked.function_name) or [asked.function_name]
    if asked.db_name or len(parts) != 1:
        return None
    wanted = parts[0].lower()
    return next((name for name in _functions(session) if name.lower() == wanted), None)


def _function_row(name: str) -> tuple[Any, ...]:
    # Spark, too, calls built-in functions temporary: they are of no catalog.
    return (name, None, None, None, "", True)


def _create_table(asked: Any) -> str:
    """The statement that makes a table of the catalog; raises for what is no such table."""
    check_provider(asked.source)
    if asked.path:
        raise unsupported("A table of the catalog lies where the catalog puts it: give no path.")
    if not asked.schema.struct.fields:
        raise unsupported("A new table needs a schema: its files are not there yet.")
    columns = [
        f"{_quoted_part(field.name)} {simple_string(field.data_type)}"
        + ("" if field.nullable else " NOT NULL")
        for field in asked.schema.struct.fields
    ]
    text = f"CREATE TABLE {_quoted(asked.table_name)} ({', '.join(columns)}) USING iceberg"
    if asked.description:
        text += f" COMMENT {_text(asked.description)}"
    if properties := table_properties(asked.options):
        pairs = (f"{_text(key)} = {_text(value)}" for key, value in properties.items())
        text += f" TBLPROPERTIES ({', '.join(pairs)})"
    return text


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
