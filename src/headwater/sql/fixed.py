"""Which values a query fixes a column to, so that tables which we make up are made up in part.

`WHERE table_schema = 'sales' AND table_name IN ('orders', 'items')` needs two tables of a lake's
thousands. What is found here narrows what is made; the query filters the rows as ever, so anything
that is not understood is left out and only costs time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlglot import exp

from headwater.sql.relations import Bound

Fixed = Mapping[str, frozenset[str]]
"""By column, the only texts with which a row can be in the result."""


def fixed_values(bound: Bound) -> dict[str, Fixed]:
    """For each leaf, what every one of its readings fixes columns to.

    A condition counts in the WHERE of the query whose FROM names the leaf: rows without the value
    end there, those that an outer join fills with NULL as well.
    """
    keys = {leaf.key for leaf in bound.leaves}
    found: dict[str, list[dict[str, frozenset[str]]]] = {}
    for table in bound.tree.find_all(exp.Table):
        if isinstance(table.this, exp.Identifier) and table.name in keys:
            found.setdefault(table.name, []).append(_of_reading(table))
    return {key: _in_all(readings) for key, readings in found.items()}


def _in_all(readings: list[dict[str, frozenset[str]]]) -> Fixed:
    """What rows of any of several readings can have: each column that all of them fix."""
    columns = set.intersection(*(set(reading) for reading in readings))
    return {name: frozenset().union(*(each[name] for each in readings)) for name in columns}


def _of_reading(table: exp.Table) -> dict[str, frozenset[str]]:
    select = table.parent.parent if isinstance(table.parent, exp.From | exp.Join) else None
    where = select.args.get("where") if isinstance(select, exp.Select) else None
    fixed: dict[str, frozenset[str]] = {}
    for condition in () if where is None else _conjuncts(where.this):
        match = _values(condition)
        if match is not None and match[0].table == table.alias:
            name = match[0].name.casefold()
            fixed[name] = match[1] & fixed.get(name, match[1])
    return fixed


def _conjuncts(condition: exp.Expr) -> Iterator[exp.Expr]:
    waiting = [condition]
    while waiting:
        one = waiting.pop()
        if isinstance(one, exp.And):
            waiting += [one.left, one.right]
        elif isinstance(one, exp.Paren):
            waiting.append(one.this)
        else:
            yield one


def _values(condition: exp.Expr) -> tuple[exp.Column, frozenset[str]] | None:
    """The column and its texts of `c = 'a'`, `'a' = c`, `c IN ('a', …)`, `c LIKE 'no pattern'`."""
    if isinstance(condition, exp.EQ):
        sides = (condition.left, condition.right)
        if isinstance(sides[1], exp.Column):
            sides = (sides[1], sides[0])
        return _fixing(sides[0], [sides[1]])
    if isinstance(condition, exp.In) and not condition.args.get("query"):
        return _fixing(condition.this, condition.expressions)
    escape = ""
    if isinstance(condition, exp.Escape):
        escape = condition.expression.name
        condition = condition.this
    if isinstance(condition, exp.Like) and condition.expression.is_string:
        text = _without_pattern(condition.expression.name, escape)
        return None if text is None else _fixing(condition.this, [exp.Literal.string(text)])
    return None


def _fixing(column: exp.Expr, values: list[exp.Expr]) -> tuple[exp.Column, frozenset[str]] | None:
    if not isinstance(column, exp.Column) or not values or not all(v.is_string for v in values):
        return None
    return column, frozenset(value.name for value in values)


def _without_pattern(pattern: str, escape: str) -> str | None:
    """The one text that a LIKE pattern stands for; None when it stands for several."""
    text, plain = "", False
    for letter in pattern:
        if plain:
            text, plain = text + letter, False
        elif letter == escape:
            plain = True
        elif letter in "%_":
            return None
        else:
            text += letter
    return None if plain else text
