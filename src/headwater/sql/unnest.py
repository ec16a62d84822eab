"""Binds what makes rows of values: UNNEST, LATERAL VIEW, and series of numbers."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.statement import Dialect, Session
from headwater.sql.expressions import BinderState, ExpressionBinder, Names
from headwater.sql.functions import unknown_function
from headwater.sql.rows import field_at
from headwater.sql.scope import Field, Source
from headwater.sql.trees import node_position

MAX_SERIES = 1_000_000_000
"""The most rows that a series with constant bounds may have."""


class UnnestBinder:
    """Binds UNNEST of arrays, of arrays of rows and of maps, as Trino, Spark and DuckDB do."""

    def __init__(self, state: BinderState, session: Session, expressions: ExpressionBinder) -> None:
        self.state = state
        self.session = session
        self.expressions = expressions

    def bind(self, item: exp.Unnest, names: Names) -> tuple[exp.Expr, Source]:
        """`UNNEST(a, b) [WITH ORDINALITY] AS t(x, y, o)`: a lateral subquery and its columns."""
        alias = item.args.get("alias")
        offset = item.args.get("offset")
        name = alias.name if alias is not None else None
        columns = [part.name for part in (alias.args.get("columns") or ())] if alias else []
        if isinstance(offset, exp.Identifier):
            columns.append(offset.name)
        values = [self.expressions.bind(value, names) for value in list(item.expressions)]
        struct_columns = self.session.dialect is Dialect.TRINO
        return self._rows(
            values, name or None, columns, item, bool(offset), first=1, split=struct_columns
        )

    def lateral_view(self, item: exp.Lateral, names: Names) -> tuple[exp.Expr, Source]:
        """Spark's `LATERAL VIEW explode(a) t AS x`."""
        function = item.this
        alias = item.args.get("alias")
        columns = [part.name for part in (alias.args.get("columns") or ())] if alias else []
        if not isinstance(function, exp.Explode | exp.Posexplode | exp.Inline):
            raise unknown_function(function, self.session.dialect)
        value = self.expressions.bind(function.this, names)
        positions = isinstance(function, exp.Posexplode)
        bound, source = self._rows(
            [value],
            (alias.name or None) if alias is not None else None,
            [],
            item,
            positions,
            first=0,
            split=isinstance(function, exp.Inline),
        )
        fields = source.fields
        if positions:
            fields = (fields[-1], *fields[:-1])
        if columns:
            if len(columns) != len(fields):
                raise _wrong_width(item, len(columns), len(fields))
            fields = tuple(
                Field(name, each.type, each.node)
                for name, each in zip(columns, fields, strict=True)
            )
        return bound, Source(source.name, fields)

    def _rows(
        self,
        values: Sequence[exp.Expr],
        name: str | None,
        columns: Sequence[str],
        item: exp.Expr,
        ordinality: bool,
        *,
        first: int,
        split: bool,
    ) -> tuple[exp.Expr, Source]:
        """One SELECT with an unnest for each array: shorter arrays are filled with NULL."""
        inner, outer = self.state.unique("unnested"), self.state.unique(name or "unnest")
        trees: list[exp.Expr] = []
        fields: list[tuple[str, exp.DataType, exp.Expr]] = []

        def column(kind: exp.DataType, array: exp.Expr, default: str) -> str:
            label = self.state.unique("value")
            unnest = exp.Explode(this=array)
            trees.append(_as(unnest, label))
            fields.append((default, kind, _column(inner, label)))
            return label

        for value in values:
            kind = value.type or exp.DType.UNKNOWN.into_expr()
            if kind.is_type(exp.DType.MAP) and len(kind.expressions) == 2:
                for function, part, default in (
                    ("map_keys", kind.expressions[0], "key"),
                    ("map_values", kind.expressions[1], "value"),
                ):
                    column(part, exp.func(function, value.copy()), default)
                continue
            element = (
                kind.expressions[0]
                if kind.is_type(exp.DType.ARRAY, exp.DType.LIST) and kind.expressions
                else exp.DType.UNKNOWN.into_expr()
            )
            if not kind.is_type(exp.DType.ARRAY, exp.DType.LIST, exp.DType.UNKNOWN):
                raise error(
                    ErrorCode.TYPE_MISMATCH,
                    "UNNEST takes an array or a map",
                    position=node_position(item),
                )
            label = column(element, value, "col" if self._is_spark else "unnest")
            if split and element.is_type(exp.DType.STRUCT) and element.expressions:
                fields.pop()
                for place, part in enumerate(element.expressions, 1):
                    named = part.args.get("kind")
                    kind = named if isinstance(named, exp.DataType) else part
                    fields.append((part.name, kind, field_at(_column(inner, label), place)))
        if ordinality:
            lengths = [
                exp.func("len", value.copy())
                if not (value.type and value.type.is_type(exp.DType.MAP))
                else exp.func("cardinality", value.copy())
                for value in values
            ]
            longest = exp.func("greatest", *lengths) if len(lengths) > 1 else lengths[0]
            numbers = exp.func(
                "range",
                exp.Literal.number(first),
                exp.Add(this=longest, expression=exp.Literal.number(first)),
            )
            column(exp.DType.BIGINT.into_expr(), numbers, "pos" if self._is_spark else "ordinality")
        if columns and len(columns) != len(fields):
            raise _wrong_width(item, len(columns), len(fields))
        shown: list[Field] = []
        projections: list[exp.Expr] = []
        for place, (default, kind, tree) in enumerate(fields):
            label = self.state.unique(default)
            projections.append(_as(tree, label))
            shown.append(Field(columns[place] if columns else default, kind, _column(outer, label)))
        query = exp.Select(
            expressions=projections,
            from_=exp.From(
                this=exp.Subquery(this=exp.Select(expressions=trees), alias=_alias(inner))
            ),
        )
        bound = exp.Lateral(this=exp.Subquery(this=query), alias=_alias(outer))
        return bound, Source(name or ("unnest" if not self._is_spark else None), tuple(shown))

    @property
    def _is_spark(self) -> bool:
        return self.session.dialect is Dialect.SPARK


def series(function: exp.Expr, dialect: Dialect) -> tuple[exp.Expr, exp.DataType, str]:
    """DuckDB's call for a table function that makes a series, its column's type and name."""
    bigint = exp.DType.BIGINT.into_expr()
    if isinstance(function, exp.GenerateSeries):
        bounds = [
            value
            for key in ("start", "end", "step")
            if (value := function.args.get(key)) is not None
        ]
        exclusive = bool(function.args.get("is_end_exclusive"))
    elif isinstance(function, exp.Anonymous) and function.name.lower() == "range":
        bounds, exclusive = list(function.expressions), True
    else:
        if isinstance(function, exp.Func):
            raise unknown_function(function, dialect)
        raise error(ErrorCode.NOT_SUPPORTED, "this kind of table function is not supported")
    if not 1 <= len(bounds) <= 3:
        raise error(ErrorCode.INVALID_ARGUMENT, "a series takes one to three numbers")
    numbers = [_number(bound) for bound in bounds]
    if None in numbers:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "the bounds of a series in FROM must be constants",
            hint="use UNNEST(sequence(…)) for bounds that depend on rows",
            position=node_position(function),
        )
    start = numbers[0] or 0 if len(numbers) > 1 else 0
    stop = (numbers[1] if len(numbers) > 1 else numbers[0]) or 0
    step = (numbers[2] or 0) if len(numbers) == 3 else 1
    if not step or abs(stop - start) // abs(step) > MAX_SERIES:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"a series has a step other than 0 and at most {MAX_SERIES:,} rows",
            position=node_position(function),
        )
    name = "range" if exclusive else "generate_series"
    label = {Dialect.SPARK: "id", Dialect.TRINO: "sequential_number"}.get(dialect, name)
    return exp.Anonymous(this=name, expressions=bounds), bigint, label


def _number(tree: exp.Expr) -> int | None:
    negative = isinstance(tree, exp.Neg)
    literal = tree.this if negative else tree
    if isinstance(literal, exp.Literal) and not literal.is_string and literal.this.isdigit():
        return -int(literal.this) if negative else int(literal.this)
    return None


def _wrong_width(item: exp.Expr, named: int, there: int) -> HeadwaterError:
    return error(
        ErrorCode.TYPE_MISMATCH,
        f"the column list has {named} names, but there are {there} columns",
        position=node_position(item),
    )


def _as(tree: exp.Expr, label: str) -> exp.Alias:
    return exp.Alias(this=tree, alias=exp.to_identifier(label, quoted=True))


def _column(table: str, name: str) -> exp.Column:
    return exp.column(
        exp.to_identifier(name, quoted=True), table=exp.to_identifier(table, quoted=True)
    )


def _alias(key: str) -> exp.TableAlias:
    return exp.TableAlias(this=exp.to_identifier(key, quoted=True))
