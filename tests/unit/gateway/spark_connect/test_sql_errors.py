"""Errors of Sail and Spark as statements of the HTTP API tell them."""

from __future__ import annotations

import pytest

from headwater.errors import ErrorCode, Position
from headwater.gateway.spark_connect.failures import SparkFailure
from headwater.gateway.spark_connect.protocol import messages
from headwater.gateway.spark_connect.sql_errors import code_of, kept, place, told
from headwater.gateway.spark_connect.sql_runner import literal, with_constants

COLUMN = (
    "[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column, variable, or function parameter with name "
    "`nope` cannot be resolved. Did you mean one of the following? [`id`]. SQLSTATE: 42703; line 1 "
    "pos 7;\n'Project ['nope]\n+- Relation hw_5f3a"
)


def test_an_error_has_its_code_its_place_and_nothing_of_the_engine() -> None:
    failure = SparkFailure(COLUMN, error_class="UNRESOLVED_COLUMN.WITH_SUGGESTION")
    found = told(failure, "SELECT id,\n  nope FROM t")
    assert found.code is ErrorCode.COLUMN_NOT_FOUND
    assert found.position == Position(2, 3)
    assert found.message.endswith("[`id`].")
    assert found.message.startswith("A column")


def test_the_context_of_an_error_is_the_engines_text_and_is_left_out() -> None:
    failure = SparkFailure(
        "[DIVIDE_BY_ZERO] Division by zero. SQLSTATE: 22012\n\n== SQL (line 1, position 8) ==\n"
        "SELECT 1 / 0 FROM `hw_5f3a`\n       ^^^^^",
        error_class="DIVIDE_BY_ZERO",
    )
    found = told(failure, "SELECT 1/0 FROM t")
    assert (found.code, found.message) == (ErrorCode.DIVISION_BY_ZERO, "Division by zero.")
    assert found.position is None


@pytest.mark.parametrize(
    ("message", "text", "wanted"),
    [
        ("routine `foo` is unknown", "SELECT foo(1), foo(2)", None),
        ("routine `foo` is unknown", "SELECT foofoo(1), FOO(2)", Position(1, 19)),
        ("Syntax error at or near 'FORM'", "SELECT 1 FORM t", Position(1, 10)),
        ("column `t`.`nope` is unknown", "SELECT nope FROM t", Position(1, 8)),
        ('cannot resolve [Identifier("t"), Identifier("x")]', "SELECT t.x", Position(1, 10)),
        ("it failed", "SELECT it", None),
    ],
)
def test_a_place_is_told_where_it_is_certain(
    message: str, text: str, wanted: Position | None
) -> None:
    assert place(message, text) == wanted


def test_codes_by_class() -> None:
    java = ("org.apache.spark.sql.catalyst.parser.ParseException",)
    assert code_of(SparkFailure("x", java)) is ErrorCode.SYNTAX_ERROR
    parser = "invalid argument: found * at 24:25 expected '.', '(', or end of input"
    assert code_of(SparkFailure(parser)) is ErrorCode.SYNTAX_ERROR
    assert code_of(SparkFailure("x")) is ErrorCode.EVALUATION_FAILED
    canceled = SparkFailure("x", error_class="OPERATION_CANCELED")
    assert code_of(canceled) is ErrorCode.USER_CANCELED


def test_the_history_keeps_no_values() -> None:
    failure = SparkFailure(
        "[CAST_INVALID_INPUT] The value '4000-1111' is bad", error_class="CAST_INVALID_INPUT"
    )
    assert kept(failure, "sail") == "CAST_INVALID_INPUT of sail"


def test_parameters_become_literals() -> None:
    pb = messages()
    assert literal(None, pb).literal.WhichOneof("literal_type") == "null"
    assert literal(True, pb).literal.boolean is True
    assert literal(7, pb).literal.integer == 7
    assert literal(2**40, pb).literal.long == 2**40
    assert literal("x", pb).literal.string == "x"
    assert literal(1.5, pb).literal.double == 1.5
    for odd in ([1], {"a": 1}, 2**70):
        with pytest.raises(Exception, match="cannot go to Sail or Spark"):
            literal(odd, pb)


def test_parameters_stand_in_the_order_of_the_text() -> None:
    pb = messages()
    text = "SELECT ? AS a, '?' AS b FROM t WHERE c = ? -- ?"
    found = with_constants(text, ["it's ?", -5], pb)
    assert found == "SELECT 'it\\'s ?' AS a, '?' AS b FROM t WHERE c = (-5) -- ?"
    with pytest.raises(Exception, match="2 parameters, and 1 values"):
        with_constants(text, ["x"], pb)
