"""IDENTIFIER(…) in SQL text: a name made from a constant, put in its place before names are read.

The name is then judged as any other. What is no constant stays, and is refused as a function.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlglot import exp

from headwater.gateway.spark_connect.plans.names import split_identifier

_NAME = "identifier"


def texts_of(sql: Any) -> dict[str, str]:
    """The string arguments of a `SQL` message by the names of their markers."""
    found = {name: each.string for name, each in sql.args.items() if each.HasField("string")}
    for name, each in sql.named_arguments.items():
        if each.literal.HasField("string"):
            found[name] = each.literal.string
    return found


def with_names(tree: exp.Expr, texts: Mapping[str, str]) -> exp.Expr:
    """The tree with names in the place of IDENTIFIER of a constant."""
    for node in list(tree.find_all(exp.Anonymous)):
        if node.name.lower() != _NAME or len(node.expressions) != 1:
            continue
        told = node.expressions[0]
        if isinstance(told, exp.Literal) and told.is_string:
            text: str | None = told.this
        elif isinstance(told, exp.Placeholder):
            text = texts.get(told.name)
        else:
            text = None
        if text is None or isinstance(node.parent, exp.Dot):
            continue
        parts = [exp.to_identifier(part, quoted=True) for part in split_identifier(text)]
        if isinstance(node.parent, exp.Table) and node.arg_key == "this" and len(parts) <= 3:
            for place, part in zip(("this", "db", "catalog"), reversed(parts), strict=False):
                node.parent.set(place, part)
        elif isinstance(node.parent, exp.Lateral):
            continue
        else:
            column: exp.Expr = exp.Column(
                **dict(zip(("this", "table", "db", "catalog"), reversed(parts[:4]), strict=False))
            )
            if node is tree:
                return column
            node.replace(column)
    return tree
