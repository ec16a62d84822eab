"""Prints a governed tree for DuckDB: quoted names, no comments, only node kinds on a list."""

from __future__ import annotations

from sqlglot import exp

from headwater.errors import ErrorCode, error
from headwater.model.statement import Dialect
from headwater.sql.functions import EXPRESSIONS, TYPED
from headwater.sql.templates import PASSED_ON
from headwater.sql.tokens import grammar
from headwater.sql.trees import PARAMETER, guarded


def emit(tree: exp.Expr) -> str:
    """DuckDB's SQL for a bound and governed tree; a node kind that nobody listed is refused."""
    return guarded(lambda: _emit(tree))


def _emit(tree: exp.Expr) -> str:
    for node in tree.walk():
        _check(node)
        if isinstance(node, exp.Identifier):
            if PARAMETER in node.name:
                raise error(
                    ErrorCode.SYNTAX_ERROR,
                    "a parameter cannot stand for a name",
                    hint="? stands for a value",
                )
            node.set("quoted", True)
    text: str = grammar(Dialect.DUCKDB).generate(tree, copy=False, comments=False)
    return text


_QUERIES = frozenset(
    {
        "Alias", "CTE", "Column", "Delete", "Except", "From", "Group", "Having", "Insert",
        "Intersect", "Join", "Lateral", "Limit", "Merge", "Offset", "Qualify", "Schema", "Select",
        "Subquery", "Table", "TableAlias", "TableSample", "Tuple", "Union", "Update", "Values",
        "When", "Whens", "Where", "With",
    }
)  # fmt: skip
"""Classes of nodes of a statement around its expressions."""

_OWN_FUNCTIONS = frozenset(
    {
        "error", "iceberg_scan", "range", "generate_series", "read_parquet", "struct_extract_at",
        "make_timestamp_ns",
    }
)  # fmt: skip
"""Functions that only our own rewriting writes; a user's call of them was refused when bound."""


def _check(node: exp.Expr) -> None:
    """Refuses what no stage before should have let through: the last of three lines."""
    kind = type(node).__name__
    if isinstance(node, exp.Anonymous):
        allowed = node.name.lower() in _OWN_FUNCTIONS or node.name.lower() in PASSED_ON
    elif isinstance(node, exp.Func):
        allowed = kind in TYPED
    else:
        allowed = kind in _QUERIES or kind in EXPRESSIONS
    if isinstance(node, exp.Table) and isinstance(node.this, exp.Func):
        allowed = isinstance(node.this, exp.Anonymous) and node.this.name.lower() in _OWN_FUNCTIONS
    elif isinstance(node, exp.Anonymous) and node.name.lower() == "read_parquet":
        allowed = isinstance(node.parent, exp.Table) and all(
            isinstance(part, exp.Array | exp.Literal) for part in list(node.walk())[1:]
        )
    if not allowed:
        raise error(ErrorCode.INTERNAL_ERROR, f"{kind} must not reach the engine")
