"""Several emitted statements that are one change: all in one transaction, one commit."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from headwater.sql.transpile import emit

STAGE = "hw$stage"
"""The engine's temporary table that a staged change computes its rows into, once."""


@dataclass(frozen=True, slots=True)
class Script:
    """What runs around the statement that a bound tree becomes.

    When `staged`, the bound tree is a query: its rows go into the temporary table `STAGE`, the
    statements of `before` take them from there, and `count` says how many rows were changed.
    Otherwise the bound tree is itself the last statement, which counts its rows.
    """

    before: tuple[exp.Expr, ...]
    staged: bool = False
    count: exp.Expr | None = None

    def statements(self, sql: str) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
        """What runs before, the statement whose result is the answer, what runs after."""
        before = tuple(emit(tree) for tree in self.before)
        if not self.staged or self.count is None:
            return before, sql, ()
        fill = f'CREATE OR REPLACE TEMP TABLE "{STAGE}" AS {sql}'
        return (fill, *before), emit(self.count), (f'DROP TABLE "{STAGE}"',)


def staged(alias: str) -> exp.Table:
    """The temporary table under an alias."""
    return exp.Table(
        this=exp.to_identifier(STAGE, quoted=True),
        alias=exp.TableAlias(this=exp.to_identifier(alias, quoted=True)),
    )
