"""What a plan needs of a table: some of its columns, and the rows that a simple filter leaves.

A need only ever narrows. It becomes a query above the governed scan, like any user's: the caller's
filters and masks lie below, behind the barrier, and nothing of the need reaches beneath it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from sqlglot import exp

from headwater.errors import HeadwaterError
from headwater.model.identifiers import SnapshotRef
from headwater.model.statement import Dialect, Session
from headwater.sql.bind import bind
from headwater.sql.relations import (
    InputRelation,
    Relation,
    Resolver,
    ScanRelation,
    ViewRelation,
)
from headwater.sql.statements import Name
from headwater.sql.types import iceberg_type

Columns = tuple[tuple[str, Any], ...]
"""Names and Iceberg types of a table's visible columns; a type is None where it is not known."""

Value = bool | int | str | date | Decimal

_OPERATORS: dict[str, type[exp.Binary]] = {
    "=": exp.EQ,
    "<": exp.LT,
    "<=": exp.LTE,
    ">": exp.GT,
    ">=": exp.GTE,
}
_CHEAP = ("boolean", "int", "date", "long", "float", "double", "timestamp", "timestamptz")


@dataclass(frozen=True, slots=True)
class Comparison:
    """`column operator values`: `=`, `<`, `<=`, `>`, `>=`, `in`, `is null` or `is not null`.

    A decimal has the scale of its column, a string is only compared for equality: every engine
    finds the same rows.
    """

    column: str
    operator: str
    values: tuple[Value, ...] = ()

    def tree(self) -> exp.Expr:
        """The comparison as DuckDB's tree."""
        column = exp.column(exp.to_identifier(self.column, quoted=True))
        values = [_literal(value) for value in self.values]
        match self.operator:
            case "is null":
                return exp.Is(this=column, expression=exp.Null())
            case "is not null":
                return exp.Not(this=exp.Is(this=column, expression=exp.Null()))
            case "in":
                return exp.In(this=column, expressions=values)
        return _OPERATORS[self.operator](this=column, expression=values[0])


@dataclass(frozen=True, slots=True)
class Need:
    """Columns by name (None: all), conjuncts of a filter, and whether rows are wanted at all.

    `seen` are the visible columns that the need was made for: of a table that has others by now,
    everything is needed.
    """

    columns: tuple[str, ...] | None = None
    where: tuple[Comparison, ...] = ()
    rows: bool = True
    seen: Columns = ()

    @property
    def narrows(self) -> bool:
        """True when less than every column of every row is needed."""
        return self.columns is not None or bool(self.where)

    def query(self) -> exp.Select:
        """SELECT of what is needed, from a relation called "staged"."""
        columns: list[exp.Expr] = [exp.Star()]
        if self.columns is not None:
            columns = [exp.column(exp.to_identifier(name, quoted=True)) for name in self.columns]
        select = exp.Select(expressions=columns).from_(exp.to_table('"staged"', dialect="duckdb"))
        if self.where:
            condition = exp.and_(*(each.tree() for each in self.where), copy=False)
            select.set("where", exp.Where(this=condition))
        return select

    def text(self, table: str) -> str:
        """The query as the audit log tells it, for a table of this quoted name."""
        if not self.narrows:
            return f"SELECT * FROM {table}"
        told = self.query().sql(dialect="spark", identify=True, comments=False)
        return told.replace(" FROM `staged`", f" FROM {table}", 1)


EVERYTHING = Need()


def _literal(value: Value) -> exp.Expr:
    match value:
        case bool():
            return exp.Boolean(this=value)
        case int():
            number = exp.Literal.number(abs(value))
            return number if value >= 0 else exp.Paren(this=exp.Neg(this=number))
        case date():
            text = exp.Literal.string(value.isoformat())
            return exp.Cast(this=text, to=exp.DataType.build("DATE", dialect="duckdb"))
        case Decimal():
            _, digits, exponent = value.as_tuple()
            scale = -int(exponent)
            kind = f"DECIMAL({max(len(digits), scale)}, {scale})"
            text = exp.Literal.string(str(value))
            return exp.Cast(this=text, to=exp.DataType.build(kind, dialect="duckdb"))
    return exp.Literal.string(value)


def narrowed(seen: Columns, names: frozenset[str] | None, where: tuple[Comparison, ...]) -> Need:
    """The need of the columns with these casefolded names, None for all of them.

    One column stays at least, a cheap one: rows are counted by it.
    """
    folded = [name.casefold() for name, _ in seen]
    if len(set(folded)) != len(folded):
        return EVERYTHING  # which the engine is to complain of
    if names is None:
        return Need(None, where, seen=seen)
    columns = tuple(name for name, _ in seen if name.casefold() in names)
    if not columns and seen:
        columns = (min(seen, key=_cost)[0],)
    return Need(None if len(columns) == len(seen) else columns, where, seen=seen)


def _cost(column: tuple[str, Any]) -> int:
    kind = column[1]
    return _CHEAP.index(kind) if isinstance(kind, str) and kind in _CHEAP else len(_CHEAP)


def visible(relation: Relation, session: Session) -> Columns:
    """The columns of a relation as its caller sees them; of a view, everything in it is bound."""
    match relation:
        case ScanRelation():
            return tuple((column.name, column.type) for column in relation.scan.columns)
        case InputRelation():
            return tuple((name, None) for name in relation.schema.names)
    bound = bind(EVERYTHING.query(), Only(relation), session=session)
    return tuple((name, _type(kind)) for name, kind in bound.output)


def _type(kind: exp.DataType) -> Any:
    try:
        return iceberg_type(kind, Dialect.DUCKDB)
    except HeadwaterError:
        return None


@dataclass(frozen=True, slots=True)
class Only:
    """A resolver that knows one relation, whatever its name."""

    found: Relation

    def relation(self, _name: Name, _at: SnapshotRef) -> Relation:
        """That relation."""
        return self.found


@dataclass(frozen=True, slots=True)
class _Rowless:
    """A resolver of the same relations without their rows."""

    inner: Resolver

    def relation(self, name: Name, at: SnapshotRef) -> Relation:
        """What the name stands for, as if nothing had been written to it yet."""
        return without_rows(self.inner.relation(name, at))


def without_rows(relation: Relation) -> Relation:
    """The relation with its columns and policies, and no row of any table."""
    match relation:
        case ScanRelation():
            return ScanRelation(replace(relation.scan, snapshot_id=None))
        case ViewRelation():
            return replace(relation, resolver=_Rowless(relation.resolver))
    return relation
