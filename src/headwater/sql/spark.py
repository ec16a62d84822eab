"""Whether the system engine gives exactly Spark's answer to a statement in Spark's dialect.

While a statement is bound, every construct in it is named: its kind, the families of its operands'
types, the parts of it that are set, such as `Add(decimal,int)` or `Join(side=LEFT)`. A statement is
proven when all of its constructs are listed in `PROVEN`: those for which `tests/conformance` found
the same values, NULLs and errors as real Spark gives on a grid of edge values. Types of result
columns are not compared here: whoever asks casts them to Spark's.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources

from sqlglot import exp

T = exp.DType

PROVEN = frozenset(
    resources.files("headwater.sql").joinpath("spark_proven.txt").read_text().splitlines()
)
"""The constructs that give Spark's answers; `tests/conformance/test_spark.py` writes the list."""

_FAMILIES: dict[exp.DType, str] = {
    T.BOOLEAN: "bool",
    T.TINYINT: "int", T.SMALLINT: "int", T.INT: "int", T.BIGINT: "long",
    T.DECIMAL: "decimal", T.FLOAT: "float", T.DOUBLE: "double",
    T.VARCHAR: "text", T.TEXT: "text", T.CHAR: "text",
    T.DATE: "date", T.TIMESTAMPTZ: "instant", T.TIMESTAMPLTZ: "instant",
    T.TIMESTAMP: "timestamp", T.TIMESTAMPNTZ: "timestamp", T.DATETIME: "timestamp",
    T.BINARY: "binary", T.VARBINARY: "binary", T.BLOB: "binary",
    T.ARRAY: "array", T.LIST: "array", T.MAP: "map", T.STRUCT: "struct", T.NULL: "null",
    T.INTERVAL: "interval",
}  # fmt: skip

_SILENT = (
    exp.Column, exp.Identifier, exp.Paren, exp.Alias, exp.Var, exp.DataType, exp.DataTypeParam,
    exp.Star, exp.Tuple, exp.Literal, exp.Null, exp.Boolean, exp.TableAlias, exp.Placeholder,
)  # fmt: skip
"""Nodes that compute nothing."""

_QUERY_PARTS: dict[type[exp.Expr], tuple[str, ...]] = {
    exp.Select: ("distinct", "having", "qualify", "windows", "limit", "offset", "sample"),
    exp.Join: ("side", "kind", "method", "using"),
    exp.Table: ("version", "when", "sample", "pivots"),
    exp.Subquery: ("sample", "pivots"),
    exp.Lateral: ("view", "outer"),
    exp.With: ("recursive",),
    exp.Group: ("rollup", "cube", "grouping_sets", "all", "totals"),
    exp.Union: ("distinct", "by_name", "side", "kind"),
    exp.Intersect: ("distinct", "by_name", "side", "kind"),
    exp.Except: ("distinct", "by_name", "side", "kind"),
}
_CONTENT = """
    RegexpLike RegexpILike RegexpReplace RegexpExtract RegexpExtractAll RegexpCount RegexpSplit
    Split TimeToStr StrToTime StrToDate StrToUnix UnixToStr UnixToTime JSONExtract
    JSONExtractScalar ParseJSON Rand Uuid Bracket
"""
_BY_CONTENT = frozenset(_CONTENT.split())
"""Kinds whose meaning lies in a constant or a name, which no grid can cover.

An element of an array is one: Spark fails for an index beyond its end, DuckDB gives NULL.
"""


def unproven(constructs: Iterable[str]) -> str | None:
    """Why a bound statement may differ from Spark's answer; None when it is proven not to."""
    missing = sorted(set(constructs) - PROVEN)
    if not missing:
        return None
    return f"not proven to be as in Spark: {', '.join(missing[:5])}"


def expression_constructs(tree: exp.Expr) -> set[str]:
    """The constructs of a typed expression of Spark's dialect, subqueries inside left out."""
    found: set[str] = set()
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, exp.Query):
            continue
        if not isinstance(node, _SILENT) and not _is_negative(node):
            found.add(_construct(node))
        if isinstance(node, exp.Window):
            found |= keyed("PartitionBy", node.args.get("partition_by") or ())
        stack.extend(node.iter_expressions())
    return found


def query_constructs(tree: exp.Expr) -> set[str]:
    """The constructs of a parsed query around its expressions."""
    found: set[str] = set()
    for node in tree.walk():
        parts = _QUERY_PARTS.get(type(node))
        if parts is None:
            continue
        listed = []
        for part in parts:
            value = node.args.get(part)
            if value:
                listed.append(f"{part}={value.upper()}" if isinstance(value, str) else part)
        found.add(f"{type(node).__name__}({','.join(listed)})")
    return found


def keyed(what: str, nodes: Iterable[exp.Expr]) -> set[str]:
    """Constructs that compare or sort rows by values: `GroupBy(double)`."""
    return {f"{what}({family(node.type)})" for node in nodes}


def family(kind: exp.DataType | None) -> str:
    """The family of a type; `unknown` is never proven."""
    return "unknown" if kind is None else _FAMILIES.get(kind.this, "unknown")


def _is_negative(node: exp.Expr) -> bool:
    """True for a number such as -1, which the grammar takes for an operation."""
    return isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal)


def _construct(node: exp.Expr) -> str:
    name = type(node).__name__
    if isinstance(node, exp.Anonymous):
        name = f"Anonymous:{node.name.lower()}"
    operands: list[str] = []
    flags: list[str] = []
    for key, value in node.args.items():
        if value is None or value is False or value == [] or key == "partition_by":
            continue
        if key in ("safe", "typed", "big_int", "over", "is_string"):
            if key == "safe" and isinstance(node, exp.TryCast):
                flags.append("try")
            continue
        if isinstance(value, list):
            operands += _together([_operand(each) for each in value if isinstance(each, exp.Expr)])
        elif isinstance(value, exp.Var):
            flags.append(f"{key}={value.name.upper()}")
        elif isinstance(value, exp.DataType):
            flags.append(f"to={family(value)}")
        elif isinstance(value, exp.Expr):
            operands.append(_operand(value))
        else:
            flags.append(f"{key}={str(value).upper()}")
    if name in _BY_CONTENT:
        flags.append("by content")
    text = ",".join(operands)
    return f"{name}({text}{';' if flags else ''}{';'.join(sorted(flags))})"


def _together(operands: list[str]) -> list[str]:
    """Operands of a list: each family once, for there may be any number of them."""
    return sorted(set(operands))


def _operand(node: exp.Expr) -> str:
    if isinstance(node, exp.Query):
        known = family(node.type)
        return "query" if known == "unknown" else known
    if isinstance(node, exp.Literal) and node.is_string:
        return "'text'"  # a constant is looked at once; a column's texts may be anything
    if isinstance(node, exp.Distinct):
        return "distinct " + ",".join(_together([_operand(each) for each in node.expressions]))
    if isinstance(node, exp.Star):
        return "*"
    if isinstance(node, exp.If):
        return f"if {family(node.args['true'].type)}"
    if isinstance(node, exp.Interval):
        # A date and days are a date, a date and hours an instant: one may differ, not the other.
        unit = "" if node.unit is None else node.unit.name
        return f"interval {unit.lower().rstrip('s')}".rstrip()
    if isinstance(node, exp.WindowSpec | exp.Order | exp.Ordered | exp.Lambda):
        return type(node).__name__.lower()
    if isinstance(node, exp.Tuple):
        return "row"
    return family(node.type)
