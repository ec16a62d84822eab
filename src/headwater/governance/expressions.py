"""The SQL of row filters and mask expressions: checked when made, bound to field ids, compiled.

A policy's expression may use the table's own top-level columns, literals, the functions of
`_RESULTS` (deterministic, and none that fails on a value), and three functions about the caller,
which become literals when a decision is taken: `current_user`, `current_role` and
`has_role('name')`. No subquery ever reaches an engine.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp

from headwater.errors import ErrorCode, Position, error

Kind = str
"""A family of types: boolean, number, string, date, timestamp, time, binary, uuid, null, other."""

_MAX_NODES = 5_000

_STRING = frozenset({"string", "null"})
_NUMBER = frozenset({"number", "null"})
_MOMENT = frozenset({"date", "timestamp", "null"})
_TEXTUAL = _STRING | _NUMBER

_RESULTS: dict[type[exp.Expr], tuple[frozenset[Kind], Kind]] = {
    exp.And: (frozenset({"boolean", "null"}), "boolean"),
    exp.Or: (frozenset({"boolean", "null"}), "boolean"),
    exp.Xor: (frozenset({"boolean", "null"}), "boolean"),
    exp.Not: (frozenset({"boolean", "null"}), "boolean"),
    exp.Like: (_STRING, "boolean"),
    exp.ILike: (_STRING, "boolean"),
    exp.StartsWith: (_STRING, "boolean"),
    exp.EndsWith: (_STRING, "boolean"),
    exp.Contains: (_STRING, "boolean"),
    exp.Upper: (_STRING, "string"),
    exp.Lower: (_STRING, "string"),
    exp.Trim: (_STRING, "string"),
    exp.Concat: (_STRING, "string"),
    exp.DPipe: (_STRING, "string"),
    exp.Replace: (_STRING, "string"),
    exp.Reverse: (_STRING, "string"),
    exp.MD5: (_STRING, "string"),
    exp.SHA2: (_TEXTUAL, "string"),
    exp.Substring: (_TEXTUAL, "string"),
    exp.Left: (_TEXTUAL, "string"),
    exp.Right: (_TEXTUAL, "string"),
    exp.Length: (_STRING, "number"),
    exp.Neg: (_NUMBER, "number"),
    exp.Abs: (_NUMBER, "number"),
    exp.Round: (_NUMBER, "number"),
    exp.Floor: (_NUMBER, "number"),
    exp.Ceil: (_NUMBER, "number"),
    exp.Add: (_NUMBER, "number"),
    exp.Sub: (_NUMBER, "number"),
    exp.Mul: (_NUMBER, "number"),
    exp.Div: (_NUMBER, "number"),
    exp.Mod: (_NUMBER, "number"),
    exp.Year: (_MOMENT, "number"),
    exp.Month: (_MOMENT, "number"),
    exp.Day: (_MOMENT, "number"),
    exp.TsOrDsToDate: (_MOMENT, "date"),
}
"""Operators and functions: the kinds that every argument must have, and the result's kind."""

_SAME_KIND = (exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least)
_COMPARISONS = (
    exp.EQ,
    exp.NEQ,
    exp.GT,
    exp.GTE,
    exp.LT,
    exp.LTE,
    exp.NullSafeEQ,
    exp.NullSafeNEQ,
    exp.Is,
)
_UNITS = frozenset({"YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND"})


@dataclass(frozen=True, slots=True)
class Caller:
    """What the functions about the caller say: name, role acted in, and names of active roles."""

    user: str
    role: str | None
    roles: frozenset[str]


def iceberg_kind(iceberg_type: Any) -> Kind:
    """The kind of an Iceberg type, as schema JSON writes it."""
    if not isinstance(iceberg_type, str):
        return "other"
    base = iceberg_type.split("(")[0].split("[")[0]
    return {
        "boolean": "boolean",
        "int": "number",
        "long": "number",
        "float": "number",
        "double": "number",
        "decimal": "number",
        "string": "string",
        "date": "date",
        "time": "time",
        "timestamp": "timestamp",
        "timestamptz": "timestamp",
        "timestamp_ns": "timestamp",
        "timestamptz_ns": "timestamp",
        "binary": "binary",
        "fixed": "binary",
        "uuid": "uuid",
    }.get(base, "other")


def bind_expression(
    tree: exp.Expr, fields: Sequence[Mapping[str, Any]], expected: Kind, what: str
) -> str:
    """Checks a policy's expression and returns it bound: DuckDB SQL, columns written `"#<id>"`.

    `fields` is the table's schema JSON; `expected` the kind of the result; `what` names it in
    errors. Raises COLUMN_NOT_FOUND, TYPE_MISMATCH or NOT_SUPPORTED, with a hint.
    """
    if sum(1 for _ in tree.walk()) > _MAX_NODES:
        raise error(ErrorCode.NOT_SUPPORTED, f"{what} has more than {_MAX_NODES} parts")
    bound = _bind_names(tree.copy(), {field["name"].casefold(): field for field in fields}, what)
    kinds = {field["id"]: iceberg_kind(field["type"]) for field in fields}
    kind = _Checker(kinds, what).kind(bound)
    if kind not in (expected, "null"):
        raise error(
            ErrorCode.TYPE_MISMATCH,
            f"{what} must be a {expected}, not a {kind}",
            hint="compare it with something" if expected == "boolean" else None,
        )
    return bound.sql(dialect="duckdb", comments=False)


def field_ids(expression: str) -> frozenset[int]:
    """The field ids that a bound expression uses."""
    return frozenset(_field_id(column) for column in _parsed(expression).find_all(exp.Column))


def compile_expression(expression: str, names: Mapping[int, str], caller: Caller) -> str | None:
    """A bound expression as DuckDB SQL over the current names; None when a column is gone."""
    tree = _parsed(expression).copy()
    missing = False

    def resolve(node: exp.Expr) -> exp.Expr:
        nonlocal missing
        if isinstance(node, exp.Column):
            name = names.get(_field_id(node))
            missing = missing or name is None
            return exp.column(exp.to_identifier(name or "", quoted=True))
        if isinstance(node, exp.Anonymous):
            return _literal(node, caller)
        return node

    compiled = tree.transform(resolve).sql(dialect="duckdb", comments=False)
    return None if missing else compiled


def readable(expression: str, names: Mapping[int, str]) -> str:
    """A bound expression for people: columns by name, or `?` where the column is gone."""

    def resolve(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column):
            return exp.column(exp.to_identifier(names.get(_field_id(node), "?")))
        return node

    return _parsed(expression).copy().transform(resolve).sql(dialect="duckdb", comments=False)


@functools.lru_cache(maxsize=4096)
def _parsed(expression: str) -> exp.Expr:
    return sqlglot.parse_one(expression, dialect="duckdb")


def _field_id(column: exp.Column) -> int:
    return int(column.name.removeprefix("#"))


def _literal(call: exp.Anonymous, caller: Caller) -> exp.Expr:
    function = call.name.lower()
    if function == "current_user_name":
        return exp.Literal.string(caller.user)
    if function == "current_role_name":
        return exp.Literal.string(caller.role) if caller.role is not None else exp.null()
    return exp.Boolean(this=call.expressions[0].name.casefold() in caller.roles)


def _bind_names(tree: exp.Expr, fields: Mapping[str, Mapping[str, Any]], what: str) -> exp.Expr:
    """Columns by field id, and the functions about the caller under the names we store."""

    def resolve(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.CurrentUser | exp.SessionUser):
            return exp.Anonymous(this="current_user_name")
        if isinstance(node, exp.CurrentRole):
            return exp.Anonymous(this="current_role_name")
        if isinstance(node, exp.Anonymous) and node.name.lower() == "current_role":
            return exp.Anonymous(this="current_role_name")
        if not isinstance(node, exp.Column):
            return node
        identifier = node.this
        if (
            isinstance(identifier, exp.Identifier)
            and not identifier.quoted
            and len(node.parts) == 1
        ):
            if identifier.name.lower() in ("current_user", "session_user"):
                return exp.Anonymous(this="current_user_name")
            if identifier.name.lower() == "current_role":
                return exp.Anonymous(this="current_role_name")
        if len(node.parts) != 1:
            raise error(
                ErrorCode.NOT_SUPPORTED,
                f"{what} may use top-level columns of its table only, not {node.sql()}",
                hint="write the column's bare name",
                position=_position(node),
            )
        field = fields.get(node.name.casefold())
        if field is None:
            raise error(
                ErrorCode.COLUMN_NOT_FOUND,
                f"{what} uses the column {node.name}, which the table does not have",
                hint="it has " + ", ".join(sorted(f["name"] for f in fields.values())[:20]),
                position=_position(node),
            )
        return exp.column(exp.to_identifier(f"#{field['id']}", quoted=True))

    return tree.transform(resolve)


class _Checker:
    """Finds the kind of every node, and refuses what is not on the list."""

    def __init__(self, kinds: Mapping[int, Kind], what: str) -> None:
        self._kinds = kinds
        self._what = what

    def kind(self, node: exp.Expr) -> Kind:
        """The node's kind; raises TYPE_MISMATCH or NOT_SUPPORTED."""
        special = _SPECIAL.get(type(node))
        if special is not None:
            return special(self, node)
        if type(node) in _RESULTS:
            accepted, result = _RESULTS[type(node)]
            for argument in node.iter_expressions():
                self._expect(argument, accepted)
            return result
        if isinstance(node, _COMPARISONS):
            return self._comparable(node, [node.this, node.expression])
        if isinstance(node, _SAME_KIND):
            return self._one_kind(node, list(node.iter_expressions()))
        raise error(
            ErrorCode.NOT_SUPPORTED,
            f"{self._what} cannot use {node.sql(dialect='duckdb')[:80]}",
            hint="subqueries, aggregates and functions that are not deterministic are not allowed",
            position=_position(node),
        )

    def _expect(self, node: exp.Expr, accepted: frozenset[Kind]) -> Kind:
        kind = self.kind(node)
        if kind not in accepted:
            wanted = " or ".join(sorted(accepted - {"null"}))
            raise error(
                ErrorCode.TYPE_MISMATCH,
                f"{self._what}: expected a {wanted}, found a {kind}",
                position=_position(node),
            )
        return kind

    def _comparable(self, node: exp.Expr, parts: list[exp.Expr]) -> Kind:
        kinds = [(self.kind(part), part) for part in parts]
        first, literal = kinds[0]
        for kind, part in kinds[1:]:
            if not _compares(first, kind, literal, part):
                raise error(
                    ErrorCode.TYPE_MISMATCH,
                    f"{self._what}: cannot compare a {first} with a {kind}",
                    hint="write the literal in the column's type, as in DATE '2024-01-31'",
                    position=_position(part) or _position(node),
                )
        return "boolean"

    def _one_kind(self, node: exp.Expr, parts: list[exp.Expr]) -> Kind:
        kinds = {self.kind(part) for part in parts} - {"null"}
        if len(kinds) > 1:
            raise error(
                ErrorCode.TYPE_MISMATCH,
                f"{self._what}: {' and '.join(sorted(kinds))} in one place",
                position=_position(node),
            )
        return kinds.pop() if kinds else "null"

    def column(self, node: exp.Expr) -> Kind:
        """A bound column's kind."""
        assert isinstance(node, exp.Column)
        return self._kinds[_field_id(node)]

    def literal(self, node: exp.Expr) -> Kind:
        """A string or a number."""
        return "string" if isinstance(node, exp.Literal) and node.is_string else "number"

    def cast(self, node: exp.Expr) -> Kind:
        """CAST where it cannot fail on a value: of a literal, or to text; TRY_CAST everywhere."""
        inner = node.this
        target = _data_kind(node.args["to"])
        self.kind(inner)
        fails = isinstance(node, exp.Cast) and not isinstance(node, exp.TryCast)
        if target == "other" or (fails and target != "string" and not _is_literal(inner)):
            raise error(
                ErrorCode.NOT_SUPPORTED,
                f"{self._what} cannot use {node.sql(dialect='duckdb')[:80]}",
                hint="use TRY_CAST to a simple type: CAST fails on values that do not fit",
            )
        return target

    def included(self, node: exp.Expr) -> Kind:
        """`x IN (literals)`."""
        if {key for key, value in node.args.items() if value} - {"this", "expressions"}:
            return self._refuse(node, "write the values of IN as a list: the list is fixed")
        return self._comparable(node, [node.this, *node.expressions])

    def between(self, node: exp.Expr) -> Kind:
        """`x BETWEEN low AND high`."""
        return self._comparable(node, [node.this, node.args["low"], node.args["high"]])

    def case(self, node: exp.Expr) -> Kind:
        """CASE and IF; the results have one kind."""
        branches = node.args.get("ifs") or [node]
        subject = node.this if isinstance(node, exp.Case) else None
        results = []
        for branch in branches:
            if subject is not None:
                self._comparable(node, [subject, branch.this])
            else:
                self._expect(branch.this, frozenset({"boolean", "null"}))
            results.append(branch.args["true"])
        default = node.args.get("default") if isinstance(node, exp.Case) else node.args.get("false")
        return self._one_kind(node, results + ([default] if default is not None else []))

    def escape(self, node: exp.Expr) -> Kind:
        """LIKE … ESCAPE 'c'."""
        if not isinstance(node.this, exp.Like | exp.ILike) or len(node.expression.name) != 1:
            return self._refuse(node, "ESCAPE takes one character after LIKE")
        return self.kind(node.this)

    def matches(self, node: exp.Expr) -> Kind:
        """A regular expression; the pattern is a literal, so that it cannot fail on a value."""
        self._expect(node.this, _STRING)
        pattern = node.expression
        if not (isinstance(pattern, exp.Literal) and pattern.is_string) or node.args.get("flag"):
            return self._refuse(node, "the pattern must be a literal")
        try:
            re.compile(pattern.name)
        except re.error:
            return self._refuse(node, "the pattern is not a regular expression")
        return "boolean"

    def extract(self, node: exp.Expr) -> Kind:
        """EXTRACT(unit FROM moment)."""
        if node.name.upper() not in _UNITS:
            return self._refuse(node, "use " + ", ".join(sorted(_UNITS)))
        self._expect(node.expression, _MOMENT)
        return "number"

    def truncate(self, node: exp.Expr) -> Kind:
        """DATE_TRUNC('unit', moment)."""
        unit = node.args.get("unit")
        if unit is None or unit.name.upper() not in _UNITS or node.args.get("zone"):
            return self._refuse(node, "use " + ", ".join(sorted(_UNITS)))
        return self._expect(node.this, _MOMENT)

    def caller(self, node: exp.Expr) -> Kind:
        """The functions about the caller; no other function without a type is allowed."""
        assert isinstance(node, exp.Anonymous)
        function = node.name.lower()
        if function in ("current_user_name", "current_role_name") and not node.expressions:
            return "string"
        arguments = node.expressions
        if function == "has_role" and len(arguments) == 1 and isinstance(arguments[0], exp.Literal):
            return "boolean"
        return self._refuse(node, f"the function {node.name} is not on the list for policies")

    def paren(self, node: exp.Expr) -> Kind:
        """Brackets."""
        return self.kind(node.this)

    def _refuse(self, node: exp.Expr, hint: str) -> Kind:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            f"{self._what} cannot use {node.sql(dialect='duckdb')[:80]}",
            hint=hint,
            position=_position(node),
        )


_SPECIAL: dict[type[exp.Expr], Callable[[_Checker, exp.Expr], Kind]] = {
    exp.Column: _Checker.column,
    exp.Literal: _Checker.literal,
    exp.Boolean: lambda _checker, _node: "boolean",
    exp.Null: lambda _checker, _node: "null",
    exp.Paren: _Checker.paren,
    exp.Cast: _Checker.cast,
    exp.TryCast: _Checker.cast,
    exp.In: _Checker.included,
    exp.Between: _Checker.between,
    exp.Case: _Checker.case,
    exp.If: _Checker.case,
    exp.Escape: _Checker.escape,
    exp.RegexpLike: _Checker.matches,
    exp.Extract: _Checker.extract,
    exp.DateTrunc: _Checker.truncate,
    exp.TimestampTrunc: _Checker.truncate,
    exp.Anonymous: _Checker.caller,
}


def _compares(left: Kind, right: Kind, left_node: exp.Expr, right_node: exp.Expr) -> bool:
    if "null" in (left, right):
        return True
    if left == right:
        return left != "other"
    if {left, right} == {"date", "timestamp"}:
        return True
    # An engine reads a string literal in the type that it is compared with.
    flexible = {"date", "timestamp", "time", "uuid"}
    return (left in flexible and right == "string" and _is_literal(right_node)) or (
        right in flexible and left == "string" and _is_literal(left_node)
    )


def _is_literal(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal | exp.Boolean | exp.Null)


def _data_kind(to: exp.DataType) -> Kind:
    name = to.this.name if isinstance(to.this, exp.DType) else ""
    if to.is_type(*exp.DataType.TEXT_TYPES):
        return "string"
    if to.is_type(*exp.DataType.NUMERIC_TYPES):
        return "number"
    return {"BOOLEAN": "boolean", "DATE": "date", "TIME": "time", "UUID": "uuid"}.get(
        name, "timestamp" if name.startswith("TIMESTAMP") else "other"
    )


def _position(node: exp.Expr) -> Position | None:
    for found in node.find_all(exp.Identifier):
        line, column = found.meta.get("line"), found.meta.get("col")
        if line is not None and column is not None:
            return Position(line, max(1, column - len(found.name) + 1))
    return None
