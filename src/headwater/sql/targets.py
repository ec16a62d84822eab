"""The target of a governed write: what may be read of it, assigned in it, and must hold after."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlglot import exp

from headwater.errors import ErrorCode, Position, error
from headwater.model.identifiers import CATALOG_NAME, TableIdentifier, namespace_text
from headwater.model.scan import GovernedWrite, ScanColumn
from headwater.model.statement import Dialect
from headwater.sql.hints import did_you_mean
from headwater.sql.masks import mask
from headwater.sql.rows import by_place
from headwater.sql.scope import Field, Source
from headwater.sql.trees import engine_expression
from headwater.sql.types import data_type, duckdb_type

ROW_FILTER_VIOLATION = "headwater: a new row violates the row filter"
"""What the engine raises when a new row is not one that the writer may see; names no data."""

_FAMILIES: dict[str, str] = {
    **dict.fromkeys(("int", "long", "float", "double"), "number"),
    **dict.fromkeys(("string",), "text"),
    **dict.fromkeys(("boolean",), "boolean"),
    **dict.fromkeys(
        ("date", "timestamp", "timestamptz", "timestamp_ns", "timestamptz_ns"), "moment"
    ),
}


_RANDOM = frozenset(("random", "rand", "uuid", "uuidv4", "uuidv7", "gen_random_uuid", "shuffle"))


def target_table(identifier: TableIdentifier, key: str | None = None) -> exp.Table:
    """`"lake"."schema"."table"`, under an alias when one is given."""
    table = exp.Table(
        this=exp.to_identifier(identifier.name, quoted=True),
        db=exp.to_identifier(namespace_text(identifier.namespace), quoted=True),
        catalog=exp.to_identifier(CATALOG_NAME, quoted=True),
    )
    if key is not None:
        table.set("alias", exp.TableAlias(this=exp.to_identifier(key, quoted=True)))
    return table


class Target:
    """A table that a statement writes, under an alias that is unique in the statement."""

    def __init__(self, write: GovernedWrite, key: str, query_key: str) -> None:
        self.write = write
        self.key = key
        self.query_key = query_key
        self._assignable = {column.name.casefold(): column for column in write.columns}

    @property
    def restricted(self) -> bool:
        """True when some rows or values of the table are not the writer's to see."""
        return self.write.row_filter is not None or bool(self.write.masked_columns)

    def table(self) -> exp.Table:
        """The table under its alias."""
        return target_table(self.write.identifier, self.key)

    def source(self, name: str, qualifiers: tuple[str, ...]) -> Source:
        """The columns that the statement may read of the table; `shield` what is bound to them."""
        fields = tuple(
            Field(column.name, data_type(column.type), self._stored(column.name))
            for column in self._readable
        )
        return Source(name, fields, qualifiers)

    @property
    def _readable(self) -> tuple[ScanColumn, ...]:
        scan = self.write.scan
        return scan.columns if scan is not None else self.write.columns

    def shield(self, tree: exp.Expr) -> exp.Expr:
        """The user's expression with every column of the table read as the user may see it.

        A column of a filtered table reads as NULL in rows that the filter hides, and through its
        mask elsewhere, so no expression of the user's ever meets a hidden value, whatever order
        the engine evaluates in.
        """
        if not self.restricted:
            return tree
        columns = {column.name: column for column in self._readable}
        holder = exp.Paren(this=tree)
        for node in list(holder.find_all(exp.Column)):
            if node.table == self.key:
                node.replace(self._seen(columns[node.name]))
        shielded: exp.Expr = holder.this
        shielded.pop()
        return shielded

    def _seen(self, column: ScanColumn) -> exp.Expr:
        shown = mask(column, self._stored(column.name), self.query_key)
        visible = self.visible()
        if visible is not None:
            shown = exp.Case(ifs=[exp.If(this=visible, true=shown)])
        return exp.Paren(this=shown)

    def _stored(self, name: str) -> exp.Expr:
        return exp.column(
            exp.to_identifier(name, quoted=True), table=exp.to_identifier(self.key, quoted=True)
        )

    def visible(self) -> exp.Expr | None:
        """The row filter over the table's stored columns; None when there is none."""
        if self.write.row_filter is None:
            return None
        return self._filter_over(self._stored)

    def _filter_over(self, read: Callable[[str], exp.Expr]) -> exp.Expr:
        predicate = engine_expression(self.write.row_filter or "")
        for column in list(predicate.find_all(exp.Column)):
            first, *rest = [part.name for part in column.parts]
            value: exp.Expr = read(first)
            for name in rest:
                value = exp.Dot(this=value, expression=exp.to_identifier(name, quoted=True))
            column.replace(value)
        return predicate

    def check(self, new: Mapping[str, exp.Expr]) -> exp.Expr | None:
        """WITH CHECK: true for a row of new values that passes the filter, else an error.

        `new` maps folded column names to new values; other columns keep what is stored. A value
        is evaluated once for the check and once more for the row, so it must come out the same.
        """
        if self.write.row_filter is None:
            return None
        for name in self.filter_columns() & set(new):
            if any(map(_may_vary, new[name].walk())):
                raise error(
                    ErrorCode.NOT_SUPPORTED,
                    f"column {name!r} takes no random value and no subquery here: it decides "
                    "which rows you may write",
                    hint="use a literal, a column or an expression of those",
                )

        def read(name: str) -> exp.Expr:
            value = new.get(name.casefold())
            if value is not None:
                return exp.Paren(this=value.copy())
            return self._stored(name)

        return exp.Case(
            ifs=[exp.If(this=self._filter_over(read), true=exp.true())],
            default=exp.Anonymous(
                this="error", expressions=[exp.Literal.string(ROW_FILTER_VIOLATION)]
            ),
        )

    def filter_columns(self) -> set[str]:
        """Folded names of the columns that the row filter reads."""
        if self.write.row_filter is None:
            return set()
        predicate = engine_expression(self.write.row_filter or "")
        return {column.parts[0].name.casefold() for column in predicate.find_all(exp.Column)}

    def assignable(self, name: str, position: Position | None) -> ScanColumn:
        """The column that a statement assigns; refused when hidden, masked or not granted."""
        folded = name.casefold()
        if folded in {masked.casefold() for masked in self.write.masked_columns}:
            raise error(
                ErrorCode.PERMISSION_DENIED,
                f"column {name!r} is masked, so it cannot be written",
                position=position,
            )
        column = self._assignable.get(folded)
        if column is not None:
            return column
        scan = self.write.scan
        if scan is not None and any(each.name.casefold() == folded for each in scan.columns):
            raise error(
                ErrorCode.PERMISSION_DENIED,
                f"no privilege to write column {name!r}",
                position=position,
            )
        raise error(
            ErrorCode.COLUMN_NOT_FOUND,
            f"the table has no column {name!r}",
            hint=did_you_mean(name, [each.name for each in self.write.columns]),
            position=position,
        )

    def value(
        self, column: ScanColumn, value: exp.Expr, dialect: Dialect, position: Position | None
    ) -> exp.Expr:
        """A value cast to its column's type; TYPE_MISMATCH where no implicit cast exists."""
        if isinstance(value, exp.Column) and value.name.lower() == "default" and not value.table:
            return exp.Var(this="DEFAULT")
        kind = value.type
        if dialect is Dialect.TRINO and isinstance(kind, exp.DataType):
            have, want = _family(kind), _column_family(column)
            if have and want and have != want:
                raise error(
                    ErrorCode.TYPE_MISMATCH,
                    f"column {column.name!r} is {data_type(column.type).sql(dialect='trino')}, "
                    f"the value is {kind.sql(dialect='trino')}",
                    hint="write an explicit CAST",
                    position=position,
                )
        wanted = exp.DataType.build(duckdb_type(column.type), dialect="duckdb")
        if dialect is Dialect.TRINO:
            value = by_place(value, wanted)
        return exp.Cast(this=value, to=wanted)


def is_random(node: exp.Expr) -> bool:
    """True for a call that yields another value each time."""
    if isinstance(node, exp.Anonymous):
        return node.name.lower() in _RANDOM
    return isinstance(node, exp.Rand | exp.Uuid)


def _may_vary(node: exp.Expr) -> bool:
    """True for what may yield another value when it is evaluated again."""
    return is_random(node) or isinstance(node, exp.Query)


def _column_family(column: ScanColumn) -> str | None:
    if not isinstance(column.type, str):
        return None
    return "number" if column.type.startswith("decimal") else _FAMILIES.get(column.type)


def _family(kind: exp.DataType) -> str | None:
    if kind.is_type(*exp.DataType.TEXT_TYPES):
        return "text"
    if kind.is_type(*exp.DataType.NUMERIC_TYPES):
        return "number"
    if kind.is_type(exp.DType.BOOLEAN):
        return "boolean"
    if kind.is_type(*exp.DataType.TEMPORAL_TYPES) and not kind.is_type(exp.DType.TIME):
        return "moment"
    return None
