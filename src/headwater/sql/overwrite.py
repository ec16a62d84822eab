"""The rows that an INSERT OVERWRITE removes, when it does not remove all."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from headwater.errors import ErrorCode, error
from headwater.model.scan import ScanColumn
from headwater.sql.script import Script, staged
from headwater.sql.targets import Target

_STAGED = "hw$s"
_UNITS = frozenset({"year", "month", "day", "hour"})


def removal(victim: Target, which: exp.Expr | None) -> exp.Delete:
    """DELETE of the rows that a predicate picks, among those that the writer sees."""
    visible = victim.visible()
    if visible is not None:
        # CASE keeps the predicate away from hidden rows; their values read as NULL anyway.
        which = exp.Case(
            ifs=[exp.If(this=visible, true=which if which is not None else exp.true())],
            default=exp.false(),
        )
    where = None if which is None else exp.Where(this=which)
    return exp.Delete(this=victim.table(), where=where)


def overwrite_partitions(
    victim: Target,
    target: Target,
    columns: Sequence[ScanColumn],
    partitioning: Sequence[tuple[str, str]],
) -> Script:
    """The new rows are staged; partitions that one of them falls into are emptied, then filled."""
    names = {column.name for column in columns}
    same: list[exp.Expr] = []
    for name, transform in partitioning:
        new = _column(_STAGED, name) if name in names else exp.Null()
        same.append(
            exp.NullSafeEQ(
                this=_transformed(_column(victim.key, name), transform),
                expression=_transformed(new, transform),
            )
        )
    touched = exp.Select(
        expressions=[exp.Literal.number(1)],
        from_=exp.From(this=staged(_STAGED)),
        where=exp.Where(this=exp.and_(*same)) if same else None,
    )
    table = target.table()
    table.set("alias", None)
    insert = exp.Insert(
        this=exp.Schema(this=table, expressions=[_identifier(column.name) for column in columns]),
        expression=exp.Select(
            expressions=[_column(_STAGED, column.name) for column in columns],
            from_=exp.From(this=staged(_STAGED)),
        ),
    )
    count = exp.Select(
        expressions=[exp.Alias(this=exp.Count(this=exp.Star()), alias=_identifier("Count"))],
        from_=exp.From(this=staged(_STAGED)),
    )
    return Script((removal(victim, exp.Exists(this=touched)), insert), staged=True, count=count)


def _transformed(value: exp.Expr, transform: str) -> exp.Expr:
    """The value of a partition field; two rows share a partition when it is the same."""
    if transform == "identity":
        return value
    if transform in _UNITS:
        stamp = exp.Cast(this=value, to=exp.DType.TIMESTAMPTZ.into_expr())
        in_utc = exp.AtTimeZone(this=stamp, zone=exp.Literal.string("UTC"))
        return exp.TimestampTrunc(this=in_utc, unit=exp.Var(this=transform.upper()))
    raise error(
        ErrorCode.NOT_SUPPORTED,
        f"partitions by {transform} cannot be overwritten dynamically",
        hint="SET partition_overwrite_mode = static, or name rows: INSERT INTO t REPLACE WHERE …",
    )


def _identifier(name: str) -> exp.Identifier:
    return exp.to_identifier(name, quoted=True)


def _column(table: str, name: str) -> exp.Column:
    return exp.column(_identifier(name), table=_identifier(table))
