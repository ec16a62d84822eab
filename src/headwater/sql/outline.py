"""A query's steps as a tree for people, from what its writer wrote and nothing else.

It is made before names are bound and policies applied: no filter, mask or view of others can be in
it. Each step stands above those that it takes its rows from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from headwater.model.statement import Dialect
from headwater.sql.tokens import grammar
from headwater.sql.trees import PARAMETER, guarded

_LONGEST = 300
_DEEPEST = 40


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it does, on what, and the steps that its rows come from."""

    kind: str
    label: str
    detail: str = ""
    children: tuple[Step, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The tree as JSON has it."""
        return {
            "kind": self.kind,
            "label": self.label,
            "detail": self.detail,
            "children": [child.as_dict() for child in self.children],
        }


def outline(tree: exp.Expr, dialect: Dialect) -> Step:
    """The steps of a query's tree."""
    return guarded(lambda: _Outline(dialect).query(tree, {}, 0))


class _Outline:
    def __init__(self, dialect: Dialect) -> None:
        self._grammar = grammar(dialect)

    def text(self, node: exp.Expr | list[exp.Expr] | None) -> str:
        if node is None:
            return ""
        if isinstance(node, list):
            return _short(", ".join(self.text(item) for item in node))
        made: str = self._grammar.generate(node, copy=True, comments=False)
        return _short(made.replace(PARAMETER, "?"))

    def query(self, node: exp.Expr, named: dict[str, exp.Expr], depth: int) -> Step:
        if depth > _DEEPEST:
            return Step("query", "…")
        named = dict(named)
        with_ = node.args.get("with_")
        for cte in with_.expressions if with_ is not None else ():
            named[cte.alias.casefold()] = cte.this
        if isinstance(node, exp.Subquery):
            return self._ends(node, self.query(node.this, named, depth + 1))
        if isinstance(node, exp.SetOperation):
            kind = type(node).__name__
            label = kind if node.args.get("distinct") else f"{kind} all"
            sides = tuple(
                self.query(side, named, depth + 1) for side in (node.this, node.expression)
            )
            return self._ends(node, Step("set", label, children=sides))
        if isinstance(node, exp.Select):
            return self._ends(node, self._select(node, named, depth))
        if isinstance(node, exp.Values):
            return Step("values", "Values", f"{len(node.expressions)} rows")
        if isinstance(node, exp.Table):
            return self._source(node, named, depth)
        return Step("query", type(node).__name__)

    def _select(self, node: exp.Select, named: dict[str, exp.Expr], depth: int) -> Step:
        from_ = node.args.get("from_")
        step = (
            self._source(from_.this, named, depth)
            if from_ is not None
            else Step("values", "One row")
        )
        for join in [*(node.args.get("joins") or ()), *(node.args.get("laterals") or ())]:
            step = self._join(join, step, named, depth)
        if (where := node.args.get("where")) is not None:
            step = Step(
                "filter", "Filter", self.text(where.this), (step, *self._inner(where, named, depth))
            )
        group = node.args.get("group")
        aggregates = [
            found
            for expression in node.expressions
            for found in expression.find_all(exp.AggFunc)
            if found.find_ancestor(exp.Window, exp.Select) in (None, node)
            and not isinstance(found.parent, exp.Window)
        ]
        if group is not None or aggregates:
            by = f"by {self.text(list(group.expressions))}" if group and group.expressions else ""
            what = ", ".join(dict.fromkeys(self.text(found) for found in aggregates))
            step = Step(
                "aggregate", "Aggregate", _short(" ".join(filter(None, (what, by)))), (step,)
            )
        if (having := node.args.get("having")) is not None:
            step = Step("filter", "Filter groups", self.text(having.this), (step,))
        windows = [w for e in node.expressions for w in e.find_all(exp.Window)]
        if windows:
            step = Step("window", "Window", self.text(windows[0].this), (step,))
        if (qualify := node.args.get("qualify")) is not None:
            step = Step("filter", "Filter windows", self.text(qualify.this), (step,))
        step = Step("project", "Select", self.text(list(node.expressions)), (step,))
        if node.args.get("distinct") is not None:
            step = Step("distinct", "Distinct", "", (step,))
        return step

    def _ends(self, node: exp.Expr, step: Step) -> Step:
        """ORDER BY, OFFSET and LIMIT, of whatever query has them."""
        if (order := node.args.get("order")) is not None:
            step = Step("sort", "Sort", self.text(list(order.expressions)), (step,))
        limits = [
            f"{name} {self.text(found.args.get('expression') or found.args.get('count'))}"
            for name in ("limit", "offset")
            if (found := node.args.get(name)) is not None
        ]
        return Step("limit", "Limit", ", ".join(limits), (step,)) if limits else step

    def _join(self, join: exp.Expr, left: Step, named: dict[str, exp.Expr], depth: int) -> Step:
        if not isinstance(join, exp.Join):
            return Step("unnest", "Lateral", self.text(join.this), (left,))
        words = [join.args.get(key) for key in ("method", "side", "kind")]
        on, using = join.args.get("on"), join.args.get("using")
        detail = self.text(on) if on is not None else ""
        if using:
            detail = f"using {self.text(list(using))}"
        label = " ".join(str(word).lower() for word in words if word)
        label = f"{label} join".strip().capitalize() if label or detail else "Cross join"
        return Step("join", label, detail, (left, self._source(join.this, named, depth)))

    def _source(self, node: exp.Expr, named: dict[str, exp.Expr], depth: int) -> Step:
        if isinstance(node, exp.Subquery):
            inner = self.query(node.this, named, depth + 1)
            return Step("subquery", "Subquery", node.alias or "", (inner,))
        if isinstance(node, exp.Values):
            return Step("values", "Values", f"{len(node.expressions)} rows")
        if not isinstance(node, exp.Table) or isinstance(node.this, exp.Func):
            return Step("unnest", "Rows of", self.text(node))
        plain = isinstance(node.this, exp.Identifier) and not node.db
        found = named.get(node.name.casefold()) if plain else None
        step = Step("scan", f"Scan {_name(node)}", f"as {node.alias}" if node.alias else "")
        if found is not None:
            rest = {name: tree for name, tree in named.items() if name != node.name.casefold()}
            step = Step("with", f"With {node.name}", "", (self.query(found, rest, depth + 1),))
        for join in node.args.get("joins") or ():
            step = self._join(join, step, named, depth)
        return step

    def _inner(self, where: exp.Expr, named: dict[str, exp.Expr], depth: int) -> tuple[Step, ...]:
        """The queries inside of a condition."""
        return tuple(
            Step("subquery", "Subquery", "in the filter", (self.query(found, named, depth + 1),))
            for found in where.find_all(exp.Select)
            if found.find_ancestor(exp.Select, exp.Where) is where
        )


def _name(node: exp.Table) -> str:
    return _short(".".join(part.name for part in node.parts))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
