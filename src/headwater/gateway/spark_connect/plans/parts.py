"""Steps that queries, commands and SQL statements share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlglot import exp

from headwater.errors import ErrorCode, error
from headwater.gateway.spark_connect.plans.model import Message, PlanContext, StagedPlan
from headwater.gateway.spark_connect.plans.names import Names
from headwater.gateway.spark_connect.plans.needs import depends_on_rows, needs_of
from headwater.gateway.spark_connect.plans.positions import by_name
from headwater.gateway.spark_connect.plans.reads import Filling, Reads
from headwater.gateway.spark_connect.plans.sql_text import emit, parse_statement
from headwater.gateway.spark_connect.plans.walk import Walk
from headwater.query.needs import EVERYTHING, Need
from headwater.sql.statements import Name


@dataclass(frozen=True, slots=True)
class Checked:
    """A relation that was walked: what it reads and what is left to put in.

    `root` is the relation, when it is one.
    """

    context: PlanContext
    fills: tuple[Callable[[Filling], None], ...]
    python: bool
    only_tables: bool
    tables: tuple[Name, ...]
    reads: Reads
    root: Message | None = None


def relation_plan(message: Message, context: PlanContext) -> Checked:
    """Checks a message; raises as `rewrite` does."""
    walk = Walk(context)
    walk.message(message, Names(context.session, context.views))
    if walk.python and context.sandbox == "none":
        raise error(
            ErrorCode.PERMISSION_DENIED,
            "Python of your own cannot run here: this machine has no sandbox for it",
            hint="`headwater doctor` says what is missing; SQL and DataFrames work",
        )
    return Checked(
        context,
        tuple(walk.fills),
        walk.python,
        walk.only_tables,
        tuple(walk.tables),
        walk.reads,
        message if message.DESCRIPTOR.name == "Relation" else None,
    )


def stage_relations(plan: Message, checked: Checked) -> StagedPlan:
    """Stages what a checked relation needs; `plan`, which holds it, is ready then.

    Of a message that is no relation, everything is needed.
    """
    needs = {}
    if checked.root is not None:
        needs = needs_of(checked.root, checked.reads, checked.context)
    return _filled(plan, (checked,), Filling(checked.context, needs))


def stage_columns(plan: Message, *checked: Checked) -> StagedPlan:
    """Stages the columns of what checked relations read, for a plan that is only analysed.

    With rows, where what there is to say of a plan depends on them.
    """
    eager = any(
        each.root is not None and depends_on_rows(each.root, each.reads) for each in checked
    )
    need = EVERYTHING if eager else Need(rows=False)
    return _filled(plan, checked, Filling(checked[0].context, default=need))


def _filled(plan: Message, checked: tuple[Checked, ...], filling: Filling) -> StagedPlan:
    for each in checked:
        for fill in each.fills:
            fill(filling)
    return StagedPlan(
        plan=plan,
        views=tuple(filling.views.items()),
        tables=tuple(filling.tables.values()),
        files=tuple(filling.files),
        python=any(each.python for each in checked),
    )


def constant_text(sql: Message) -> str | None:
    """The text of a SQL message with its parameters put in; None when one is no plain constant."""
    sql = by_name(sql)
    if not (sql.named_arguments or sql.args):
        text: str = sql.query
        return text
    given = {key: literal_tree(each) for key, each in sql.args.items()}
    given |= {
        key: literal_tree(each.literal)
        for key, each in sql.named_arguments.items()
        if _is_literal(each)
    }
    tree = parse_statement(sql.query)
    for place in list(tree.find_all(exp.Placeholder)):
        value = given.get(place.name)
        if value is None:
            return None
        place.replace(value.copy())
    return emit(tree)


def _is_literal(expression: Message) -> bool:
    return bool(expression.WhichOneof("expr_type") == "literal")


def literal_tree(literal: Message) -> exp.Expr | None:
    """A constant as a tree; None for kinds that SQL text cannot say exactly."""
    kind = literal.WhichOneof("literal_type")
    value: Any = None if kind is None else getattr(literal, kind)
    match kind:
        case "null":
            return exp.Null()
        case "boolean":
            return exp.Boolean(this=value)
        case "string":
            return exp.Literal.string(value)
        case "integer":
            return _number(value)
        case "byte" | "short" | "long":
            name = {"byte": "TINYINT", "short": "SMALLINT", "long": "BIGINT"}[kind]
            return exp.Cast(this=_number(value), to=exp.DataType.build(name, dialect="spark"))
        case "double":
            if value != value or value in (float("inf"), float("-inf")):
                return None
            text = exp.Literal.string(repr(value))
            return exp.Cast(this=text, to=exp.DataType.build("DOUBLE", dialect="spark"))
        case "decimal":
            size = Decimal(value.value).as_tuple()
            scale = value.scale if value.HasField("scale") else max(0, -int(size.exponent))
            precision = value.precision if value.HasField("precision") else len(size.digits)
            name = f"DECIMAL({max(precision, scale)},{scale})"
            to = exp.DataType.build(name, dialect="spark")
            return exp.Cast(this=exp.Literal.string(value.value), to=to)
    return None


def _number(value: int) -> exp.Expr:
    number = exp.Literal.number(abs(value))
    return number if value >= 0 else exp.Paren(this=exp.Neg(this=number))
