"""Plans made to suit Sail: what it would answer under other names than Spark, said differently.

A staged plan is changed in place, right before Sail gets it; Spark gets plans as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlglot import exp

from headwater.errors import HeadwaterError
from headwater.gateway.spark_connect.failures import of_spark_alone
from headwater.gateway.spark_connect.mending import Mender, Types, kinds_of, reach_of, stripped
from headwater.gateway.spark_connect.mending_text import ExpressionMender, Relation, TextMender
from headwater.gateway.spark_connect.naming import is_named_otherwise, other_name, spark_name
from headwater.gateway.spark_connect.operands import DoubtError, Kind, Reach
from headwater.gateway.spark_connect.plans.inside import inside_of
from headwater.gateway.spark_connect.plans.sql_text import (
    emit,
    is_query,
    parse_expression,
    parse_statement,
)
from headwater.gateway.spark_connect.protocol import messages
from headwater.gateway.spark_connect.trees import tree_of


def suit(plans: Sequence[Any], views: Sequence[Any], backend: Any) -> None:
    """Changes plans in place; raises UNSUPPORTED_FEATURE, as of Sail, where that is not enough.

    `views` are the commands that made what the plans read beside themselves.
    """
    try:
        _suit(plans, views, backend)
    except DoubtError as doubt:
        raise of_spark_alone(str(doubt)) from doubt


def _suit(plans: Sequence[Any], views: Sequence[Any], backend: Any) -> None:
    pb = messages()

    def types(relation: Any) -> Sequence[Kind]:
        request = pb.AnalyzePlanRequest()
        request.schema.plan.root.CopyFrom(relation)
        request.schema.plan.root.common.plan_id = 0
        answer = backend.unary("AnalyzePlan", request, pb.AnalyzePlanResponse)
        return kinds_of(answer.schema.schema)

    reach = reach_of([*plans, *views])

    def texts(column: Any, source: Any, named: bool) -> bool:
        inner = column.alias.expr if column.WhichOneof("expr_type") == "alias" else column
        if inner.WhichOneof("expr_type") != "expression_string":
            return False
        text = inner.expression_string
        tree = exp.Select(expressions=[parse_expression(text.expression)])
        item = tree.expressions[0]
        if not (named and inner is column) and not isinstance(item, exp.Alias | exp.Aliases):
            # A name that nobody sees, so that none is looked for.
            item.replace(exp.Alias(this=item.copy(), alias=exp.to_identifier("hw_unseen")))
        mender = ExpressionMender(types, reach, lambda _text: None, {}, source)
        if mender.mend(tree):
            item = tree.expressions[0]
            seen = named and inner is column
            text.expression = emit(item if seen or isinstance(item, exp.Aliases) else item.this)
        return True

    mender = Mender(types, reach, texts)
    for found, around in reversed(list(_relations(plans))):
        kind = found.WhichOneof("rel_type")
        if kind == "sql":
            _suit_text(found.sql, types, reach, _place_of(found, around))
            continue
        mender.relation(found)
        if kind == "project":
            _name(found.project.expressions)
        elif kind == "aggregate" and not found.aggregate.HasField("pivot"):
            _name(found.aggregate.aggregate_expressions)


def _relations(plans: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """The relations of plans, each with what gives names to its text; inputs come later."""
    waiting = [(plan, None) for plan in plans]
    while waiting:
        found, around = waiting.pop()
        if found.DESCRIPTOR.name == "Relation":
            yield found, around
            if found.WhichOneof("rel_type") == "with_relations":
                waiting.append((found.with_relations.root, found))
                waiting += [(each, around) for each in found.with_relations.references]
                continue
        waiting += [(each, around) for each in inside_of(found)]


def _place_of(relation: Any, around: Any) -> Relation:
    """Makes relations of other texts in the place of one."""

    def made(text: str) -> Any:
        inner = stripped(relation if around is None else around)
        (inner if around is None else inner.with_relations.root).sql.query = text
        return inner

    return made


def _name(columns: Any) -> None:
    """Gives columns the aliases that Spark names them by."""
    for column in columns:
        if column.WhichOneof("expr_type") in ("alias", "unresolved_attribute", "unresolved_star"):
            continue
        tree = tree_of(column)
        name = None if tree is None else other_name(tree)
        if name is None:
            continue
        inner = type(column)()
        inner.CopyFrom(column)
        column.Clear()
        column.alias.expr.CopyFrom(inner)
        column.alias.name.append(name)


def _suit_text(sql: Any, types: Types, reach: Reach, relation: Relation) -> None:
    try:
        tree = parse_statement(sql.query)
    except HeadwaterError:
        return
    if not is_query(tree):
        return
    for constant in [*sql.args.values(), *(each.literal for each in sql.named_arguments.values())]:
        if constant.HasField("decimal"):
            _size_decimal(constant.decimal)
    given = _given(sql)
    changed = TextMender(types, reach, relation, given).mend(tree)
    for query in list(tree.find_all(exp.Select)):
        for item in list(query.expressions):
            if not is_named_otherwise(item):
                continue
            name = spark_name(item, given)
            if name is not None:
                alias = exp.to_identifier(name, quoted=True)
                item.replace(exp.Alias(this=item.copy(), alias=alias))
                changed = True
            elif item.find(exp.Placeholder) is not None:
                raise DoubtError("a column's name tells the value of a parameter")
    if changed:
        sql.query = emit(tree)


def _size_decimal(constant: Any) -> None:
    """A parameter has the digits of its value, whatever the client says."""
    try:
        told = Decimal(constant.value).as_tuple()
    except InvalidOperation:
        return  # the engine's to complain of
    if isinstance(told.exponent, int) and told.exponent <= 0:
        constant.scale = -told.exponent
        constant.precision = max(len(told.digits), constant.scale)


def _given(sql: Any) -> dict[str, str]:
    """What Spark calls the constants in the place of parameters, where that is known."""
    constants = dict(sql.named_arguments.items())
    for name, literal in sql.args.items():
        constants[name] = messages().Expression(literal=literal)
    trees = {name: tree_of(each) for name, each in constants.items()}
    names = {name: spark_name(tree) for name, tree in trees.items() if tree is not None}
    return {name: told for name, told in names.items() if told is not None}
