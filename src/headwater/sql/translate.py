"""Rewrites a typed expression of Trino's or Spark's dialect so that DuckDB computes the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sqlglot import exp
from sqlglot.dialects.hive import Hive
from sqlglot.time import format_time

from headwater.errors import ErrorCode, error
from headwater.model.statement import Dialect
from headwater.sql.filling import fill, parsed, template
from headwater.sql.functions import unknown_function
from headwater.sql.lambdas import LAMBDAS, str_to_map
from headwater.sql.rows import cast_row, constructor, subscript
from headwater.sql.spark_decimals import average_of, bounded, divide, exact_quotient
from headwater.sql.templates import AGGREGATES, PASSED_ON, TEMPLATES
from headwater.sql.trees import node_position

DIVISION_BY_ZERO = "headwater: division by zero"
"""Part of what the engine raises when a divisor is zero in a dialect that forbids it."""

_DATE = (exp.DType.DATE,)

Rule = Callable[[Any, Dialect], exp.Expr | None]


def translate(tree: exp.Expr, dialect: Dialect) -> exp.Expr:
    """The expression for DuckDB; subqueries inside were translated when they were bound.

    Every node keeps the type that it had in its own dialect.
    """
    holder = exp.Paren(this=tree)
    for node in reversed(list(tree.walk(prune=_is_query))):
        if _is_query(node):
            continue
        replacement = _rewritten(node, dialect)
        if replacement is not None and replacement is not node:
            replacement.type = node.type.copy() if node.type is not None else None
            if node.parent is not None:
                node.replace(replacement)
    result: exp.Expr = holder.this
    result.pop()
    return result


def _is_query(node: exp.Expr) -> bool:
    return isinstance(node, exp.Query)


def _rewritten(node: exp.Expr, dialect: Dialect) -> exp.Expr | None:
    if isinstance(node, exp.DataType):
        return _data_type(node)
    if isinstance(node, exp.Anonymous):
        return _anonymous(node, dialect)
    if dialect is Dialect.DUCKDB:
        return None
    rule = _RULES.get(type(node))
    return rule(node, dialect) if rule is not None else None


def _anonymous(node: exp.Anonymous, dialect: Dialect) -> exp.Expr:
    name = node.name.lower()
    key = f"{name}/{len(node.expressions)}"
    if (text := TEMPLATES[dialect].get(key)) is not None:
        return exp.Paren(this=fill(text, node.expressions))
    if (pair := AGGREGATES[dialect].get(key)) is not None:
        return _aggregate(node, fill(pair[0], node.expressions), pair[1])
    if dialect is Dialect.TRINO and (special := LAMBDAS.get(key)) is not None:
        return special(node)
    if dialect is Dialect.TRINO and name in ("format_datetime", "parse_datetime"):
        return _joda(name, node.expressions)
    if dialect is Dialect.DUCKDB and name in PASSED_ON:
        return node
    raise unknown_function(node, dialect)


def _aggregate(node: exp.Expr, call: exp.Expr, around: str) -> exp.Expr:
    """Puts the call where the aggregate stood, and the rest around its FILTER and OVER."""
    if around == "$0":
        return call
    top = node
    while isinstance(top.parent, exp.Filter | exp.Window | exp.WithinGroup | exp.IgnoreNulls) and (
        top.arg_key == "this"
    ):
        top = top.parent
    if top is node:
        return template(around, call)
    node.replace(call)
    inner = top.copy()
    wrapped = template(around, inner)
    wrapped.type = node.type
    top.replace(wrapped)
    return wrapped


# --- numbers ----------------------------------------------------------------------------------


def _is_integer(node: exp.Expr) -> bool:
    return node.is_type(*exp.DataType.INTEGER_TYPES)


def _divisor(node: exp.Expr, dividend: exp.Expr | None = None) -> exp.Expr:
    """The divisor, an error when it is zero; a constant that is not zero stays plain.

    With a dividend (Spark's rule) there is no error where that is NULL: NULL / 0 is NULL.

    The error is a failing cast: `error()` would make the expression volatile for DuckDB.
    """
    bare = node.unnest()
    if isinstance(bare, exp.Neg):
        bare = bare.this
    if isinstance(bare, exp.Literal) and not bare.is_string and float(bare.this) != 0:
        return node
    if node.find_ancestor(exp.Try) is not None:
        return node
    if dividend is not None:
        return fill(
            f"CASE WHEN $1 = 0 AND $2 IS NOT NULL THEN CAST('{DIVISION_BY_ZERO}' AS TINYINT) "
            "ELSE $1 END",
            [node, dividend],
        )
    return fill(f"CASE WHEN $1 = 0 THEN CAST('{DIVISION_BY_ZERO}' AS TINYINT) ELSE $1 END", [node])


def _divide(node: exp.Div, dialect: Dialect) -> exp.Expr | None:
    left, right = node.this, node.expression
    if _is_integer(left) and _is_integer(right) and dialect is Dialect.TRINO:
        return exp.Paren(this=exp.IntDiv(this=_operand(left), expression=_operand(_divisor(right))))
    dividend = left if dialect is Dialect.SPARK else None
    if dividend is not None and (exact := divide(node, _divisor(right, left))) is not None:
        return exact
    floats = (exp.DType.FLOAT, exp.DType.DOUBLE)
    if dialect is Dialect.TRINO and (_is_float(left, floats) or _is_float(right, floats)):
        return None
    return exp.Paren(
        this=exp.Div(
            this=_operand(left), expression=_operand(_divisor(right, dividend)), typed=False
        )
    )


def _is_float(node: exp.Expr, kinds: tuple[exp.DType, ...]) -> bool:
    # sqlglot takes every literal with a point for a double; in Trino it is a decimal.
    bare = node.unnest()
    if isinstance(bare, exp.Literal):
        return "e" in bare.this.lower() and not bare.is_string
    return node.is_type(*kinds)


def _operand(node: exp.Expr) -> exp.Expr:
    copy: exp.Expr = node.copy()
    return exp.Paren(this=copy) if isinstance(copy, exp.Binary | exp.Unary) else copy


def _modulo(node: exp.Mod, dialect: Dialect) -> exp.Expr | None:
    dividend = node.this if dialect is Dialect.SPARK else None
    divisor = _divisor(node.expression, dividend)
    if divisor is node.expression:
        return None
    return exp.Mod(this=node.this.copy(), expression=exp.Paren(this=divisor.copy()))


def _whole_quotient(node: exp.IntDiv, dialect: Dialect) -> exp.Expr | None:
    """Spark's `DIV` gives a bigint, and fails where DuckDB's gives NULL."""
    if dialect is not Dialect.SPARK:
        return None
    return template(
        "CAST(CAST($1 AS BIGINT) // $2 AS BIGINT)",
        exp.Null(), node.this, _divisor(node.expression, node.this),
    )  # fmt: skip


def _like(node: exp.Like, dialect: Dialect) -> exp.Expr | None:
    """A backslash escapes in Spark's patterns, unless ESCAPE says otherwise."""
    pattern = node.expression
    plain = isinstance(pattern, exp.Literal) and "\\" not in pattern.this
    if dialect is not Dialect.SPARK or plain or isinstance(node.parent, exp.Escape):
        return None
    return exp.Escape(this=node.copy(), expression=exp.Literal.string("\\"))


def _substring(node: exp.Substring, dialect: Dialect) -> exp.Expr | None:
    """Spark's substring counts from 1, and takes 0 for 1."""
    start = node.args.get("start")
    if dialect is not Dialect.SPARK or start is None:
        return None
    bare = start.this if isinstance(start, exp.Neg) else start
    if isinstance(bare, exp.Literal):
        if bare.this == "0":
            node.set("start", exp.Literal.number(1))
        return None
    node.set("start", fill("CASE WHEN $1 = 0 THEN 1 ELSE $1 END", [start]))
    return None


def _count_if(node: exp.CountIf, dialect: Dialect) -> exp.Expr | None:
    if dialect is not Dialect.SPARK:
        return None
    return fill("count(CASE WHEN $1 THEN 1 END)", [node.this])


def _sum(node: exp.Sum, dialect: Dialect) -> exp.Expr | None:
    value = node.this.this if isinstance(node.this, exp.Distinct | exp.Order) else node.this
    if isinstance(node.this, exp.Distinct) and node.this.expressions:
        value = node.this.expressions[0]
    if not isinstance(value, exp.Expr) or not _is_integer(value):
        return None
    return _aggregate(node, node.copy(), "CAST($0 AS BIGINT)")


def _average(node: exp.Avg, dialect: Dialect) -> exp.Expr | None:
    """Spark's average of decimals is a decimal; the sum and the count take its FILTER and OVER."""
    if dialect is not Dialect.SPARK:
        return None
    parts = average_of(node)
    if parts is None:
        # Spark adds up doubles, DuckDB whole numbers of 128 bits.
        value = node.this.expressions[0] if isinstance(node.this, exp.Distinct) else node.this
        if value.is_type(exp.DType.BIGINT):
            value.replace(exp.Cast(this=value.copy(), to=exp.DType.DOUBLE.into_expr()))
        return None
    total, count, size, scale = parts
    top: exp.Expr = node
    while isinstance(top.parent, exp.Filter | exp.Window) and top.arg_key == "this":
        top = top.parent
    counted = count
    if top is not node:
        node.replace(total)
        counted = top.copy()
        placed = counted.find(exp.Sum)
        assert placed is not None, "it was put there"
        placed.replace(count)
        total = top.copy()
    exact = exact_quotient(total, counted, size, (20, 0), scale)
    exact.type = node.type
    if top is not node:
        top.replace(exact)
    return exact


def _quantile(node: exp.ApproxQuantile, dialect: Dialect) -> exp.Expr | None:
    if not _is_integer(node.this):
        return None
    call = exp.Anonymous(
        this="approx_quantile", expressions=[node.this.copy(), node.args["quantile"].copy()]
    )
    return _aggregate(node, call, "CAST($0 AS BIGINT)")


def _random(node: exp.Rand, dialect: Dialect) -> exp.Expr | None:
    bounds = [
        value for key in ("lower", "upper", "this") if (value := node.args.get(key)) is not None
    ]
    if dialect is not Dialect.TRINO or not bounds:
        return None
    if len(bounds) == 1:
        return template("CAST(floor(random() * $1) AS BIGINT)", exp.Null(), *bounds)
    return template("CAST(floor(random() * ($2 - $1)) AS BIGINT) + $1", exp.Null(), *bounds)


def _width_bucket(node: exp.WidthBucket, dialect: Dialect) -> exp.Expr:
    arguments = [node.this, *(node.args[key] for key in ("min_value", "max_value", "num_buckets"))]
    return template(
        "CAST(CASE WHEN $1 < $2 THEN 0 WHEN $1 >= $3 THEN $4 + 1 "
        "ELSE floor(($1 - $2) * $4 / ($3 - $2)) + 1 END AS BIGINT)",
        exp.Null(),
        *arguments,
    )


# --- text -------------------------------------------------------------------------------------


def _regexp_replace(node: exp.RegexpReplace, dialect: Dialect) -> exp.Expr | None:
    replacement = node.args.get("replacement")
    if isinstance(replacement, exp.Lambda):
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "regexp_replace with a function is not supported",
            position=node_position(node),
        )
    if isinstance(replacement, exp.Literal) and replacement.is_string:
        text = re.sub(r"\\(?!\$)", r"\\\\", replacement.this)
        text = re.sub(r"(?<!\\)\$(\d)", r"\\\1", text).replace("\\$", "$")
        replacement.replace(exp.Literal.string(text))
    elif replacement is not None:
        replacement.replace(
            template("regexp_replace($1, '\\$(\\d)', '\\\\\\1', 'g')", exp.Null(), replacement)
        )
    return None


def _position(node: exp.StrPosition, dialect: Dialect) -> exp.Expr | None:
    if node.args.get("occurrence") is None:
        return None
    raise error(
        ErrorCode.NOT_SUPPORTED,
        "strpos of another than the first occurrence is not supported",
        hint="cut the text with substr first",
        position=node_position(node),
    )


def _split(node: exp.Split, dialect: Dialect) -> exp.Expr | None:
    """`split(text, delimiter, limit)`: the last element holds the rest."""
    limit = node.args.get("limit")
    if limit is None or dialect is not Dialect.TRINO:
        return None
    return template(
        "CASE WHEN len(str_split($1, $2)) <= $3 THEN str_split($1, $2) ELSE list_append("
        "list_slice(str_split($1, $2), 1, $3 - 1), array_to_string("
        "list_slice(str_split($1, $2), $3, len(str_split($1, $2))), $2)) END",
        exp.Null(),
        node.this,
        node.expression,
        limit,
    )


def _reverse(node: exp.Reverse, dialect: Dialect) -> exp.Expr | None:
    if not node.this.is_type(exp.DType.ARRAY, exp.DType.LIST):
        return None
    return template("list_reverse($1)", exp.Null(), node.this)


def _slice(node: exp.ArraySlice, dialect: Dialect) -> exp.Expr:
    start, length = node.args["start"], node.args["end"]
    return template(
        "list_slice($1, $2, CASE WHEN $2 < 0 AND $2 + $3 >= 0 THEN -1 ELSE $2 + $3 - 1 END)",
        exp.Null(),
        node.this,
        start,
        length,
    )


def _digest(node: exp.SHA2, dialect: Dialect) -> exp.Expr | None:
    length = node.args.get("length")
    if length is not None and length.name not in ("", "0", "256"):
        raise error(
            ErrorCode.NOT_SUPPORTED,
            f"SHA-{length.name} is not supported",
            hint="sha256 is",
            position=node_position(node),
        )
    return None


def _sha1(node: exp.SHA, dialect: Dialect) -> exp.Expr | None:
    return template("unhex(sha1($1))", exp.Null(), node.this) if dialect is Dialect.TRINO else None


def _joda(name: str, arguments: list[exp.Expr]) -> exp.Expr:
    if len(arguments) != 2 or not isinstance(arguments[1], exp.Literal):
        raise error(ErrorCode.NOT_SUPPORTED, f"{name} needs its format as a constant")
    text = format_time(arguments[1].this, Hive.TIME_MAPPING) or ""
    return template("strftime($1, $2)", exp.Null(), arguments[0], exp.Literal.string(text))


def _parse_datetime(node: exp.ParseDatetime, dialect: Dialect) -> exp.Expr:
    pattern = node.args.get("format")
    if not isinstance(pattern, exp.Literal):
        raise error(ErrorCode.NOT_SUPPORTED, "parse_datetime needs its format as a constant")
    text = format_time(pattern.this, Hive.TIME_MAPPING) or ""
    return template(
        "CAST(strptime($1, $2) AS TIMESTAMPTZ)", exp.Null(), node.this, exp.Literal.string(text)
    )


# --- time -------------------------------------------------------------------------------------


def _as_date(node: exp.Expr, dialect: Dialect) -> exp.Expr | None:
    """Arithmetic on a date stays a date where the interval has no time of day."""
    left, right = node.this, node.expression
    for value, interval in ((left, right), (right, left)):
        if value.is_type(*_DATE) and isinstance(interval, exp.Interval) and _is_days(interval):
            return exp.Cast(this=exp.Paren(this=node.copy()), to=exp.DType.DATE.into_expr())
    return bounded(node, dialect)


def _is_days(interval: exp.Interval) -> bool:
    unit = str(interval.unit.name if interval.unit is not None else "").upper().rstrip("S")
    return unit in ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR")


_SPARK_UNITS = {"MM": "MONTH", "MON": "MONTH", "YYYY": "YEAR", "YY": "YEAR", "DD": "DAY"}


def _date_trunc(node: exp.Expr, dialect: Dialect) -> exp.Expr | None:
    unit = node.args.get("unit")
    if unit is not None and (plain := _SPARK_UNITS.get(unit.name.upper())) is not None:
        node.set("unit", exp.Var(this=plain))
    # Spark's date_trunc gives a timestamp, its trunc a date.
    stays = dialect is Dialect.TRINO or isinstance(node, exp.DateTrunc)
    if not stays or not node.this.is_type(*_DATE):
        return None
    return exp.Cast(this=node.copy(), to=exp.DType.DATE.into_expr())


def _day_of_week(node: exp.DayOfWeek, dialect: Dialect) -> exp.Expr:
    """Sunday is 1 in Spark, and 0 in DuckDB."""
    return exp.Paren(this=fill("dayofweek($1) + 1", [node.this]))


def _date_add(node: exp.Expr, dialect: Dialect) -> exp.Expr | None:
    unit = str(node.args["unit"].name if node.args.get("unit") is not None else "DAY").upper()
    if not node.this.is_type(*_DATE) or unit in ("HOUR", "MINUTE", "SECOND", "MILLISECOND"):
        return None
    return exp.Cast(this=node.copy(), to=exp.DType.DATE.into_expr())


def _date_diff(node: exp.DateDiff, dialect: Dialect) -> exp.Expr | None:
    """Trino counts whole units that passed, DuckDB's date_diff the borders that were crossed."""
    unit = node.args.get("unit")
    if dialect is not Dialect.TRINO or unit is None:
        return None
    name = exp.Literal.string(unit.name.lower())
    return fill("date_sub($1, $2, $3)", [name, node.expression, node.this])


def _extract(node: exp.Extract, dialect: Dialect) -> exp.Expr | None:
    if node.name.upper() in ("DAYOFWEEK", "DOW", "DAY_OF_WEEK"):
        text = "isodow($1)" if dialect is Dialect.TRINO else "dayofweek($1) + 1"
        return exp.Paren(this=fill(text, [node.expression]))
    return None


def _at_time_zone(node: exp.AtTimeZone, dialect: Dialect) -> exp.Expr | None:
    if node.this.is_type(exp.DType.TIMESTAMP, exp.DType.DATETIME, exp.DType.TIMESTAMPNTZ):
        return template("timezone($2, CAST($1 AS TIMESTAMPTZ))", exp.Null(), node.this,
                        node.args["zone"])  # fmt: skip
    return None


def _series(node: exp.GenerateSeries, dialect: Dialect) -> exp.Expr | None:
    start, end, step = node.args["start"], node.args["end"], node.args.get("step")
    if not start.is_type(*_DATE):
        if step is None and not node.args.get("is_end_exclusive"):
            return fill(
                "CASE WHEN $1 <= $2 THEN generate_series($1, $2) "
                "ELSE generate_series($1, $2, -1) END",
                [start, end],
            )
        return None
    return template(
        "CAST(generate_series($1, $2, $3) AS DATE[])",
        exp.Null(),
        start,
        end,
        step or parsed("INTERVAL 1 DAY"),
    )


# --- arrays, JSON -----------------------------------------------------------------------------


def _size(node: exp.ArraySize, dialect: Dialect) -> exp.Expr:
    name = "cardinality" if node.this.is_type(exp.DType.MAP) else "len"
    return template(f"CAST({name}($1) AS BIGINT)", exp.Null(), node.this)


def _any_element(node: exp.Exists, dialect: Dialect) -> exp.Expr | None:
    """Spark's `exists(array, x -> …)`, which shares its name with EXISTS of a query."""
    condition = node.args.get("expression")
    if not isinstance(condition, exp.Lambda):
        return None
    return fill("len(list_filter($1, $2)) > 0", [node.this, condition])


def _sort(node: exp.Expr, dialect: Dialect) -> exp.Expr | None:
    if isinstance(node.args.get("expression"), exp.Lambda):
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "sorting an array by a function is not supported",
            hint="array_agg(x ORDER BY …) sorts",
            position=node_position(node),
        )
    return None


def _json_contains(node: exp.JSONArrayContains, dialect: Dialect) -> exp.Expr:
    return template("json_contains($1, to_json($2))", exp.Null(), node.this, node.expression)


def _json_path(node: exp.Expr, dialect: Dialect) -> exp.Expr | None:
    path = node.args.get("path") or node.args.get("expression")
    if not isinstance(path, exp.Literal) or not path.is_string:
        return None
    text = re.sub(r"^\s*(lax|strict)\s+", "", str(path.this))
    function = "json_extract_string" if isinstance(node, exp.JSONValue) else "json_extract"
    return template(f"{function}($1, $2)", exp.Null(), node.this, exp.Literal.string(text))


# --- types ------------------------------------------------------------------------------------


def _data_type(node: exp.DataType) -> exp.Expr | None:
    if node.is_type(exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ, exp.DType.TIME) and (
        node.expressions
    ):
        precision = node.expressions[0].name
        if node.is_type(exp.DType.TIMESTAMP) and precision.isdigit() and int(precision) > 6:
            return exp.DType.TIMESTAMP_NS.into_expr()
        plain: exp.Expr = node.this.into_expr()
        return plain
    return None


def _row(node: exp.Struct, dialect: Dialect) -> exp.Expr | None:
    return constructor(node) if dialect is Dialect.TRINO else None


def _subscript(node: exp.Bracket, dialect: Dialect) -> exp.Expr | None:
    return subscript(node) if dialect is Dialect.TRINO else None


def _cast(node: exp.Cast, dialect: Dialect) -> exp.Expr | None:
    kind, value = node.to, node.this
    if dialect is Dialect.SPARK and isinstance(node, exp.TryCast) and not node.args.get("safe"):
        # sqlglot takes Spark's CAST for one that gives NULL; since Spark 4 it fails (ANSI mode).
        node = exp.Cast(this=value.copy(), to=kind.copy())
        return _cast(node, dialect) or node
    if dialect is Dialect.SPARK and kind.is_type(*exp.DataType.INTEGER_TYPES):
        fractions = (exp.DType.DECIMAL, exp.DType.FLOAT, exp.DType.DOUBLE)
        if value.is_type(*fractions):
            # Spark cuts fractions off, DuckDB rounds.
            node.set("this", template("trunc($1)", exp.Null(), value))
            return None
    if dialect is Dialect.TRINO and (paired := cast_row(node)) is not None:
        return paired
    if kind.is_type(exp.DType.DECIMAL) and not kind.expressions:
        digits = re.fullmatch(r"-?(\d*)(?:\.(\d*))?", str(value.this))
        if isinstance(value, exp.Literal) and value.is_string and digits and digits[2]:
            whole, scale = len(digits[1].lstrip("0")), len(digits[2])
            size = f"DECIMAL({max(whole + scale, 1)}, {scale})"
        else:
            size = "DECIMAL(38, 0)" if dialect is Dialect.TRINO else "DECIMAL(10, 0)"
        node.set("to", exp.DataType.build(size, dialect="duckdb"))
    return None


def _element(place: int) -> Rule:
    def rule(node: exp.Expr, dialect: Dialect) -> exp.Expr:
        return fill(f"list_extract($1, {place})", [node.this])

    return rule


_RULES: dict[type[exp.Expr], Rule] = {
    exp.Exists: _any_element,
    exp.DayOfWeek: _day_of_week,
    exp.DateDiff: _date_diff,
    exp.Extract: _extract,
    exp.ArrayFirst: _element(1),
    exp.ArrayLast: _element(-1),
    exp.Div: _divide,
    exp.Mod: _modulo,
    exp.Sum: _sum,
    exp.Avg: _average,
    exp.IntDiv: _whole_quotient,
    exp.Like: _like,
    exp.Substring: _substring,
    exp.CountIf: _count_if,
    exp.ApproxQuantile: _quantile,
    exp.Rand: _random,
    exp.WidthBucket: _width_bucket,
    exp.RegexpReplace: _regexp_replace,
    exp.Reverse: _reverse,
    exp.ArraySlice: _slice,
    exp.SHA2: _digest,
    exp.SHA2Digest: _digest,
    exp.SHA: _sha1,
    exp.ParseDatetime: _parse_datetime,
    exp.Add: _as_date,
    exp.Sub: _as_date,
    exp.Mul: bounded,
    exp.DateTrunc: _date_trunc,
    exp.TimestampTrunc: _date_trunc,
    exp.DateAdd: _date_add,
    exp.AtTimeZone: _at_time_zone,
    exp.GenerateSeries: _series,
    exp.ArraySize: _size,
    exp.ArraySort: _sort,
    exp.JSONArrayContains: _json_contains,
    exp.JSONValue: _json_path,
    exp.StrToMap: str_to_map,
    exp.StrPosition: _position,
    exp.Split: _split,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Struct: _row,
    exp.Bracket: _subscript,
}
