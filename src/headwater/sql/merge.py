"""MERGE with any number of actions: one query decides for every row, then the rows change.

The engine takes a single action on matched rows and none on rows that the source lacks. So the
join runs once, into a temporary table that says for each row which action applies and what its new
values are; DELETE, UPDATE and INSERT then take their rows from there, in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from headwater.errors import ErrorCode, error
from headwater.model.scan import ScanColumn
from headwater.model.statement import Dialect
from headwater.sql.script import Script, staged
from headwater.sql.targets import Target, is_random

MATCHED_TWICE = "headwater: MERGE matched a row of the target twice"
"""What the engine raises when two rows of the source meet one of the target; names no data."""

_ACTION, _FILE, _ROW, _PRESENT = "hw$action", "hw$file", "hw$row", "hw$present"
_STAGED = "hw$s"


@dataclass(frozen=True, slots=True)
class Action:
    """One WHEN: `of` is matched, source (row is not in the target) or target (not in the source).

    `values` are what the row gets, by folded column name; empty for DELETE.
    """

    of: str
    kind: str
    condition: exp.Expr | None
    columns: tuple[ScanColumn, ...] = ()
    values: Mapping[str, exp.Expr] | None = None


def needs_staging(whens: Sequence[exp.When], dialect: Dialect) -> bool:
    """True unless the engine's own MERGE does all of it."""
    matched = [when.args["then"] for when in whens if when.args.get("matched")]
    deletes = [then for then in matched if not isinstance(then, exp.Update)]
    if any(when.args.get("source") for when in whens) or len(deletes) > 1:
        return True
    if deletes and len(matched) > len(deletes):
        return True
    # Spark deletes a row that matches twice; the engine's MERGE refuses it.
    return dialect is Dialect.SPARK and checks_nothing(whens)


def checks_nothing(whens: Sequence[exp.When]) -> bool:
    """A single DELETE without a condition may match a row as often as it likes."""
    matched = [when for when in whens if when.args.get("matched")]
    return (
        len(matched) == 1
        and not isinstance(matched[0].args["then"], exp.Update)
        and matched[0].args.get("condition") is None
    )


def staged_merge(
    target: Target,
    source: exp.Expr,
    on: exp.Expr,
    actions: Sequence[Action],
    *,
    check: bool,
    unique: Callable[[str], str],
) -> tuple[exp.Expr, Script]:
    """The query that decides, and the statements that carry out what it decided.

    `on` says which rows of the target (only those that may be seen) match a bound source; `check`
    refuses rows of the target that match twice.
    """
    for action in actions:
        if action.condition is not None and any(map(is_random, action.condition.walk())):
            raise error(
                ErrorCode.NOT_SUPPORTED,
                "a condition of this MERGE takes no random value",
                hint="compute it in the source: USING (SELECT …)",
            )
    marker = unique("present")
    number = _number(target, actions, marker)
    items = [
        _as(number, _ACTION),
        _as(_column(target.key, "filename"), _FILE),
        _as(_column(target.key, "file_row_number"), _ROW),
        *_values(target, actions, number),
    ]
    join = exp.Join(this=_marked(source, marker), on=on, **_side(actions))
    query = exp.Select(expressions=items, from_=exp.From(this=target.table()), joins=[join])
    before = [_refuse_twice()] if check and any(a.of == "matched" for a in actions) else []
    before += [tree for tree in (_delete(target, actions), _update(target, actions)) if tree]
    before += _inserts(target, actions)
    return query, Script(tuple(before), staged=True, count=_count())


def _side(actions: Sequence[Action]) -> dict[str, str]:
    kinds = {action.of for action in actions}
    if {"source", "target"} <= kinds:
        return {"side": "FULL"}
    if "source" in kinds:
        return {"side": "RIGHT"}
    return {"side": "LEFT"} if "target" in kinds else {}


def _marked(source: exp.Expr, marker: str) -> exp.Expr:
    """The source, every row of it marked as there."""
    mark = exp.Select(expressions=[_as(exp.true(), _PRESENT)])
    joins = source.args.pop("joins", None) or []
    first = exp.Subquery(
        this=mark,
        alias=exp.TableAlias(this=_identifier(marker)),
        joins=[exp.Join(this=source, kind="CROSS"), *joins],
    )
    return exp.Subquery(this=first)


def _number(target: Target, actions: Sequence[Action], marker: str) -> exp.Expr:
    """Which action applies to a row, counted from 1: the first of its kind that holds, or NULL."""
    in_target = exp.Not(this=exp.Is(this=_column(target.key, "filename"), expression=exp.Null()))
    in_source = exp.Not(this=exp.Is(this=_column(marker, _PRESENT), expression=exp.Null()))
    visible = target.visible()
    sides = {
        "matched": exp.and_(in_target, in_source),
        "source": exp.Not(this=in_target.copy()),
        "target": exp.and_(exp.Not(this=in_source.copy()), visible)
        if visible is not None
        else exp.Not(this=in_source.copy()),
    }
    outer: list[exp.If] = []
    for of, side in sides.items():
        ifs = [
            exp.If(this=action.condition or exp.true(), true=exp.Literal.number(place))
            for place, action in enumerate(actions, 1)
            if action.of == of
        ]
        if ifs:
            outer.append(exp.If(this=side, true=exp.Case(ifs=ifs)))
    return exp.Case(ifs=outer)


def _values(target: Target, actions: Sequence[Action], number: exp.Expr) -> list[exp.Expr]:
    """For each column that some action sets: its new value, or else what is stored."""
    columns: dict[str, ScanColumn] = {}
    updated: set[str] = set()
    for action in actions:
        columns |= {column.name.casefold(): column for column in action.columns}
        if action.kind == "update":
            updated |= set(action.values or ())
    items: list[exp.Expr] = []
    for folded, column in columns.items():
        ifs = [
            exp.If(this=exp.Literal.number(place), true=action.values[folded].copy())
            for place, action in enumerate(actions, 1)
            if action.values and folded in action.values
        ]
        stored = _column(target.key, column.name) if folded in updated else None
        value = exp.Case(this=number.copy(), ifs=ifs, default=stored)
        items.append(_as(value, _value_name(folded)))
    return items


def _delete(target: Target, actions: Sequence[Action]) -> exp.Expr | None:
    chosen = _chosen(actions, "delete")
    if chosen is None:
        return None
    rows = exp.Select(
        expressions=[_column(_STAGED, _FILE), _column(_STAGED, _ROW)],
        from_=exp.From(this=staged(_STAGED)),
        where=exp.Where(this=chosen),
    )
    place = exp.Tuple(
        expressions=[_column(target.key, "filename"), _column(target.key, "file_row_number")]
    )
    found = exp.In(this=place, query=exp.Subquery(this=rows))
    return exp.Delete(this=target.table(), where=exp.Where(this=found))


def _update(target: Target, actions: Sequence[Action]) -> exp.Expr | None:
    chosen = _chosen(actions, "update")
    if chosen is None:
        return None
    columns: dict[str, ScanColumn] = {}
    for action in actions:
        if action.kind == "update":
            columns |= {column.name.casefold(): column for column in action.columns}
    assignments = [
        exp.EQ(
            this=exp.column(_identifier(column.name)),
            expression=_column(_STAGED, _value_name(folded)),
        )
        for folded, column in columns.items()
    ]
    where = exp.and_(
        exp.EQ(this=_column(target.key, "filename"), expression=_column(_STAGED, _FILE)),
        exp.EQ(this=_column(target.key, "file_row_number"), expression=_column(_STAGED, _ROW)),
        chosen,
    )
    return exp.Update(
        this=target.table(),
        expressions=assignments,
        from_=exp.From(this=staged(_STAGED)),
        where=exp.Where(this=where),
    )


def _inserts(target: Target, actions: Sequence[Action]) -> list[exp.Expr]:
    """One INSERT for all actions that name the same columns."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, action in enumerate(actions, 1):
        if action.kind == "insert":
            groups.setdefault(tuple(c.name for c in action.columns), []).append(place)
    found: list[exp.Expr] = []
    for names, places in groups.items():
        table = target.table()
        table.set("alias", None)
        rows = exp.Select(
            expressions=[_column(_STAGED, _value_name(name.casefold())) for name in names],
            from_=exp.From(this=staged(_STAGED)),
            where=exp.Where(this=_in(places)),
        )
        schema = exp.Schema(this=table, expressions=[_identifier(name) for name in names])
        found.append(exp.Insert(this=schema, expression=rows))
    return found


def _refuse_twice() -> exp.Expr:
    twice = exp.Select(
        expressions=[exp.Literal.number(1)],
        from_=exp.From(this=staged(_STAGED)),
        where=exp.Where(
            this=exp.Not(this=exp.Is(this=_column(_STAGED, _ACTION), expression=exp.Null())).and_(
                exp.Not(this=exp.Is(this=_column(_STAGED, _FILE), expression=exp.Null()))
            )
        ),
        group=exp.Group(expressions=[_column(_STAGED, _FILE), _column(_STAGED, _ROW)]),
        having=exp.Having(
            this=exp.GT(this=exp.Count(this=exp.Star()), expression=exp.Literal.number(1))
        ),
    )
    raised = exp.Anonymous(this="error", expressions=[exp.Literal.string(MATCHED_TWICE)])
    case = exp.Case(ifs=[exp.If(this=exp.Exists(this=twice), true=raised)])
    return exp.Select(expressions=[_as(case, "checked")])


def _count() -> exp.Expr:
    """How many rows changed: one of the target counts once, whatever it matched."""
    changed = exp.Select(
        expressions=[_column(_STAGED, _FILE), _column(_STAGED, _ROW)],
        from_=exp.From(this=staged(_STAGED)),
        where=exp.Where(
            this=exp.Not(this=exp.Is(this=_column(_STAGED, _ACTION), expression=exp.Null()))
        ),
    )
    old = changed.copy().where(_there(), copy=False)
    old.set("distinct", exp.Distinct())
    new = changed.where(exp.Not(this=_there()), copy=False)
    both = exp.Union(this=old, expression=new, distinct=False)
    alias = exp.TableAlias(this=_identifier("hw$changed"))
    return exp.Select(
        expressions=[_as(exp.Count(this=exp.Star()), "Count")],
        from_=exp.From(this=exp.Subquery(this=both, alias=alias)),
    )


def _there() -> exp.Expr:
    return exp.Not(this=exp.Is(this=_column(_STAGED, _FILE), expression=exp.Null()))


def _chosen(actions: Sequence[Action], kind: str) -> exp.Expr | None:
    places = [place for place, action in enumerate(actions, 1) if action.kind == kind]
    return _in(places) if places else None


def _in(places: Sequence[int]) -> exp.Expr:
    return exp.In(
        this=_column(_STAGED, _ACTION),
        expressions=[exp.Literal.number(place) for place in places],
    )


def _value_name(folded: str) -> str:
    return f"value${folded}"


def _as(tree: exp.Expr, name: str) -> exp.Alias:
    return exp.Alias(this=tree, alias=_identifier(name))


def _identifier(name: str) -> exp.Identifier:
    return exp.to_identifier(name, quoted=True)


def _column(table: str, name: str) -> exp.Column:
    return exp.column(_identifier(name), table=_identifier(table))
