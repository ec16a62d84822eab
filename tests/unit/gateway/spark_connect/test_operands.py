"""What operands are cast to for Sail, so that its results are those of real Spark 4.1."""

from __future__ import annotations

import pytest

from headwater.gateway.spark_connect.operands import DoubtError, Kind, Reach, casts, matters

SMALL, LARGE = Kind("decimal", 10, 2), Kind("decimal", 38, 10)
INT, LONG, FLOAT, DOUBLE, DATE = map(Kind, ("int", "bigint", "float", "double", "date"))


@pytest.mark.parametrize(
    ("function", "kinds", "literals", "wanted"),
    [
        # Spark: decimal(10,2) / decimal(5,3) is a decimal(19,8), rounded.
        ("/", [SMALL, Kind("decimal", 5, 3)], [None, None], (["DECIMAL(13,5)", None], "(19,8)")),
        ("/", [SMALL, INT], [None, 3], (["DECIMAL(11,3)", "DECIMAL(1,0)"], "(14,6)")),
        ("/", [SMALL, INT], [None, None], (["DECIMAL(18,10)", "DECIMAL(10,0)"], "(21,13)")),
        ("/", [SMALL, DOUBLE], [None, None], ([None, None], None)),
        ("/", [SMALL, FLOAT], [None, None], ([None, "DOUBLE"], None)),
        ("/", [INT, INT], [None, None], ([None, None], None)),
        ("*", [SMALL, INT], [None, 2], ([None, "DECIMAL(1,0)"], None)),
        ("*", [SMALL, INT], [None, None], ([None, None], None)),
        ("+", [FLOAT, INT], [None, None], (["DOUBLE", None], None)),
        ("+", [FLOAT, FLOAT], [None, None], ([None, None], None)),
        ("coalesce", [SMALL, DOUBLE], [None, None], (["DOUBLE", None], None)),
        ("coalesce", [INT, LONG], [None, None], ([None, None], None)),
        ("when", [SMALL, INT], [None, 0], (["DECIMAL(12,2)", "DECIMAL(12,2)"], None)),
        ("when", [INT, LONG], [None, None], (["BIGINT", None], None)),
        ("when", [SMALL, Kind("void")], [None, None], ([None, None], None)),
        ("round", [SMALL], [1], ([None], "(10,1)")),
        ("round", [DOUBLE], [1], ([None], None)),
    ],
)
def test_casts(
    function: str,
    kinds: list[Kind],
    literals: list[int | None],
    wanted: tuple[list[str | None], str | None],
) -> None:
    operands, result = wanted
    told = None if result is None else f"DECIMAL{result}"
    assert casts(function, kinds, literals) == (operands, told)


@pytest.mark.parametrize(
    ("function", "kinds"),
    [
        ("/", [LARGE, LARGE]),
        ("-", [DATE, DATE]),
        ("pmod", [SMALL, SMALL]),
        ("coalesce", [INT, Kind("string")]),
        ("nullif", [SMALL, DOUBLE]),
    ],
)
def test_what_no_cast_helps_with_is_in_doubt(function: str, kinds: list[Kind]) -> None:
    with pytest.raises(DoubtError):
        casts(function, kinds, [None] * len(kinds))


def test_sail_is_asked_only_where_types_matter() -> None:
    nothing, decimals = Reach(False, False, False), Reach(True, False, False)
    assert not matters("/", [None, None], nothing)
    assert matters("/", [None, None], decimals)
    assert not matters("+", [None, None], decimals)
    assert matters("+", [None, 1], decimals)
    assert not matters("coalesce", [None, 0], nothing)
    assert not matters("when", [1, 0], decimals)
    assert matters("-", [None, None], Reach(False, False, True))
