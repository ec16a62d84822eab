"""IDENTIFIER of constants gives what the same name written out gives, and nothing more."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.gateway.spark_connect.plans import Action, RewrittenPlan
from headwater.gateway.spark_connect.plans.identifiers import resolved, resolved_text
from headwater.gateway.spark_connect.plans.names import split_identifier
from headwater.gateway.spark_connect.protocol import messages
from unit.gateway.spark_connect.conftest import Client
from unit.gateway.spark_connect.test_redteam import outcome


def message(query: str, *places: Any, **named: Any) -> Any:
    """A `SQL` message with arguments."""
    made = messages().SQL(query=query)
    for value in places:
        _put(made.pos_arguments.add().literal, value)
    for name, value in named.items():
        _put(made.named_arguments[name].literal, value)
    return made


def _put(literal: Any, value: Any) -> None:
    setattr(literal, "string" if isinstance(value, str) else "integer", value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("select * from identifier('ns.t')", "select * from `ns`.`t`"),
        ("select * from IDENTIFIER ( 'ns' || '.' || 't' ) x", "select * from `ns`.`t` x"),
        ("select identifier(concat('a', '.b')), 1", "select `a`.`b`, 1"),
        ("select identifier(('a')) from t", "select `a` from t"),
        ('select identifier("a") from t', "select `a` from t"),
        ("select identifier('`a b`.`c``d`')", "select `a b`.`c``d`"),
        ("select identifier('abs')(-1)", "select abs(-1)"),
        ("drop table identifier(/* x */ 'ns.t')", "drop table `ns`.`t`"),
        ("select 'identifier(''a'')' -- identifier('b')", None),
        ("select `identifier`('a')", None),
        ("select x.identifier('a')", None),
        ("select identifier(upper('a'))", None),
        ("select identifier(a)", None),
        ("select identifier('a', 'b')", None),
        ("select identifier(:a)", None),
        ("select identifier('a' || b)", None),
    ],
)
def test_texts(text: str, told: str | None) -> None:
    assert resolved_text(text) == (text if told is None else told)


def test_arguments_that_names_were_made_of_are_gone() -> None:
    made = resolved(message("select identifier(:c), :b from identifier(:t)", c="x", b=1, t="n.t"))
    assert made.query == "select `x`, :b from `n`.`t`"
    assert list(made.named_arguments) == ["b"]
    again = resolved(message("select :t from identifier(:s || '.' || :t)", s="n", t="t"))
    assert again.query == "select :t from `n`.`t`"
    assert list(again.named_arguments) == ["t"]
    places = resolved(message("select ? from identifier(?) where a = ?", 1, "n.t", 3))
    assert places.query == "select ? from `n`.`t` where a = ?"
    assert [each.literal.integer for each in places.pos_arguments] == [1, 3]
    for refused in (message("select identifier(:c)", c=1), message("select identifier(?)")):
        assert resolved(refused) is refused


VALUES = [
    "ns.t",
    "hr.secret",
    "`hr`.`secret`",
    "`hr.secret`",
    "HR.secret",
    "spark_catalog.hr.secret",
    "lake.hr.secret",
    "other.hr.secret",
    "hr.secret.snapshots",
    "hr.`secret$snapshots`",
    "ns.t$files",
    "parquet.`/inbox/ns.t`",
    "text.`/etc/passwd`",
    "hw_0123456789",
    "system.runtime.queries",
    "global_temp.v",
    "a.b.c.d.e",
]


@pytest.mark.parametrize("value", VALUES)
def test_a_value_gives_what_the_name_gives(client: Client, value: str) -> None:
    name = ".".join("`" + part.replace("`", "``") + "`" for part in split_identifier(value))
    written = client.plan(lambda: client.spark.sql(f"select * from {name}"))
    expected = told(outcome(written, client), client)
    for text, arguments in (
        ("select * from identifier(:n)", {"n": value}),
        ("select * from identifier(:a || :b)", {"a": value[:4], "b": value[4:]}),
    ):
        plan = client.plan(partial(client.spark.sql, text, args=arguments))
        assert told(outcome(plan, client), client) == expected


def told(found: ErrorCode | RewrittenPlan, client: Client) -> Any:
    """The refusal, or what was read and is run."""
    names, client.stager.tables = list(client.stager.tables), []
    if isinstance(found, ErrorCode):
        return found
    return names, found.tables, found.action


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", ".", "ns.", ".t", "ns..t", "ns.t; select 1", "ns.t -- x", "ns.t /* x */"),
        *("ns.t)", "(select 1)", "ns.t, hr.secret", "ns.t t join hr.secret", "`ns", "ns`.`t"),
        *("'ns'.t", '"ns".t', "ns.t\0", "ns.t\nunion all", "java_method('a', 'b')"),
    ],
)
def test_what_is_no_name_is_refused(client: Client, value: str) -> None:
    for text in ("select * from identifier(:n)", "drop table identifier(:n)"):
        plan = client.plan(partial(client.spark.sql, text, args={"n": value}))
        assert outcome(plan, client) is ErrorCode.SYNTAX_ERROR
    assert client.stager.tables == []


def test_statements(client: Client) -> None:
    def statement(text: str, **arguments: str) -> str:
        rewritten = client.rewrite(lambda: client.spark.sql(text, args=arguments))
        assert rewritten.action is Action.STATEMENT
        assert rewritten.sql is not None
        return rewritten.sql.text

    made = statement("create table identifier(:n) (a int)", n="ns.n")
    assert made == "create table `ns`.`n` (a int)"
    assert statement("drop table identifier(:n)", n="ns.n") == "drop table `ns`.`n`"
    inserted = statement("insert into identifier(:n) select * from ns.t", n="ns.n")
    assert inserted == "insert into `ns`.`n` select * from ns.t"


def test_expressions(client: Client) -> None:
    frame = client.spark.range(1).selectExpr("identifier('i' || 'd') + 1")
    staged = client.staged(frame.collect)
    (found,) = staged.plan.root.project.expressions
    assert found.expression_string.expression == "`id` + 1"
    with pytest.raises(HeadwaterError) as refused:
        client.staged(client.spark.range(1).selectExpr("identifier(id)").collect)
    assert refused.value.code is ErrorCode.PERMISSION_DENIED
