# ruff: noqa: E501
"""Expressions and queries on edge values, each run on real Spark once and on our engine in CI.

A case is one text of Spark's SQL over the table `g`: its columns `a`, `b`, `c` and its rows.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

Rows = tuple[tuple[str | None, ...], ...]


@dataclass(frozen=True)
class Case:
    """A query over `g`, the types of its columns and its rows as literals to cast from.

    With `each`, the query is run on every row by itself, so that an error is that row's alone.
    """

    sql: str
    types: tuple[str, ...]
    rows: Rows
    each: bool = False

    @property
    def key(self) -> str:
        return f"{self.sql} | {', '.join(self.types)} | {zlib.crc32(repr(self.rows).encode()):08x}"


EDGES: dict[str, tuple[str | None, ...]] = {
    "BOOLEAN": ("true", "false", None),
    "INT": ("0", "1", "-1", "7", "-7", "2147483647", "-2147483648", None),
    "BIGINT": ("0", "3", "-3", "9223372036854775807", "-9223372036854775808", None),
    "DECIMAL(7,2)": ("0.00", "1.25", "-1.25", "99999.99", "-99999.99", "0.01", "3.00", None),
    "DECIMAL(15,4)": ("0.0000", "1.0005", "-3.0000", "12345678901.2345", None),
    "DECIMAL(38,6)": ("1.000001", "-7.500000", "12345678901234567890.123456", None),
    "DOUBLE": ("0", "-0.0", "1.5", "-2.5", "1e300", "NaN", "Infinity", "-Infinity", None),
    "FLOAT": ("0", "1.5", "-2.5", "NaN", None),
    "STRING": ("", "a", "A", "abc", "aé漢", " x ", "10", "-3", "1.5", "2024-02-29", "%_", None),
    "DATE": ("2024-02-29", "1970-01-01", "1999-12-31", "0001-01-01", "9998-11-30", None),
    "TIMESTAMP": (
        "2024-02-29 13:14:15.5",
        "1970-01-01 00:00:00",
        "1969-12-31 23:59:59.999999",
        None,
    ),
}
NUMBERS = ("INT", "BIGINT", "DECIMAL(7,2)", "DECIMAL(15,4)", "DOUBLE")
PLAIN = ("BOOLEAN", *NUMBERS, "STRING", "DATE", "TIMESTAMP")


def cases() -> list[Case]:
    """All cases, each once."""
    found: dict[str, Case] = {}
    for case in itertools.chain(_unary(), _binary(), _functions(), _aggregates(), _queries()):
        found.setdefault(case.key, case)
    return list(found.values())


def _rows(expression: str, *kinds: str, most: int = 80) -> Iterator[Case]:
    """The expression on the combinations of edge values, `most` of them."""
    combined = list(itertools.product(*(EDGES[kind] for kind in kinds)))
    step = -(-len(combined) // most)
    if step > 1 and len(EDGES[kinds[-1]]) % step == 0:
        step += 1  # else it would meet the same values of the last column only
    yield Case(f"SELECT {expression} AS r FROM g", kinds, tuple(combined[::step]), each=True)


def _unary() -> Iterator[Case]:
    for kind in PLAIN:
        for form in ("a", "a IS NULL", "a IS NOT NULL", "coalesce(a, a)", "nullif(a, a)",
                     "CASE WHEN a IS NULL THEN a ELSE a END", "a IN (a, NULL)", "a = a", "a <=> NULL",
                     "if(a IS NULL, a, a)", "nvl(a, a)", "ifnull(a, a)", "CASE a WHEN a THEN a END",
                     "a NOT IN (a)", "greatest(a, a)", "least(a, a)"):  # fmt: skip
            yield from _rows(form, kind)
    for kind in NUMBERS:
        for form in ("-a", "+a", "abs(a)", "a + 1", "a - 1", "a * 2", "a / 2", "a / 3", "a % 3", "a * 1.5",
                     "a + 0.5", "a / 0.5", "a / 0", "a % 0", "2 - a", "1 / a", "100 / a", "1.5 * a", "round(a)", "round(a, 1)",
                     "round(a, 2)", "round(a, -1)", "ceil(a)", "floor(a)", "sign(a)", "a > 0", "a >= 0.5",
                     "a < 1", "a <= 1.25", "a <> 0", "a BETWEEN 0 AND 10", "a IN (0, 1, 7)", "a IN (0, 1.5)",
                     "coalesce(a, 0)", "nullif(a, 0)", "sqrt(abs(a))", "CASE WHEN a > 0 THEN a ELSE 0 END",
                     "CASE WHEN a > 0 THEN a ELSE 0.0 END", "CASE WHEN a > 0 THEN a END", "CASE WHEN a > 0 THEN 1 ELSE 0 END",
                     "CASE WHEN a > 0 THEN a ELSE NULL END", "if(a > 0, a, 0)", "CAST(a AS DOUBLE)",
                     "CAST(a AS INT)", "CAST(a AS BIGINT)", "CAST(a AS DECIMAL(15,4))", "CAST(a AS DECIMAL(12,2))", "CAST(a AS DECIMAL(5,1))",
                     "CAST(a AS STRING)", "CAST(a AS BOOLEAN)", "try_cast(a AS INT)", "exp(a / 1e9)", "ln(a)", "power(a, 2)",
                     "power(2, 3) * a", "double(a)", "nvl2(a, a, a)", "CASE a WHEN 0 THEN NULL ELSE a END", "CASE a WHEN 0 THEN 0 ELSE a END",
                     "CASE a WHEN 1 THEN 2.5 ELSE a END", "CASE WHEN a = 1 THEN NULL ELSE a / 2 END", "CASE WHEN a = 1 THEN 'x' END",
                     "a BETWEEN (SELECT 0) AND (SELECT 10)", "a = (SELECT 7)", "(SELECT 7) > a", "CASE WHEN (SELECT 1) > 0 THEN a ELSE (SELECT 2) END", "a NOT BETWEEN 0 AND 7",
                     "CASE a WHEN 0 THEN NULL ELSE a / a END", "NOT (a > 0)", "a > 0 OR a < -1 AND a IS NOT NULL", "a > 1 - 2"):  # fmt: skip
            yield from _rows(form, kind)
    for form in ("NOT a", "a AND true", "a OR false", "a AND NULL", "a OR NULL", "CAST(a AS INT)", "CAST(a AS STRING)",
                 "CASE WHEN a THEN 1 ELSE 2 END", "CASE WHEN a THEN 'x' ELSE 'y' END", "CASE WHEN a THEN 'x' END"):  # fmt: skip
        yield from _rows(form, "BOOLEAN")


def _binary() -> Iterator[Case]:
    for left, right in itertools.product(NUMBERS, NUMBERS):
        for operator in ("+", "-", "*", "/", "%"):
            yield from _rows(f"a {operator} b", left, right, most=40)
        for operator in ("=", "<>", "<", ">=", "<=", ">", "<=>"):
            yield from _rows(f"a {operator} b", left, right, most=16)
        for form in ("coalesce(a, b)", "CASE WHEN a IS NULL THEN b ELSE a END", "a IN (b, 1)", "a BETWEEN b AND b",
                     "greatest(a, b)", "least(a, b)", "nullif(a, b)", "a BETWEEN 0 AND b", "a BETWEEN b AND 5"):  # fmt: skip
            yield from _rows(form, left, right, most=12)
    for left in ("DECIMAL(38,6)",):
        for right in NUMBERS:
            for operator in ("+", "-", "*", "/"):
                yield from _rows(f"a {operator} b", left, right, most=12)
    for left, right in (("INT", "INT"), ("BIGINT", "INT"), ("BIGINT", "BIGINT")):
        yield from _rows("a DIV b", left, right)
        yield from _rows("a & b", left, right, most=20)
        yield from _rows("a | b", left, right, most=20)
        yield from _rows("a ^ b", left, right, most=20)
    for kind in ("STRING", "DATE", "TIMESTAMP", "BOOLEAN"):
        for operator in ("=", "<>", "<", ">=", "<=", ">", "<=>"):
            yield from _rows(f"a {operator} b", kind, kind, most=60)
        for form in ("coalesce(a, b)", "CASE WHEN a > b THEN a ELSE b END", "nullif(a, b)", "greatest(a, b)", "least(a, b)",
                     "a IN (b, a)", "a BETWEEN b AND b", "CASE a WHEN b THEN 1 ELSE 2 END", "nvl(a, b)"):  # fmt: skip
            yield from _rows(form, kind, kind, most=30)
    for operator in ("AND", "OR"):
        yield from _rows(f"a {operator} b", "BOOLEAN", "BOOLEAN")
    for left, right in (("INT", "STRING"), ("DATE", "STRING"), ("STRING", "INT"), ("DECIMAL(7,2)", "STRING"),
                        ("DATE", "TIMESTAMP"), ("TIMESTAMP", "DATE")):  # fmt: skip
        for operator in ("=", "<", "<>", ">="):
            yield from _rows(f"a {operator} b", left, right, most=40)


def _functions() -> Iterator[Case]:
    one = ("upper(a)", "lower(a)", "length(a)", "char_length(a)", "trim(a)", "ltrim(a)", "rtrim(a)", "reverse(a)", "initcap(a)",
           "a || 'x'", "'x' || a", "concat(a, 'x')", "concat('x', a, a)", "concat(a, NULL)", "substring(a, 1, 2)", "substring(a, 2, 2)", "substr(a, 1, 2)",
           "substring(a, 0, 2)", "substring(a, -2, 2)", "substring(a, -5, 3)", "substring(a, 2)", "substring(a, 0)",
           "substring(a, 1, 0)", "substring(a, 1, -1)", "substring(a, 10, 2)", "left(a, 2)", "right(a, 2)", "left(a, 0)", "right(a, 0)", "left(a, -1)", "right(a, -1)",
           "a LIKE '%a%'", "a LIKE '_'", "a LIKE ''", "a LIKE '%'", "a LIKE 'a%'", "a LIKE '%c'", "a LIKE '\\\\%\\\\_'", "a LIKE '/%%' ESCAPE '/'", "a NOT LIKE '%a%'",
           "a LIKE '%b%c%'", "a = 'a'", "a IN ('a', 'b')", "a NOT IN ('a')", "a <> 'a'", "a <> ''", "a >= 'a'", "a < 'b'", "a <= 'b'", "a <=> 'a'", "'b' > a", "substr(a, 1, 5) = 'abc'", "substring(a, 1, 2) IN ('ab', 'a')", "a || ', ' || a", "coalesce(a, '') || coalesce(a, '')", "coalesce(upper(a), 'x')", "a > 'a'", "a BETWEEN 'a' AND 'b'", "replace(a, 'a', 'bb')", "replace(a, '', 'z')",
           "CAST(a AS INT)", "CAST(a AS BIGINT)", "CAST(a AS DOUBLE)", "CAST(a AS DECIMAL(10,2))", "CAST(a AS DATE)", "CAST(a AS BOOLEAN)", "CAST(a AS TIMESTAMP)", "CAST(a AS STRING)",
           "try_cast(a AS INT)", "try_cast(a AS DATE)", "instr(a, 'a')", "locate('a', a)", "position('a' IN a)", "repeat(a, 2)", "repeat(a, 0)", "repeat(a, -1)", "lpad(a, 4, 'x')", "rpad(a, 4, 'x')", "lpad(a, 1, 'x')", "rpad(a, 1, 'x')",
           "coalesce(a, '')", "nullif(a, '')", "CASE WHEN a = 'a' THEN 'x' ELSE a END", "CASE WHEN a = 'a' THEN NULL ELSE a END", "ascii(a)", "md5(a)", "sha2(a, 256)", "sha1(a)", "startswith(a, 'a')",
           "endswith(a, 'c')", "contains(a, 'b')", "concat_ws('-', a, 'x')", "concat_ws('-', a, NULL, 'x')", "translate(a, 'ab', 'x')", "split_part(a, 'b', 1)", "ucase(a)", "lcase(a)", "isnull(a)", "isnotnull(a)",
           "levenshtein(a, 'abd')", "bit_length(a)", "octet_length(a)", "hex(a)", "nvl2(a, 'x', 'y')", "greatest(a, 'b')", "least(a, 'b')", "ilike(a, '%A%')", "a ILIKE '%A%'", "base64(CAST(a AS BINARY))", "crc32(a)",
           "trim(BOTH ' ' FROM a)", "trim(LEADING ' ' FROM a)", "trim(TRAILING ' ' FROM a)", "btrim(a)", "substring_index(a, 'b', 1)", "substring_index(a, 'b', -1)", "chr(97) || a", "space(2) || a", "overlay(a PLACING 'zz' FROM 2)")  # fmt: skip
    for form in one:
        yield from _rows(form, "STRING")
    for form in (
        "substring(a, b, 2)",
        "substring(a, b)",
        "left(a, b)",
        "right(a, b)",
        "repeat(a, b % 4)",
    ):
        yield from _rows(form, "STRING", "INT", most=60)
    for form in (
        "a || b",
        "concat(a, b)",
        "instr(a, b)",
        "a LIKE b",
        "replace(a, b, 'z')",
        "startswith(a, b)",
        "contains(a, b)",
    ):
        yield from _rows(form, "STRING", "STRING", most=60)
    for kind in ("DATE", "TIMESTAMP"):
        for form in ("year(a)", "month(a)", "day(a)", "dayofmonth(a)", "dayofweek(a)", "weekday(a)", "dayofyear(a)", "quarter(a)", "weekofyear(a)", "last_day(a)",
                     "EXTRACT(YEAR FROM a)", "EXTRACT(MONTH FROM a)", "EXTRACT(DAY FROM a)", "EXTRACT(QUARTER FROM a)", "EXTRACT(WEEK FROM a)", "EXTRACT(DAYOFWEEK FROM a)", "EXTRACT(DOY FROM a)",
                     "add_months(a, 1)", "add_months(a, -13)", "date_add(a, 1)", "date_add(a, -31)", "date_sub(a, 1)",
                     "a + INTERVAL 30 DAY", "a - INTERVAL 30 DAYS", "a + INTERVAL '90' DAY", "a + INTERVAL 1 MONTH", "a - INTERVAL '3' MONTH", "a + INTERVAL 1 YEAR", "a - INTERVAL '1' YEAR", "a + INTERVAL 1 HOUR",
                     "CAST(a AS STRING)", "CAST(a AS TIMESTAMP)", "CAST(a AS DATE)", "trunc(a, 'MM')", "trunc(a, 'YEAR')", "trunc(a, 'WEEK')", "trunc(a, 'QUARTER')", "date_trunc('MONTH', a)", "date_trunc('DAY', a)", "date_trunc('YEAR', a)", "date_trunc('HOUR', a)", "date_trunc('WEEK', a)",
                     "hour(a)", "minute(a)", "second(a)", "unix_timestamp(a)", "to_date(a)", "datediff(a, DATE '2000-01-01')", "datediff(DATE '2000-01-01', a)", "months_between(a, DATE '2000-01-31')", "next_day(a, 'MO')",
                     "a > DATE '2000-01-01'", "a >= '2000-01-01'", "a < TIMESTAMP '2000-01-01 00:00:00'", "a BETWEEN DATE '1970-01-01' AND DATE '2025-01-01'", "a BETWEEN '1970-01-01' AND '2025-01-01'", "a = DATE '2024-02-29'", "a IN (DATE '2024-02-29')", "a IN ('2024-02-29')",
                     "a BETWEEN CAST('1999-02-22' AS DATE) AND CAST('2025-02-22' AS DATE) + INTERVAL 30 DAYS", "a + 1", "a - 1", "a - DATE '2000-01-01'",
                     "date_format(a, 'yyyy-MM')", "unix_date(a)", "dayname(a)", "monthname(a)", "make_date(2024, 2, 29)", "date_diff(a, DATE '2000-01-01')"):  # fmt: skip
            yield from _rows(form, kind)
    for form in ("datediff(a, b)", "months_between(a, b)", "a - b"):
        yield from _rows(form, "DATE", "DATE")
    for form in ("a + 5", "a - 5", "a BETWEEN '1970-01-01' AND DATE '2025-01-01'", "a = '2024-02-29'", "a <> '2024-02-29'", "a < '2024-02-29'", "a <= '2024-02-29'", "a > '2024-02-29'", "a BETWEEN '1999-02-22' AND CAST('1999-02-22' AS DATE) + INTERVAL 60 DAYS", "a BETWEEN '1999-02-22' AND DATE '1999-02-22' + INTERVAL '60' DAY", "a BETWEEN '1999-02-22' AND date_add(DATE '1999-02-22', 60)", "a > CAST('1999-02-22' AS DATE) + 5", "a > DATE '1999-02-22' + 5"):  # fmt: skip
        yield from _rows(form, "DATE")
    for form in ("array(a, b)[0]", "array(a, b)[1]", "array(a, b)[2]", "size(array(a, b))", "array_contains(array(a, b), 1)", "element_at(array(a, b), 1)", "element_at(array(a, b), -1)", "element_at(array(a, b), 3)",
                 "array_max(array(a, b))", "array_min(array(a, b))", "array_distinct(array(a, b))", "sort_array(array(a, b))", "array_position(array(a, b), 1)",
                 "pmod(a, b)", "mod(a, b)", "shiftleft(a, 2)", "try_divide(a, b)", "atan2(a, b)", "a DIV 2", "round(a / 7, 2)"):  # fmt: skip
        yield from _rows(form, "INT", "INT", most=40)
    for literal in ("1", "1L", "1.50", "0.05", "1e3", "1.5D", "'x'", "DATE '2024-02-29'", "NULL", "true", "TIMESTAMP '2024-01-01 00:00:00'", "1.25BD", "9999999999", "-5", "INTERVAL 1 DAY", "12345678901234567890",
                    "1 + 1", "1 / 3", "1.0 / 3", "2147483647 + 1", "1.10 * 1.10", "'a' || 'b'", "0.5 + 1", "100 * 1.5"):  # fmt: skip
        yield Case(f"SELECT {literal} AS r FROM g", ("INT",), (("1",),))


_GROUPS: dict[str, tuple[Rows, ...]] = {
    kind: (
        tuple((value,) for value in EDGES[kind] if value not in ("9223372036854775807", "-9223372036854775808", "1e300", "NaN", "Infinity", "-Infinity")),
        tuple((value,) for value in EDGES[kind][:4]) * 2,
        tuple((value,) for value in EDGES[kind]),
        ((None,), (None,)),
        (),
        ((EDGES[kind][1],),),
    )
    for kind in PLAIN
}  # fmt: skip


def _aggregates() -> Iterator[Case]:
    every = ("count(a)", "count(*)", "count(1)", "count(DISTINCT a)", "min(a)", "max(a)", "count(a) FILTER (WHERE a IS NOT NULL)", "any_value(a) IS NULL", "approx_count_distinct(a)", "count_if(a IS NULL)",
             "count(DISTINCT a, a)", "max(a) OVER ()", "min(a) OVER ()", "count(*) OVER ()", "count(a) OVER (PARTITION BY a)", "mode(a) IS NULL")  # fmt: skip
    numeric = ("sum(a)", "avg(a)", "sum(DISTINCT a)", "avg(DISTINCT a)", "sum(a) FILTER (WHERE a > 0)", "stddev_samp(a)", "stddev(a)", "stddev_pop(a)", "variance(a)", "var_pop(a)", "var_samp(a)", "sum(a) / count(a)", "sum(a) * 2",
               "sum(a) / sum(a + 1)", "avg(a) / 2", "sum(CASE WHEN a > 0 THEN a ELSE 0 END)", "sum(CASE WHEN a > 0 THEN 1 ELSE 0 END)", "sum(a) > 0", "round(avg(a), 2)", "avg(a) OVER ()", "sum(a) OVER ()",
               "sum(a) OVER (PARTITION BY a)", "avg(a) OVER (PARTITION BY a)", "avg(a + 1)", "avg(a * 2)", "sum(a * a)", "median(a)", "percentile(a, 0.5)", "corr(a, a)", "skewness(a)", "sum(a) * 100 / sum(sum(a)) OVER ()",
               "stddev_samp(a) / avg(a)", "sum(a) OVER (ORDER BY a ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)", "sum(coalesce(a, 0))", "avg(CAST(a AS DOUBLE))", "sum(-a)", "avg(CAST(a AS DECIMAL(12,2)))",
               "CASE WHEN avg(a) > 0 THEN abs(sum(a) - avg(a)) / avg(a) ELSE NULL END", "CASE WHEN sum(a) > 0 THEN sum(a) / 2 END", "CAST(sum(a) AS DOUBLE) / 3", "sum(a) - avg(a)", "0.9 * avg(a)", "1.2 * avg(a)", "0.5 * sum(a)", "sum(a * (1 - a / 1000))")  # fmt: skip
    for kind in PLAIN:
        for rows in _GROUPS[kind]:
            for form in every:
                yield Case(f"SELECT {form} AS r FROM g", (kind,), rows)
            if kind in NUMBERS:
                for form in numeric:
                    yield Case(f"SELECT {form} AS r FROM g", (kind,), rows)
    for kind in ("STRING", "BOOLEAN"):
        for rows in _GROUPS[kind]:
            for form in ("bool_and(a = a)", "every(a IS NULL)", "some(a IS NULL)", "bool_or(a IS NULL)", "sort_array(collect_list(a))", "sort_array(collect_set(a))", "size(collect_list(a))", "max_by(a, a)", "min_by(a, a)", "listagg(a)"):  # fmt: skip
                yield Case(f"SELECT {form} AS r FROM g", (kind,), rows)


def _queries() -> Iterator[Case]:
    for kind in PLAIN:
        rows = _GROUPS[kind][1] + _GROUPS[kind][2]
        for sql in (
            "SELECT a FROM g ORDER BY a", "SELECT a FROM g ORDER BY a DESC", "SELECT a FROM g ORDER BY a NULLS LAST", "SELECT a FROM g ORDER BY a DESC NULLS FIRST", "SELECT a FROM g ORDER BY 1",
            "SELECT a, count(*) FROM g GROUP BY a", "SELECT a, count(*) FROM g GROUP BY 1", "SELECT DISTINCT a FROM g", "SELECT a FROM g UNION SELECT a FROM g", "SELECT a FROM g UNION ALL SELECT a FROM g",
            "SELECT a FROM g INTERSECT SELECT a FROM g", "SELECT a FROM g EXCEPT SELECT a FROM g WHERE a IS NULL", "SELECT a FROM g MINUS SELECT NULL FROM g",
            "SELECT a, count(*) FROM g GROUP BY ROLLUP (a)", "SELECT a, grouping(a), count(*) FROM g GROUP BY CUBE (a)", "SELECT a, count(*) FROM g GROUP BY GROUPING SETS ((a), ())", "SELECT a, count(*) FROM g GROUP BY a WITH ROLLUP",
            "SELECT x.a FROM g x JOIN g y ON x.a = y.a", "SELECT x.a, y.a FROM g x LEFT JOIN g y ON x.a = y.a", "SELECT x.a, y.a FROM g x LEFT OUTER JOIN g y ON x.a = y.a", "SELECT x.a, y.a FROM g x RIGHT JOIN g y ON x.a = y.a", "SELECT x.a, y.a FROM g x RIGHT OUTER JOIN g y ON x.a = y.a",
            "SELECT x.a, y.a FROM g x FULL JOIN g y ON x.a = y.a", "SELECT x.a, y.a FROM g x FULL OUTER JOIN g y ON x.a = y.a", "SELECT x.a, y.a FROM g x CROSS JOIN g y", "SELECT x.a, y.a FROM g x, g y WHERE x.a = y.a", "SELECT x.a, y.a FROM g x INNER JOIN g y ON x.a = y.a", "SELECT x.a FROM g x LEFT SEMI JOIN g y ON x.a = y.a", "SELECT x.a FROM g x LEFT ANTI JOIN g y ON x.a = y.a",
            "SELECT a FROM g x JOIN g y USING (a)", "SELECT a FROM g WHERE a IN (SELECT a FROM g)", "SELECT a FROM g WHERE a NOT IN (SELECT a FROM g WHERE a IS NOT NULL)", "SELECT a FROM g WHERE a NOT IN (SELECT a FROM g)", "SELECT a FROM g WHERE EXISTS (SELECT 1 FROM g y WHERE y.a = g.a)", "SELECT a FROM g WHERE NOT EXISTS (SELECT * FROM g y WHERE y.a = g.a)",
            "SELECT (SELECT max(a) FROM g) AS r FROM g", "SELECT (SELECT max(y.a) FROM g y WHERE y.a = g.a) AS r FROM g", "SELECT a FROM g WHERE a = (SELECT max(a) FROM g)", "SELECT a FROM g WHERE a > (SELECT min(a) FROM g)", "SELECT a FROM g WHERE a < (SELECT max(a) FROM g)", "SELECT a FROM g WHERE a >= (SELECT min(a) FROM g)", "SELECT a FROM g WHERE a <= (SELECT max(a) FROM g)",
            "WITH q AS (SELECT a FROM g) SELECT * FROM q", "WITH q AS (SELECT a FROM g), p AS (SELECT * FROM q) SELECT * FROM p, q WHERE p.a = q.a", "SELECT * FROM (SELECT a FROM g) q", "SELECT a, count(*) c FROM g GROUP BY a HAVING count(*) > 1", "SELECT count(*) FROM g HAVING count(*) > 100", "SELECT a FROM g ORDER BY a LIMIT 3", "SELECT a FROM g LIMIT 0", "SELECT a, count(*) c FROM g GROUP BY a HAVING count(*) >= 1 ORDER BY c, a LIMIT 100", "SELECT DISTINCT a FROM g ORDER BY a LIMIT 100", "SELECT 'x' AS x, a FROM g UNION ALL SELECT NULL, a FROM g", "SELECT NULL AS x, a FROM g UNION ALL SELECT 'y', a FROM g", "SELECT a, NULL AS x FROM g UNION SELECT a, 'y' FROM g", "SELECT a FROM g WHERE EXISTS (SELECT * FROM g y WHERE y.a = g.a)", "SELECT a FROM g WHERE NOT EXISTS (SELECT 1 FROM g y WHERE y.a = g.a)", "SELECT a, grouping(a) FROM g GROUP BY ROLLUP (a) HAVING grouping(a) = 0 ORDER BY a LIMIT 5", "SELECT a, max(a) OVER (PARTITION BY a ORDER BY a ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW), sum(count(*)) OVER (PARTITION BY a ORDER BY a ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM g GROUP BY a", "SELECT a FROM g WHERE a IS NOT NULL AND NOT EXISTS (SELECT * FROM g y WHERE y.a <> g.a AND y.a > g.a)", "SELECT * FROM (SELECT a, count(*) OVER (PARTITION BY a) c FROM g) q WHERE c > 1 ORDER BY a LIMIT 100",
            "SELECT a, rank() OVER (ORDER BY a) FROM g", "SELECT a, rank() OVER (ORDER BY a DESC) FROM g", "SELECT a, dense_rank() OVER (ORDER BY a) FROM g", "SELECT a, rank() OVER (PARTITION BY a ORDER BY a) FROM g", "SELECT a, row_number() OVER (ORDER BY a) FROM g", "SELECT a, row_number() OVER (PARTITION BY a ORDER BY a) FROM g", "SELECT a, lag(a) OVER (ORDER BY a) FROM g", "SELECT a, lead(a) OVER (ORDER BY a) FROM g", "SELECT a, lag(a, 2) OVER (ORDER BY a) FROM g", "SELECT a, ntile(3) OVER (ORDER BY a) FROM g",
            "SELECT a, first_value(a) OVER (ORDER BY a) FROM g", "SELECT a, last_value(a) OVER (ORDER BY a) FROM g", "SELECT a, percent_rank() OVER (ORDER BY a) FROM g", "SELECT a, cume_dist() OVER (ORDER BY a) FROM g",
            "SELECT a, count(*) OVER (ORDER BY a) FROM g", "SELECT a, max(a) OVER (PARTITION BY a ORDER BY a ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM g", "SELECT a, rank() OVER (PARTITION BY a, a ORDER BY a DESC, a) FROM g", "SELECT a, max(a) OVER (ORDER BY a ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM g", "SELECT a, max(a) OVER (PARTITION BY a) FROM g", "SELECT a, rank() OVER (PARTITION BY grouping(a), CASE WHEN grouping(a) = 0 THEN a END ORDER BY count(*) DESC) AS r, grouping(a) + grouping(a) AS l FROM g GROUP BY ROLLUP (a)", "SELECT a, rank() OVER (PARTITION BY a ORDER BY count(*)) FROM g GROUP BY a",
            "SELECT a, NULL AS n FROM g", "SELECT 1 AS x, a FROM g UNION ALL SELECT NULL, a FROM g", "SELECT NULL AS x, a FROM g UNION ALL SELECT a, a FROM g", "SELECT a FROM g WHERE a IS NOT NULL AND a = a OR a IS NULL", "SELECT * FROM (SELECT a, rank() OVER (ORDER BY a) rk FROM g) q WHERE rk < 3",
            "SELECT x.a, count(DISTINCT y.a) FROM g x JOIN g y ON x.a = y.a GROUP BY x.a", "SELECT a, min(a), max(a), count(DISTINCT a), count(*) FROM g GROUP BY a ORDER BY count(*) DESC, a",
        ):  # fmt: skip
            yield Case(sql, (kind,), rows)
        for form in ("SELECT a, {} FROM g GROUP BY a", "SELECT a, {} FROM g GROUP BY ROLLUP (a)"):
            for aggregate in ("sum(a)", "avg(a)", "stddev_samp(a)") if kind in NUMBERS else ():
                yield Case(form.format(aggregate), (kind,), _GROUPS[kind][0] * 2)
        if kind in NUMBERS:
            for sql in ("SELECT a, sum(a) OVER (PARTITION BY a ORDER BY a ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM g", "SELECT a, sum(a) OVER (ORDER BY a ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM g", "SELECT a, avg(a) OVER (PARTITION BY a) FROM g", "SELECT a, sum(sum(a)) OVER (PARTITION BY a) FROM g GROUP BY a", "SELECT a, sum(a) OVER (ORDER BY a) FROM g",
                        "SELECT a FROM g WHERE a > (SELECT avg(a) FROM g)", "SELECT a FROM g WHERE a > (SELECT 1.2 * avg(a) FROM g)", "SELECT a FROM g WHERE a * 2 > (SELECT sum(a) FROM g)", "SELECT a, rank() OVER (PARTITION BY a ORDER BY sum(a)) FROM g GROUP BY a", "SELECT a, rank() OVER (PARTITION BY a ORDER BY sum(a) DESC) FROM g GROUP BY a", "SELECT a, avg(sum(a)) OVER (PARTITION BY a) FROM g GROUP BY a", "SELECT sum(a) FROM g UNION ALL SELECT a FROM g", "SELECT a, (a * 2) / (SELECT count(*) FROM g) FROM g", "SELECT a, sum(a) * 100.0 / sum(sum(a)) OVER (PARTITION BY a) FROM g GROUP BY a", "SELECT a, sum(a) * 1.0 / 3 FROM g GROUP BY a"):  # fmt: skip
                yield Case(sql, (kind,), _GROUPS[kind][0])
    for left, right in itertools.permutations(
        ("INT", "BIGINT", "DECIMAL(7,2)", "DECIMAL(15,4)", "DOUBLE"), 2
    ):
        rows = tuple(itertools.zip_longest(EDGES[left][:4], EDGES[right][:4]))
        for sql in ("SELECT a FROM g UNION ALL SELECT b FROM g", "SELECT a FROM g UNION SELECT b FROM g", "SELECT x.a, y.b FROM g x JOIN g y ON x.a = y.b", "SELECT a FROM g INTERSECT SELECT b FROM g", "SELECT a FROM g WHERE a IN (SELECT b FROM g)", "SELECT a FROM g WHERE a > (SELECT min(b) FROM g)", "SELECT a FROM g WHERE a < (SELECT max(b) FROM g)", "SELECT a FROM g WHERE a = (SELECT max(b) FROM g)",
                    "SELECT a + (SELECT max(b) FROM g) FROM g", "SELECT a - (SELECT max(b) FROM g) FROM g", "SELECT a * (SELECT min(b) FROM g) FROM g", "SELECT a / (SELECT max(b) FROM g) FROM g", "SELECT (SELECT max(a) FROM g) / (SELECT max(b) FROM g)", "SELECT (SELECT max(a) FROM g) * (SELECT min(b) FROM g)", "SELECT (SELECT count(*) FROM g) / (SELECT max(b) FROM g)", "SELECT CAST((SELECT count(*) FROM g) AS DECIMAL(15,4)) / CAST((SELECT count(b) FROM g) AS DECIMAL(15,4))"):  # fmt: skip
            yield Case(sql, (left, right), rows)
