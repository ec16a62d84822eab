"""The tables that Spark SQL names, with `WITH` shadowing them, and other names in their place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from headwater.sql.trees import guarded


@dataclass(slots=True)
class NamedTable:
    """A table of a tree: its node, and the parts of its name as the user wrote them."""

    node: exp.Table
    parts: tuple[str, ...]


def named_tables(tree: exp.Expr) -> list[NamedTable]:
    """Every table that a tree names, those of `WITH` and table functions left out."""

    def run() -> list[NamedTable]:
        return [
            NamedTable(node, tuple(part.name for part in node.parts))
            for node in _tables(tree, frozenset())
        ]

    return guarded(run)


def _tables(node: exp.Expr, ctes: frozenset[str]) -> Iterator[exp.Table]:
    with_ = node.args.get("with_")
    if isinstance(with_, exp.With):
        for cte in with_.expressions:
            name = cte.alias.casefold()
            yield from _tables(cte.this, ctes | {name} if with_.args.get("recursive") else ctes)
            ctes |= {name}
    if (
        isinstance(node, exp.Table)
        and isinstance(node.this, exp.Identifier)
        and not (len(node.parts) == 1 and node.name.casefold() in ctes)
    ):
        yield node
    for child in node.iter_expressions():
        if child is not with_ and not isinstance(child, exp.Hint):
            yield from _tables(child, ctes)


def rename(tree: exp.Expr, tables: list[tuple[NamedTable, str]]) -> None:
    """Puts other names in the place of tables; their columns go on as they were written."""
    qualified: set[tuple[str, ...]] = set()
    for table, name in tables:
        node = table.node
        if not node.alias:
            alias = exp.TableAlias(this=exp.to_identifier(table.parts[-1], quoted=True))
            node.set("alias", alias)
            if len(table.parts) > 1:
                qualified.add(tuple(part.casefold() for part in table.parts))
        node.set("this", exp.to_identifier(name, quoted=True))
        node.set("db", None)
        node.set("catalog", None)
    if not qualified:
        return
    for column in list(tree.find_all(exp.Column)):
        parts = [part.name.casefold() for part in column.parts]
        for size in range(2, len(parts)):
            if any(found[-size:] == tuple(parts[:size]) for found in qualified):
                kept = [part.copy() for part in column.parts[size - 1 :]]
                column.replace(_column(kept))
                break


def _column(parts: list[exp.Expr]) -> exp.Column:
    names = ("table", "db", "catalog")
    column = exp.Column(this=parts[-1])
    for name, part in zip(names, reversed(parts[:-1]), strict=False):
        column.set(name, part)
    return column
