"""Functions and operators of each dialect compute in DuckDB what they compute at home."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest

from headwater.model.statement import Dialect
from unit.sql.lake import Lake

T, S, D = Dialect.TRINO, Dialect.SPARK, Dialect.DUCKDB
TOKYO = datetime.fromisoformat("2020-07-01T09:00")

VALUES: list[tuple[Dialect, str, object]] = [
    (T, "7 / 2", 3),
    (T, "-7 / 2", -3),
    (T, "9223372036854775807 / 1", 9223372036854775807),
    (T, "-7 % 3", -1),
    (T, "7 / 2e0", 3.5),
    (S, "7 / 2", 3.5),
    (S, "7 DIV 2", 3),
    (D, "7 / 2", 3.5),
    (D, "7 // 2", 3),
    (T, "TRY(1 / 0)", None),
    (T, "DECIMAL '1.50'", Decimal("1.50")),
    (T, "array[10, 20][1]", 10),
    (S, "array(10, 20)[1]", 20),
    (D, "[10, 20][1]", 10),
    (T, "element_at(array[1, 2], -1)", 2),
    (T, "slice(array[1, 2, 3, 4], 2, 2)", [2, 3]),
    (T, "slice(array[1, 2, 3, 4], -2, 2)", [3, 4]),
    (T, "cardinality(map(array['a'], array[1]))", 1),
    (T, "reverse(array[1, 2])", [2, 1]),
    (T, "filter(array[1, 2, 3], x -> x > 1)", [2, 3]),
    (T, "reduce(array[1, 2, 3], 0, (s, x) -> s + x, s -> s)", 6),
    (T, "any_match(array[1, 2], x -> x = 2)", True),
    (T, "all_match(array[1, 2], x -> x = 2)", False),
    (T, "zip_with(array[1], array[2], (x, y) -> x + y)", [3]),
    (T, "map_filter(map(array['a', 'b'], array[1, 2]), (k, v) -> v > 1)", {"b": 2}),
    (T, "transform_values(map(array['a'], array[1]), (k, v) -> v + 1)", {"a": 2}),
    (T, "sequence(3, 1)", [3, 2, 1]),
    (T, "sequence(date '2020-01-01', date '2020-01-02')", [date(2020, 1, 1), date(2020, 1, 2)]),
    (T, "date '2020-01-31' + interval '1' month", date(2020, 2, 29)),
    (T, "date_add('month', 1, date '2020-01-31')", date(2020, 2, 29)),
    (T, "date_trunc('month', date '2020-02-03')", date(2020, 2, 1)),
    (T, "date_diff('hour', timestamp '2020-01-01 00:30:00', timestamp '2020-01-01 01:15:00')", 0),
    (T, "date_diff('day', date '2020-01-01', date '2020-02-01')", 31),
    (T, "extract(dow FROM date '2020-01-05')", 7),
    (T, "day_of_week(date '2020-01-05')", 7),
    (S, "dayofweek(date '2020-01-05')", 1),
    (T, "date_format(timestamp '2020-01-02 03:04:05', '%Y-%m-%d %H:%i:%s')", "2020-01-02 03:04:05"),
    (T, "format_datetime(timestamp '2020-01-02 03:04:05', 'yyyy-MM-dd HH:mm')", "2020-01-02 03:04"),
    (T, "date_parse('2020-01-02', '%Y-%m-%d')", datetime.fromisoformat('2020-01-02')),
    (T, "timestamp '2020-07-01 00:00:00' AT TIME ZONE 'Asia/Tokyo'", TOKYO),
    (S, "trunc(date '2020-01-22', 'MM')", date(2020, 1, 1)),
    (T, "regexp_replace('abc', '(b)', '[$1]')", "a[b]c"),
    (T, "regexp_replace('a.c', '\\.', '')", "ac"),
    (T, "split_to_map('a=1,b=2', ',', '=')", {"a": "1", "b": "2"}),
    (T, "concat('a', 'b', 'c')", "abc"),
    (T, "'a' || NULL", None),
    (T, "greatest(1, NULL)", None),
    (T, "json_extract_scalar('{\"a\": \"x\"}', '$.a')", "x"),
    (T, "json_array_contains('[1, 2]', 2)", True),
    (T, "width_bucket(5.0, 0.0, 10.0, 5)", 3),
    (T, "to_base(255, 16)", "ff"),
    (T, "current_user", "alice"),
    (T, "cast(row(1, 'a') AS row(x bigint, y varchar)).y", "a"),
    (T, "1 IS DISTINCT FROM NULL", True),
    (S, "exists(array(1, 2), x -> x > 1)", True),
    (S, "pmod(-1, 3)", 2),
    (S, "get_json_object('{\"a\": 1}', '$.a')", "1"),
    (D, "list_transform([1, 2], LAMBDA q : q + 1)", [2, 3]),
]  # fmt: skip

AGGREGATES: list[tuple[Dialect, str, object]] = [
    (T, "sum(id)", 55),
    (T, "sum(id) FILTER (WHERE id > 9)", 10),
    (T, "count_if(id > 5)", 5),
    (T, "approx_distinct(region)", 2),
    (T, "map_agg(region, 1) FILTER (WHERE id < 3)", {"US": 1, "EU": 1}),
    (T, "array_agg(id ORDER BY id DESC) FILTER (WHERE id < 3)", [2, 1]),
    (T, "listagg(name, ',') WITHIN GROUP (ORDER BY id)", "n1,n2,n3,n4,n5,n6,n7,n8,n9,n10"),
    (T, "max_by(name, id)", "n10"),
    (T, "every(id > 0)", True),
    (S, "count(DISTINCT region)", 2),
]


@pytest.mark.parametrize(("dialect", "text", "expected"), VALUES)
def test_value(dialect: Dialect, text: str, expected: object) -> None:
    assert Lake().run(f"SELECT {text} AS v", dialect) == [(expected,)]


@pytest.mark.parametrize(("dialect", "text", "expected"), AGGREGATES)
def test_aggregate(dialect: Dialect, text: str, expected: object) -> None:
    assert Lake().run(f"SELECT {text} AS v FROM emp", dialect) == [(expected,)]


def test_sum_of_integers_is_bigint_in_windows_too() -> None:
    emitted = Lake().emit("SELECT sum(id) OVER (ORDER BY id) FROM emp")
    assert "CAST(SUM(" in emitted
    assert emitted.index("OVER") < emitted.index("AS BIGINT")
