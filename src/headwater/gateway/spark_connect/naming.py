"""Names that Spark gives to computed columns, where Sail gives others.

Spark writes an expression without an alias out as its name, the casts that its writer asked for
included (`Analyzer.ResolveAliases`, `toPrettySQL`); Sail leaves those casts out.
"""

from __future__ import annotations

from sqlglot import exp

_OPERATORS: dict[type[exp.Expr], str] = {
    exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%",
}  # fmt: skip


def computed_names(tree: exp.Expr) -> list[str | None]:
    """Spark's name of each column of a query; None where Sail's is right or Spark's is unsure."""
    if not isinstance(tree, exp.Select):
        return []
    return [_name(item) for item in tree.expressions]


def _name(item: exp.Expr) -> str | None:
    bare = item.unnest()
    # The cast of a column alone keeps the column's name.
    if isinstance(bare, exp.Cast) or bare.find(exp.Cast) is None:
        return None
    return _text(bare)


def _text(node: exp.Expr) -> str | None:
    match node:
        case exp.Paren():
            return _text(node.this)
        case exp.Column() | exp.Literal():
            return str(node.name)
        case exp.Cast():
            # sqlglot takes Spark's CAST for a TRY_CAST, and writes it as what it was.
            inner, written = _text(node.this), node.sql("spark")
            kind = node.to.sql("spark").replace(" ", "").upper()
            known = inner is not None and written.startswith("CAST(")
            return f"CAST({inner} AS {kind})" if known else None
    operator = _OPERATORS.get(type(node))
    if operator is None:
        return None
    left, right = _text(node.this), _text(node.expression)
    return None if left is None or right is None else f"({left} {operator} {right})"
