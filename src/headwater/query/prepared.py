"""DESCRIBE INPUT and DESCRIBE OUTPUT of a prepared statement."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
from sqlglot import exp

from headwater.errors import HeadwaterError
from headwater.model.statement import Dialect
from headwater.query.constants import constant
from headwater.query.reading import bind_query
from headwater.query.session import prepared_text
from headwater.query.viewer import Row, columns, table
from headwater.query.work import Outcome, Task, Work
from headwater.sql.parse import parse
from headwater.sql.statements import DescribePrepared, Query
from headwater.sql.trees import parameters_of
from headwater.sql.types import iceberg_type, type_text

_OUTPUT = "Column_Name Catalog Schema Table Type Type_Size:bigint Aliased:boolean"


def describe_prepared(work: Work, statement: DescribePrepared) -> Task:
    """The parameters (of unknown type, as each takes what it is given) or the result's columns."""
    parsed = parse(prepared_text(work.session, statement.name), work.session.dialect)
    tree = parsed.tree if isinstance(parsed, Query) else None
    count = 0 if tree is None else parameters_of(tree)
    if not statement.output:
        rows: list[Row] = [(place, "unknown") for place in range(count)]
        return lambda: Outcome(table=table(columns("Position:bigint Type"), rows))
    rows = []
    if tree is not None:
        nulls: tuple[exp.Expr, ...] = tuple(constant(None) for _ in range(count))
        bound = bind_query(replace(work, parameters=nulls), tree).bound
        assert bound is not None, "a query was bound"
        rows = [
            (name, "", "", "", _type(kind, work.session.dialect), 0, False)
            for name, kind in bound.output
        ]
    schema = columns(_OUTPUT)
    titled = [field.with_name(field.name.replace("_", " ")) for field in schema]
    return lambda: Outcome(table=table(pa.schema(titled), rows))


def _type(kind: exp.DataType, dialect: Dialect) -> str:
    try:
        return type_text(iceberg_type(kind, Dialect.DUCKDB), dialect)
    except HeadwaterError:
        return "unknown"
