"""As `mending`, for the SQL text of a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from headwater.gateway.spark_connect.failures import SparkFailure
from headwater.gateway.spark_connect.mending import AT_ONCE, DATES, Types, stripped
from headwater.gateway.spark_connect.naming import spark_name
from headwater.gateway.spark_connect.operands import (
    ASKED,
    SAME_AS_COALESCE,
    TO_DECIMAL,
    TO_STRING,
    DoubtError,
    Kind,
    Reach,
    casts,
    matters,
    places,
)
from headwater.gateway.spark_connect.plans.sql_text import emit
from headwater.gateway.spark_connect.protocol import messages

Relation = Callable[[str], Any]
"""The relation that another text in the place of this one is."""

_OPERATORS: dict[type[exp.Expr], str] = {
    exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%",
}  # fmt: skip
_COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "==", exp.NEQ: "!=", exp.LT: "<", exp.GT: ">", exp.LTE: "<=", exp.GTE: ">=",
    exp.NullSafeEQ: "<=>",
}  # fmt: skip
_LEFT_OUT = (
    *("group", "having", "order", "limit", "offset", "distinct", "qualify", "where", "hint"),
    *("sort", "cluster", "distribute", "with_"),
)
"""Parts of a query that say nothing of the types of what it computes."""


@dataclass(slots=True)
class _Call:
    """A call or an operator in a text."""

    node: exp.Expr
    function: str
    height: int = 0

    def operands(self) -> list[exp.Expr]:
        """Those that the result's type comes from."""
        node = self.node
        match node:
            case exp.Case():
                found = [branch.args["true"] for branch in node.args["ifs"]]
                return found if node.args.get("default") is None else [*found, node.args["default"]]
            case exp.If():
                sides = (node.args.get("true"), node.args.get("false"))
                return [side for side in sides if side is not None]
            case exp.Binary():
                return [node.this, node.expression]
            case exp.Cast():
                return [node.this]
        given = node.expressions[:1] if self.function == "round" else node.expressions
        return [given[place] for place in places(self.function, len(given))]

    def literals(self) -> list[int | None]:
        if self.function == "round":
            return [_integer(each) for each in self.node.expressions[1:]] or [0]
        return [_integer(each) for each in self.operands()]


def _integer(node: exp.Expr) -> int | None:
    bare = node.unnest()
    number = bare.this if isinstance(bare, exp.Neg) else bare
    if isinstance(number, exp.Literal) and not number.is_string and number.name.isdigit():
        return int(number.name)
    return None


@dataclass(slots=True)
class TextMender:
    """Mends one text; `types` asks Sail, `relation` says of what."""

    types: Types
    reach: Reach
    relation: Relation
    given: dict[str, str]

    def mend(self, tree: exp.Expr) -> bool:
        """Changes a tree; True when it did. Raises DoubtError."""
        changed = False
        for query in reversed(list(tree.find_all(exp.Select))):
            changed |= self._query(query)
        for found in tree.find_all(exp.SetOperation):
            if not isinstance(found.parent, exp.SetOperation):
                self._same_types(found)
        return changed

    def _same_types(self, top: exp.SetOperation) -> None:
        told: list[list[Kind]] = []
        waiting: list[exp.Expr] = [top]
        while waiting:
            found = waiting.pop()
            if isinstance(found, exp.SetOperation):
                waiting += [found.expression, found.this]
                continue
            inner = found.unnest() if isinstance(found, exp.Subquery) else found
            source = exp.Subquery(this=inner.copy(), alias=exp.TableAlias(this="hw_part"))
            star = exp.Select(expressions=[exp.Star()]).from_(source)
            kinds = self._told(star, found)
            if kinds is not None:
                told.append(kinds)
            elif self.reach.numbers:
                raise DoubtError("a set operation of types that Sail does not tell")
        if any(kinds != told[0] for kinds in told):
            raise DoubtError("a set operation of several types")

    def _query(self, query: exp.Select) -> bool:
        calls = _calls(query)
        if self.reach.decimal and any(each.find(exp.Div) for each in query.find_all(exp.Lambda)):
            raise DoubtError("a quotient in a lambda")
        if not calls:
            return False
        unnamed, changed = self._name(query, calls)
        for height in sorted({call.height for call in calls}):
            level = [call for call in calls if call.height == height]
            asked = [
                call
                for call in level
                if call.function in ASKED
                and matters(call.function, call.literals(), self.reach)
                and not any(isinstance(each, exp.Interval) for each in call.operands())
            ]
            for call, kinds in zip(asked, self._kinds(query, asked), strict=True):
                mended = kinds is not None and _cast(call, kinds)
                changed |= self._noted(mended, call, unnamed)
            for call in level:
                mended = call.function in AT_ONCE and _said_otherwise(call)
                changed |= self._noted(mended, call, unnamed)
        return changed

    def _noted(self, mended: bool, call: _Call, unnamed: set[int]) -> bool:
        if mended and id(call) in unnamed:
            raise DoubtError("a column's name is not known")
        return mended

    def _name(self, query: exp.Select, calls: list[_Call]) -> tuple[set[int], bool]:
        """Names the columns that have calls in them; the calls in those that nobody can name.

        True when there were such columns.
        """
        unnamed: set[int] = set()
        changed = False
        for call in calls:
            item = call.node
            while item.parent is not query and item.parent is not None:
                item = item.parent
            if item.arg_key != "expressions" or isinstance(item, exp.Alias | exp.Aliases):
                continue
            name = spark_name(item, self.given)
            if name is None:
                unnamed.add(id(call))
                continue
            named = exp.Alias(this=exp.Null(), alias=exp.to_identifier(name, quoted=True))
            item.replace(named)
            named.set("this", item)
            changed = True
        return unnamed, changed

    def _kinds(self, query: exp.Select, calls: list[_Call]) -> list[list[Kind] | None]:
        if not calls:
            return []
        found = self._asked(query, calls)
        if found is not None:
            return [*found]
        alone = [self._asked(query, [call]) for call in calls]
        if None in alone and self.reach.numbers:
            raise DoubtError("types of operands that Sail does not tell")
        return [None if each is None else each[0] for each in alone]

    def _asked(self, query: exp.Select, calls: list[_Call]) -> list[list[Kind]] | None:
        operands = [each for call in calls for each in call.operands()]
        asked = query.copy()
        for part in _LEFT_OUT:
            asked.set(part, None)
        columns = [
            exp.Alias(this=each.copy(), alias=exp.to_identifier(f"c{place}"))
            for place, each in enumerate(operands)
        ]
        asked.set("expressions", columns)
        kinds = self._told(asked, query)
        if kinds is None or len(kinds) != len(operands):
            return None
        told = iter(kinds)
        return [[next(told) for _ in call.operands()] for call in calls]

    def _told(self, asked: exp.Select, place: exp.Expr) -> list[Kind] | None:
        """The types of a query's columns, as it were in the place of another one."""
        common: list[exp.Expr] = []
        recursive = False
        above: exp.Expr | None = place
        while above is not None:
            own = above.args.get("with_")
            if own is not None:
                common[:0] = [each.copy() for each in own.expressions]
                recursive |= bool(own.args.get("recursive"))
            above = above.parent
        if common:
            asked.set("with_", exp.With(expressions=common, recursive=recursive))
        try:
            return list(self.types(self.relation(emit(asked))))
        except SparkFailure:
            return None


@dataclass(slots=True)
class ExpressionMender(TextMender):
    """Mends the text of an expression, as the only column of a query, over `source`."""

    source: Any = None

    def _told(self, asked: exp.Select, place: exp.Expr) -> list[Kind] | None:
        relation = messages().Relation()
        relation.project.input.CopyFrom(stripped(self.source))
        for column in asked.expressions:
            made = relation.project.expressions.add()
            made.alias.expr.expression_string.expression = emit(column.this)
            made.alias.name.append(column.alias)
        try:
            return list(self.types(relation))
        except SparkFailure:
            return None


def _calls(query: exp.Select) -> list[_Call]:
    """The calls of a query's own that may be mended, those inside others lower."""
    found: list[_Call] = []
    for node in _own(query):
        name = _function(node)
        if name in ASKED or name in AT_ONCE:
            found.append(_Call(node, name))
    places_of = {id(call.node): call for call in found}
    for call in reversed(found):  # what is inside comes later
        above = call.node.parent
        while above is not None and above is not query:
            outer = places_of.get(id(above))
            if outer is not None:
                outer.height = max(outer.height, call.height + 1)
                break
            above = above.parent
    return found


def _own(query: exp.Select) -> Iterator[exp.Expr]:
    """The expressions of a query, outside in, without those of queries and lambdas inside it."""
    waiting: list[exp.Expr] = []
    for key, value in query.args.items():
        if key not in ("with_", "from_", "laterals", "hint"):
            waiting += _expressions(value)
    while waiting:
        found = waiting.pop(0)
        if isinstance(found, exp.Query | exp.Lambda | exp.Table):
            continue
        yield found
        for value in found.args.values():
            waiting += _expressions(value)


def _expressions(value: object) -> Sequence[exp.Expr]:
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, exp.Expr)]


def _function(node: exp.Expr) -> str:
    if isinstance(node, exp.Case):
        return "when"
    if isinstance(node, exp.If):
        return "" if isinstance(node.parent, exp.Case) else "if"
    if isinstance(node, exp.Anonymous):
        return str(node.name).lower()
    if isinstance(node, exp.Cast):
        if node.to.is_type(exp.DataType.Type.DECIMAL):
            return TO_DECIMAL
        return TO_STRING if node.to.is_type(*exp.DataType.TEXT_TYPES) else ""
    if type(node) in _COMPARISONS:
        strings = any(side.unnest().is_string for side in (node.this, node.expression))
        return _COMPARISONS[type(node)] if strings else ""
    return _OPERATORS.get(type(node), "")


def _cast_to(node: exp.Expr, kind: str) -> None:
    cast = exp.Cast(this=exp.Null(), to=exp.DataType.build(kind, dialect="spark"))
    node.replace(cast)
    cast.set("this", node)


def _cast(call: _Call, kinds: Sequence[Kind]) -> bool:
    operands, result = casts(call.function, kinds, call.literals())
    for operand, kind in zip(call.operands(), operands, strict=True):
        if kind is not None:
            _cast_to(operand, kind)
    renamed = call.function in SAME_AS_COALESCE
    if renamed:
        call.node.set("this", "coalesce")
    if result is not None:
        _cast_to(call.node, result)
    return renamed or result is not None or any(kind is not None for kind in operands)


def _said_otherwise(call: _Call) -> bool:
    node, count = call.node, len(call.node.expressions)
    if call.function in DATES and count == 2:
        _cast_to(node, "INT")
    elif call.function == "date_trunc" and count == 2:
        _cast_to(node.expressions[1], "TIMESTAMP")
    elif call.function == "array_join" and count > 1:
        _as_strings(node.expressions[0])
    elif call.function == "timestamp" and count == 1:
        inner = node.expressions[0]
        node.replace(inner)
        _cast_to(inner, "TIMESTAMP")
    elif call.function == "isnan" and count == 1:
        known = exp.Anonymous(this="coalesce", expressions=[exp.Null(), exp.Boolean(this=False)])
        node.replace(known)  # of NULL it is FALSE
        known.set("expressions", [node, exp.Boolean(this=False)])
    elif call.function == "array_contains" and count == 2 and not _decides(node):
        _contains(node)
    else:
        return False
    return True


def _as_strings(array: exp.Expr) -> None:
    """Each element of an array as a string: Sail casts whole arrays in other forms."""
    element = exp.to_identifier("hw_element")
    text = exp.Cast(this=element.copy(), to=exp.DataType.build("STRING", dialect="spark"))
    made = exp.Lambda(this=text, expressions=[element])
    array.replace(exp.Anonymous(this="transform", expressions=[array.copy(), made]))


def _decides(node: exp.Expr) -> bool:
    """True where FALSE and NULL are the same: a condition, or a part of one."""
    above = node.parent
    while isinstance(above, exp.And | exp.Or | exp.Paren):
        above = above.parent
    return isinstance(above, exp.Where | exp.Having)


def _contains(node: exp.Expr) -> None:
    """NULL for an array without the value that holds NULL: `exists` of Sail knows that."""
    array, value = node.expressions
    if not isinstance(value, exp.Literal | exp.Column | exp.Placeholder):
        raise DoubtError("array_contains of a computed value")
    element = exp.to_identifier("hw_element")
    same = exp.EQ(this=element.copy(), expression=value.copy())
    found = exp.Anonymous(
        this="exists", expressions=[array.copy(), exp.Lambda(this=same, expressions=[element])]
    )
    missing = exp.Not(this=exp.Is(this=value.copy(), expression=exp.Null()))
    node.replace(exp.Case(ifs=[exp.If(this=missing, true=found)]))
