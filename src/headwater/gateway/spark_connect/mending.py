"""Plans whose values and types Sail would make otherwise than Spark, said so that it does not.

What an expression's operands are, Sail is asked; where its answer would differ, casts are put in,
and where no cast helps, the operation is Spark's. A staged plan is changed in place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from headwater.gateway.spark_connect.failures import SparkFailure
from headwater.gateway.spark_connect.naming import spark_name
from headwater.gateway.spark_connect.operands import (
    ASKED,
    COMPARISONS,
    QUOTIENTS,
    SAME_AS_COALESCE,
    TO_DECIMAL,
    TO_STRING,
    DoubtError,
    Kind,
    Reach,
    casts,
    kind_of,
    matters,
    places,
)
from headwater.gateway.spark_connect.plans.inside import inside_of
from headwater.gateway.spark_connect.protocol import messages
from headwater.gateway.spark_connect.trees import tree_of

Types = Callable[[Any], Sequence[Kind]]
"""Asks for the types of a relation's columns; raises SparkFailure."""

DATES = frozenset({"datediff", "date_diff"})
AT_ONCE = DATES | {"date_trunc", "array_contains", "array_join", "isnan", "timestamp"}
"""What is said differently whatever its operands are."""

_FRACTION = re.compile(r"\.\d|\dbd\b")
_DECIMAL = re.compile(r"\s*(?:dec|decimal|numeric)\b", re.IGNORECASE)
_INTEGERS = ("byte", "short", "integer", "long")
_ELEMENT = "hw_element"


def reach_of(plans: Sequence[Any]) -> Reach:
    """What types plans may meet: those that they name, and any where only files tell."""
    seen: set[str] = set()
    texts: list[str] = []
    for each in _all(plans):
        kind = each.DESCRIPTOR.name
        seen.add(kind)
        if kind in ("DataSource", "LocalRelation") and not each.schema:
            return Reach(True, True, True)
        texts += [value for _, value in each.ListFields() if isinstance(value, str)]
    text = "\n".join(texts).lower()
    return Reach(
        decimal="Decimal" in seen or "decimal" in text or _FRACTION.search(text) is not None,
        single="Float" in seen or "float" in text,
        date="Date" in seen or "date" in text,
    )


def _all(plans: Sequence[Any]) -> Iterator[Any]:
    waiting = list(plans)
    while waiting:
        found = waiting.pop()
        yield found
        waiting += inside_of(found)


@dataclass(slots=True)
class _Call:
    """A call of a function in a plan: the expression that it is, and how many calls are in it."""

    expression: Any
    function: str
    arguments: Any
    height: int = 0
    decides: bool = False

    def literals(self) -> list[int | None]:
        if self.function == "round":
            return [_integer(each) for each in self.arguments[1:]] or [0]
        return [_integer(self.arguments[place]) for place in self.places()]

    def places(self) -> list[int]:
        return places(self.function, len(self.arguments))


def _divides(message: Any) -> bool:
    """True for a lambda with a quotient in it."""
    return message.DESCRIPTOR.name == "LambdaFunction" and any(
        each.DESCRIPTOR.name == "UnresolvedFunction" and each.function_name in QUOTIENTS
        for each in _all([message])
    )


def _integer(expression: Any) -> int | None:
    if expression.WhichOneof("expr_type") != "literal":
        return None
    kind = expression.literal.WhichOneof("literal_type")
    return int(getattr(expression.literal, kind)) if kind in _INTEGERS else None


@dataclass(slots=True)
class Mender:
    """Mends the relations of a plan; `types` asks Sail.

    `texts` mends a column that is a text, over a relation; False for any other.
    """

    types: Types
    reach: Reach
    texts: Callable[[Any, Any, bool], bool]

    def relation(self, relation: Any) -> None:
        """Mends one relation, whose inputs are mended; raises DoubtError."""
        kind = relation.WhichOneof("rel_type")
        node: Any = getattr(relation, kind) if kind else None
        match kind:
            case "set_op":
                self._same_types(node)
            case "project":
                self._columns(node, node.expressions, named=True)
            case "with_columns":
                self._columns(node, [each.expr for each in node.aliases])
            case "filter":
                self._columns(node, [node.condition], decides=True)
            case "sort":
                self._columns(node, [each.child for each in node.order])
            case "aggregate":
                self._columns(node, node.grouping_expressions, named=True)
                pivots = node.HasField("pivot")
                self._columns(node, node.aggregate_expressions, named=not pivots)

    def _same_types(self, node: Any) -> None:
        sides = [node.left_input, node.right_input]
        found = [self._known(side) for side in sides]
        if None in found or found[0] != found[1]:
            raise DoubtError("a set operation of several types")

    def _known(self, relation: Any) -> list[Kind] | None:
        try:
            return list(self.types(stripped(relation)))
        except SparkFailure:
            return None

    def _columns(
        self, node: Any, columns: Sequence[Any], *, named: bool = False, decides: bool = False
    ) -> None:
        for column in columns:
            if self.texts(column, node.input, named):
                continue
            calls = _calls(column, decides=decides)
            if self.reach.decimal and any(_divides(each) for each in _all([column])):
                raise DoubtError("a quotient in a lambda")
            if not calls:
                continue
            name = None
            if named and column.WhichOneof("expr_type") != "alias":
                tree = tree_of(column)
                name = None if tree is None else spark_name(tree)
            changed = self._mend(node, calls)
            if not changed or not named or column.WhichOneof("expr_type") == "alias":
                continue
            if name is None:
                raise DoubtError("a column's name is not known")
            wrapped(column, lambda inner: inner.alias).alias.name.append(name)

    def _mend(self, node: Any, calls: list[_Call]) -> bool:
        changed = False
        for height in sorted({call.height for call in calls}):
            level = [call for call in calls if call.height == height]
            asked = [
                call
                for call in level
                if call.function in ASKED and matters(call.function, call.literals(), self.reach)
            ]
            for call, kinds in zip(asked, self._kinds(node, asked), strict=True):
                changed |= kinds is not None and _cast(call, kinds)
            for call in level:
                changed |= call.function in AT_ONCE and _said_otherwise(call)
        return changed

    def _kinds(self, node: Any, calls: list[_Call]) -> list[list[Kind] | None]:
        """The types of each call's operands; None where nobody knows and it hardly matters."""
        if not calls:
            return []
        found = self._asked(node, calls)
        if found is None:
            alone = [self._asked(node, [call]) for call in calls]
            if None in alone and self.reach.numbers:
                raise DoubtError("types of operands that Sail does not tell")
            return [None if each is None else each[0] for each in alone]
        return [*found]

    def _asked(self, node: Any, calls: list[_Call]) -> list[list[Kind]] | None:
        relation = messages().Relation(common=messages().RelationCommon(plan_id=0))
        relation.project.input.CopyFrom(stripped(node.input))
        count = 0
        for call in calls:
            for place in call.places():
                column = relation.project.expressions.add()
                column.alias.expr.CopyFrom(call.arguments[place])
                column.alias.name.append(f"c{count}")
                count += 1
        try:
            kinds = list(self.types(relation))
        except SparkFailure:
            return None
        if len(kinds) != count:
            return None
        told = iter(kinds)
        return [[next(told) for _ in call.places()] for call in calls]


def stripped(relation: Any) -> Any:
    """A copy of a relation without the rows that it brings along, where their types are told."""
    made = _copy(relation)
    for each in _all([made]):
        if each.DESCRIPTOR.name == "LocalRelation" and each.schema:
            each.ClearField("data")
    return made


def _copy(message: Any) -> Any:
    made = type(message)()
    made.CopyFrom(message)
    return made


def wrapped(expression: Any, into: Callable[[Any], Any]) -> Any:
    """Puts an expression into another one of a kind that has an `expr`; the expression itself."""
    inner = _copy(expression)
    expression.Clear()
    into(expression).expr.CopyFrom(inner)
    return expression


def _cast_to(expression: Any, kind: str) -> None:
    wrapped(expression, lambda found: found.cast).cast.type_str = kind


def _cast(call: _Call, kinds: Sequence[Kind]) -> bool:
    operands, result = casts(call.function, kinds, call.literals())
    for place, kind in zip(call.places(), operands, strict=True):
        if kind is not None:
            _cast_to(call.arguments[place], kind)
    renamed = call.function in SAME_AS_COALESCE
    if renamed:
        chosen = _copy(call.expression)
        chosen.Clear()
        chosen.unresolved_function.function_name = "coalesce"
        chosen.unresolved_function.arguments.extend(call.arguments)
        call.expression.CopyFrom(chosen)
    if result is not None:
        _cast_to(call.expression, result)
    return renamed or result is not None or any(kind is not None for kind in operands)


def _said_otherwise(call: _Call) -> bool:
    count = len(call.arguments)
    if call.function in DATES and count == 2:
        _cast_to(call.expression, "INT")
    elif call.function == "date_trunc" and count == 2:
        _cast_to(call.arguments[1], "TIMESTAMP")
    elif call.function == "array_join" and count > 1:
        _as_strings(call.arguments[0])
    elif call.function == "timestamp" and count == 1:
        call.expression.CopyFrom(_copy(call.arguments[0]))
        _cast_to(call.expression, "TIMESTAMP")
    elif call.function == "isnan" and count == 1:
        known = _copy(call.expression)  # of NULL it is FALSE
        call.expression.Clear()
        call.expression.unresolved_function.function_name = "coalesce"
        call.expression.unresolved_function.arguments.add().CopyFrom(known)
        call.expression.unresolved_function.arguments.add().literal.boolean = False
    elif call.function == "array_contains" and count == 2 and not call.decides:
        _contains(call)
    else:
        return False
    return True


def _as_strings(array: Any) -> None:
    """Each element of an array as a string: Sail casts whole arrays in other forms."""
    inner = _copy(array)
    array.Clear()
    called = array.unresolved_function
    called.function_name = "transform"
    called.arguments.add().CopyFrom(inner)
    made = called.arguments.add().lambda_function
    made.arguments.add().name_parts.append(_ELEMENT)
    made.function.cast.expr.unresolved_named_lambda_variable.name_parts.append(_ELEMENT)
    made.function.cast.type_str = "STRING"


def _contains(call: _Call) -> None:
    """NULL for an array without the value that holds NULL: `exists` of Sail knows that."""
    array, value = call.arguments
    if value.WhichOneof("expr_type") not in ("literal", "unresolved_attribute"):
        raise DoubtError("array_contains of a computed value")
    if value.literal.HasField("null"):
        raise DoubtError("array_contains of NULL")
    made = type(call.expression)()
    chosen = made.unresolved_function
    chosen.function_name = "when"
    missing = chosen.arguments.add().unresolved_function
    missing.function_name = "isnotnull"
    missing.arguments.add().CopyFrom(value)
    found = chosen.arguments.add().unresolved_function
    found.function_name = "exists"
    found.arguments.add().CopyFrom(array)
    held = found.arguments.add().lambda_function
    held.arguments.add().name_parts.append(_ELEMENT)
    same = held.function.unresolved_function
    same.function_name = "=="
    same.arguments.add().unresolved_named_lambda_variable.name_parts.append(_ELEMENT)
    same.arguments.add().CopyFrom(value)
    call.expression.CopyFrom(made)


def _calls(column: Any, *, decides: bool) -> list[_Call]:
    """The calls in a column that may be mended, each with the number of such calls inside it.

    `decides`: the column keeps rows or not, where FALSE and NULL are the same.
    """
    found: list[_Call] = []
    parents: list[int] = []
    waiting: list[tuple[Any, int, bool]] = [(column, -1, decides)]
    while waiting:
        expression, parent, decides = waiting.pop()
        kind = expression.WhichOneof("expr_type")
        if kind in ("lambda_function", "subquery_expression", None):
            continue
        name, arguments = _function(expression, kind)
        if name in ASKED or name in AT_ONCE:
            found.append(_Call(expression, name, arguments, decides=decides))
            parents.append(parent)
            parent = len(found) - 1
        decides = decides and name in ("and", "or")
        waiting += [(each, parent, decides) for each in _nearest(expression)]
    for place in reversed(range(len(found))):
        if parents[place] >= 0:
            above = found[parents[place]]
            above.height = max(above.height, found[place].height + 1)
    return found


def _function(expression: Any, kind: str) -> tuple[str, Any]:
    name, arguments = "", cast(Sequence[Any], ())
    if kind == "cast":
        return _target(expression.cast), [expression.cast.expr]
    if kind == "unresolved_function" and not (
        expression.unresolved_function.is_user_defined_function
    ):
        found = expression.unresolved_function
        name, arguments = found.function_name.lower(), found.arguments
    elif kind == "call_function":
        found = expression.call_function
        name, arguments = found.function_name.lower(), found.arguments
    if name in COMPARISONS and not any(each.literal.HasField("string") for each in arguments):
        return "", ()
    return name, arguments


def _target(found: Any) -> str:
    """What a cast makes, if that matters."""
    if found.type.HasField("decimal") or _DECIMAL.match(found.type_str):
        return TO_DECIMAL
    text = found.type.HasField("string") or found.type_str.strip().lower() == "string"
    return TO_STRING if text else ""


def _nearest(expression: Any) -> Iterator[Any]:
    """The expressions right inside an expression."""
    waiting = list(inside_of(expression))
    while waiting:
        found = waiting.pop()
        name = found.DESCRIPTOR.name
        if name == "Expression":
            yield found
        elif name not in ("Relation", "Literal"):
            waiting += inside_of(found)


def kinds_of(schema: Any) -> list[Kind]:
    """The kinds of the columns that an analysis told of."""
    return [kind_of(each.data_type) for each in schema.struct.fields]
