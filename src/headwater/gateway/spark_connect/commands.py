"""Statements of `spark.sql` that are no queries: carried out at once, their rows as Spark has them.

Spark answers a command with its rows as a local relation, so that reading them runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from headwater.gateway.spark_connect.conf import TIME_ZONE
from headwater.gateway.spark_connect.encode import ipc_stream
from headwater.gateway.spark_connect.sessions import SparkSession
from headwater.sql.statements import Explain, ParsedStatement, Show

_SET = re.compile(r"\s*SET\s+(?!SESSION\b|ROLE\b|VAR)(.*?);?\s*", re.IGNORECASE | re.DOTALL)
_RESET = re.compile(r"\s*RESET(?:\s+(?!SESSION\b)([\w.`-]+))?\s*;?\s*", re.IGNORECASE)
_ZONE = re.compile(r"TIME\s+ZONE\s+(LOCAL|'[^']*'|\"[^\"]*\")", re.IGNORECASE)
_NO_OP = re.compile(
    r"\s*(?:(?:UN)?CACHE\s+(?:LAZY\s+)?TABLE\s+(?:IF\s+EXISTS\s+)?[\w.`]+|CLEAR\s+CACHE"
    r"|REFRESH\s+(?:TABLE\s+)?[\w.`]+)\s*;?\s*",
    re.IGNORECASE,
)


def settings_rows(text: str, session: SparkSession) -> pa.Table | None:
    """Carries out SET, RESET and cache statements; None when the text is none of them."""
    if _NO_OP.fullmatch(text):
        return pa.table({})
    if match := _SET.fullmatch(text):
        return _set(match[1].strip(), session)
    if match := _RESET.fullmatch(text):
        names = [match[1].strip("`")] if match[1] else list(session.conf.changed())
        for name in names:
            session.conf.unset(name)
        return pa.table({})
    return None


def _set(told: str, session: SparkSession) -> pa.Table:
    if zone := _ZONE.fullmatch(told):
        session.conf.set(TIME_ZONE, "UTC" if zone[1].upper() == "LOCAL" else zone[1][1:-1])
        return _pairs([(TIME_ZONE, session.conf.time_zone)])
    if told in ("", "-v", "-V"):
        return _pairs(list(session.conf.all().items()))
    key, equals, value = told.partition("=")
    key = key.strip().strip("`")
    if not equals:
        return _pairs([(key, session.conf.get(key) or "<undefined>")])
    session.conf.set(key, value.strip())
    return _pairs([(key, session.conf.require(key))])


def _pairs(pairs: list[tuple[str, str]]) -> pa.Table:
    return text_table(("key", "value"), pairs)


def spark_rows(parsed: ParsedStatement, rows: pa.Table | None, session: SparkSession) -> pa.Table:
    """A statement's rows in the columns that Spark gives them, temporary views among the tables."""
    if isinstance(parsed, Explain) and rows is not None:
        return rows.rename_columns(["plan"])
    if not isinstance(parsed, Show) or rows is None:
        return pa.table({})
    if parsed.what in ("tables", "views") and rows.num_columns == len(_TABLE_TYPES):
        return _with_views(rows, session)
    if parsed.what == "functions":
        return text_table(("function",), [(str(name),) for name in rows.column(0).to_pylist()])
    return rows


_TABLE_TYPES = (pa.string(), pa.string(), pa.bool_())


def _with_views(rows: pa.Table, session: SparkSession) -> pa.Table:
    own = [view.name for view in session.views.values() if not view.is_global]
    named = zip(rows.column_names, _TABLE_TYPES, strict=True)
    schema = pa.schema([pa.field(name, kind) for name, kind in named])
    spaces = pa.array([""] * len(own), pa.string())
    names, temporary = pa.array(own, pa.string()), pa.array([True] * len(own), pa.bool_())
    added = pa.Table.from_arrays([spaces, names, temporary], schema=schema)
    return pa.concat_tables([rows.cast(schema), added])


def text_table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> pa.Table:
    """A table of texts: its column names and rows."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(titles)
    return pa.table(
        {
            title: pa.array(column, pa.string())
            for title, column in zip(titles, columns, strict=True)
        }
    )


def local_relation(rows: pa.Table, pb: Any) -> Any:
    """Rows as a relation that holds them."""
    data = ipc_stream(rows.combine_chunks())
    return pb.Relation(
        common=pb.RelationCommon(plan_id=0), local_relation=pb.LocalRelation(data=data)
    )
