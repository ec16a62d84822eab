"""What Sail 0.7.2 is known to answer otherwise than Spark without an error: for Spark at once.

Each rule is as narrow as the difference that was found, for Spark is many times slower. A plan is
judged by its messages, SQL text by its words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from headwater.gateway.spark_connect.plans.functions import words
from headwater.gateway.spark_connect.plans.kinds import PACKAGE
from headwater.gateway.spark_connect.wording import in_order, looked_through

_FORMATTING = words("date_format to_char to_varchar from_unixtime")
_LETTER = r"[-GyMLdQqEFahkKHmsSnNVzOXxZ:/., \[\]]"
_ZONED = rf"{_LETTER}{{0,60}}[zO]{_LETTER}{{0,60}}"
"""A format of dates with a zone's name, or with its distance as `GMT-8`."""

_TEXT = re.compile(
    r"\b(?:try_parse_url|variant_explode|elt|collate|percentile_approx|approx_percentile|bround"
    r"|(?:try_)?(?:parse_json|variant_get)"
    r"|to_variant_object|(?:intersect|except|minus)\s+all)\b"
    r"|\blateral\s+(?!view\b)\w+\s*\(|\blateral\s*\(|\bvariant\s*[>)]|::\s*variant\b"
    r"|\b(?:csv|json)`?\s*\.\s*`[^`]*/"
    r"|\b(?:grouping\s+sets|rollup|cube)\s*\((?:[^'\"]{0,300}[(,\s])?\d+\s*[,)]"
    r"|\bas\s+(?:binary|interval)\b|\bcast\s*\(\s*[-+]?\s*interval\b|::\s*(?:binary|interval)\b"
    r"|\binterval\b[^(),;]{0,300}::|\b(?:histogram_numeric|make_dt_interval|from_json|json_array_length)\b"
    r"|\b(?:try_)?to_timestamp\s*\(\s*[-+]?[\d.]+\w*\s*\)|\bconv\s*\("
    r"|\bsplit\s*\([^()]{0,300},\s*(?:''|\"\")\s*[,)]"
    r"|\bin\s*\(\s*select\b[^()]{0,300}\b(?:count|sum|min|max|avg)\s*\([^()]{0,300}\)"
    r"[^()]{0,300}\bwhere\b"
    r"|\bin\s*\(\s*select\b[^()]{0,300}\bwhere\b[^()]{0,300}\bhaving\b"
    r"|\bexists\s*\(\s*select\b[^()]{0,300}\b(?:count|sum|min|max|avg)\s*\("
    r"|\bselect\s(?:(?!\b(?:from|where)\b)[^()]){0,300}\bin\s*\(\s*select\b"
    r"|\)\s*not\s+in\s*\(\s*(?:select|with|values|table|from)\b"
    r"|=>|\bnatural\s+(?:\w+\s+){0,2}join\b|\b(?:rollup|cube)\s*\([^()]{0,300}\("
    r"|\bgrouping\s+sets\s*\((?:[^()]{0,100}\([^()]{0,100}\)){0,20}[^()]{0,100}\(?[^()]{0,100}[-+*/%|]"
    r"|\bcount\s*\(\s*(?:\w+\s*\.\s*)?\*\s*,|\bcount\s*\([^()]{0,300},\s*(?:\w+\s*\.\s*)?\*\s*[,)]",
    re.IGNORECASE,
)
"""In SQL: multisets; LATERAL, whose table functions lose rows for empty arrays, and whose
subqueries have other columns; collations, which Sail ignores; variants, whose decimals become
floating point there, and whose values are cast to NULL where they do not fit; `elt`, which fails
for a number that is too high; approximate percentiles, which Spark takes from the values; `bround`,
which Sail takes for floating point; files of CSV and JSON; numbers of columns in grouping sets, and
names in their HAVING; casts to BINARY, which takes numbers there, and of intervals, whose unit is
lost; arguments by their names, taken in the order they came; NATURAL JOIN and USING, whose `a.*`
lacks the common columns; EXISTS over an aggregate; IN with a query where NULL is a value of it, NOT
IN beside OR or of several columns; CUBE and ROLLUP of groups of columns, and grouping sets of
expressions; counts of several columns by stars; names of zones in formats of dates; `to_timestamp`
of seconds, taken for microseconds; random numbers under WITH, drawn anew for each use; the types of
decimals that a set operation widens; `conv` beyond 63 bits; `split` at nothing; IN over an
aggregate of no rows; JSON of other types than were asked for."""

_IN_ORDER = tuple(
    (re.compile(first, re.IGNORECASE), re.compile(then, re.IGNORECASE))
    for first, then in (
        (r"\b(?:grouping\s+sets|rollup|cube)\b", r"\bhaving\b"),
        (r"\.\s*\*", r"\busing\s*\("),
        (r"\bor\b|\bcase\b|\bif\s*\(", r"\bnot\s+in\s*\(\s*(?:select|with|values|table|from)\b"),
        (r"\bnot\s+in\s*\(\s*(?:select|with|values|table|from)\b", r"\bor\b"),
        (r"\bwith\b", r"\b(?:rand|randn|random|uuid|shuffle|randstr|uniform)\s*\("),
        (r"\bdecimal\s*\(", r"\b(?:union|except|minus|intersect)\b"),
        (rf"\b(?:{'|'.join(_FORMATTING)})\b", rf",\s*'(?-i:{_ZONED})'"),
    )
)
"""Likewise, where one comes after the other, at any distance."""

_FUNCTIONS = words(
    """
    approx_percentile bround collate conv elt from_json histogram_numeric json_array_length
    make_dt_interval parse_json percentile_approx to_variant_object try_parse_json try_parse_url
    try_variant_get variant_explode variant_explode_outer variant_get
    years months days hours bucket
    """
)
"""Functions of DataFrames; the last five are none in Spark but transforms of partitions."""

_SUMMARIES = frozenset({"count", "mean", "stddev", "min", "25%", "50%", "75%", "max"})
"""What Sail knows of `summary`; it leaves other percentiles out without a word."""

_TYPES = re.compile(
    r"\bcollate\b|__COLLATIONS|\"\w*type\"\s*:\s*\"variant\"|\"class\"\s*:\s*\"org\."
    r"|(?:^|[\s:<,])variant\s*(?:$|[,>)]|not\b|comment\b)",
    re.IGNORECASE,
)
"""Types that Sail takes for others, in schemas of either form; and those of users in the JVM."""

_FILES = re.compile(r"\s*`?(?:csv|json)`?\s*\.\s*`", re.IGNORECASE)
_TYPE_OF_USER = re.compile(r'"type"\s*:\s*"udt"')
_SIZED = re.compile(r"\b(?:var)?char\s*\(", re.IGNORECASE)
_PLAIN_ORDER = frozenset({"", "UTF8_BINARY"})
_NOT_NULL = re.compile(r"\bnot\s+null\b", re.IGNORECASE)

_MAP_IN_ARROW = 207
_GROUPS_IN_PARTS = frozenset({215, 216})
"""Kinds of functions that get each group in parts; the numbers are of `pyspark.util`."""


def differs(plan: Any) -> bool:
    """True for a plan that Sail would answer otherwise than Spark."""
    python = typed = ranged = False
    waiting = [plan]
    while waiting:
        found = waiting.pop()
        kind = found.DESCRIPTOR.full_name.removeprefix(PACKAGE)
        rule = _RULES.get(kind)
        if rule is not None and rule(found):
            return True
        python = python or kind == "PythonUDF"
        typed = typed or _is_for_functions_of_spark(kind, found)
        ranged = ranged or (kind == "RepartitionByExpression" and _is_by_range(found))
        if kind == "WriteOperationV2":
            waiting.append(found.input)  # beside it are transforms of partitions
        else:
            waiting += _inside(found)
    # Rows on Sail do not come in the order of `repartitionByRange`; what is written has none.
    is_query = plan.DESCRIPTOR.name == "Plan" and plan.HasField("root")
    return (python and typed) or (ranged and is_query)


def _is_for_functions_of_spark(kind: str, found: Any) -> bool:
    """A type that functions of the user's own have on Spark alone.

    Sail gives them the bare values of types of users, and lets them answer with CHAR and VARCHAR.
    """
    if kind == "LocalRelation":
        return _TYPE_OF_USER.search(found.schema) is not None
    if kind == "DataType.Unparsed":
        return _SIZED.search(found.data_type_string) is not None
    return kind in ("DataType.UDT", "DataType.Char", "DataType.VarChar")


def _is_by_range(found: Any) -> bool:
    return any(each.HasField("sort_order") for each in found.partition_exprs)


def _inside(message: Any) -> Iterator[Any]:
    """The messages right inside a message."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if not field.is_repeated:
            yield value
        elif not field.message_type.GetOptions().map_entry:
            yield from value
        elif field.message_type.fields_by_name["value"].message_type is not None:
            yield from value.values()


def _set_operation(found: Any) -> bool:
    if not found.is_all:
        return False
    kind = found.DESCRIPTOR.enum_types_by_name["SetOpType"].values_by_number
    return kind[found.set_op_type].name in ("SET_OP_TYPE_INTERSECT", "SET_OP_TYPE_EXCEPT")


def _is_in(found: Any) -> bool:
    kind = found.DESCRIPTOR.enum_types_by_name["SubqueryType"].values_by_number
    name: str = kind[found.subquery_type].name
    return name == "SUBQUERY_TYPE_IN"


def _text(text: str) -> bool:
    plain = looked_through(text)
    if plain is None or _TEXT.search(plain) is not None:
        return True
    return any(in_order(plain, first, then) for first, then in _IN_ORDER)


def _type(text: str) -> bool:
    return _TYPES.search(text) is not None


def _cast(found: Any) -> bool:
    # Numbers become bytes there, in the wrong order, where Spark refuses them.
    to_bytes = found.type_str.strip().lower() == "binary" or found.type.HasField("binary")
    return to_bytes or _type(found.type_str)


def _is_text_format(name: str) -> bool:
    """True for CSV and JSON, by name or by the class of old."""
    return "csv" in name.lower() or "json" in name.lower()


def _options(found: Any) -> bool:
    return any(key.lower() in ("linesep", "lineseparator") for key in found.options)


def _source(found: Any) -> bool:
    # What zone a Parquet file's timestamps are in, only its footer tells; see `instants`.
    instants = "timestamp" in found.schema.lower()
    return instants or _type(found.schema) or _is_text_format(found.format) or _options(found)


def _mapped(found: Any) -> bool:
    """True for barriers, which Sail ignores, and columns that it does not hold to be NOT NULL."""
    udf = found.func.python_udf
    if found.is_barrier or udf.eval_type != _MAP_IN_ARROW:
        return bool(found.is_barrier)
    told = udf.output_type.unparsed.data_type_string
    return _NOT_NULL.search(told) is not None or any(
        not field.nullable for field in udf.output_type.struct.fields
    )


def _python(found: Any) -> bool:
    # Sail has each group in one part, however large it is, and no task of which to tell.
    return found.eval_type in _GROUPS_IN_PARTS or b"TaskContext" in found.command


def _function(found: Any) -> bool:
    name = found.function_name.lower()
    if any(each.HasField("named_argument_expression") for each in found.arguments):
        return True
    if name in _FORMATTING and len(found.arguments) > 1:
        return re.fullmatch(_ZONED, found.arguments[1].literal.string) is not None
    return name in _FUNCTIONS or (name == "split" and _is_empty(found.arguments))


def _is_empty(arguments: Any) -> bool:
    """True for a second argument that is an empty string."""
    if len(arguments) < 2 or not arguments[1].HasField("literal"):
        return False
    kind = arguments[1].literal.WhichOneof("literal_type")
    return kind == "string" and not arguments[1].literal.string


_RULES: dict[str, Callable[[Any], bool]] = {
    "LateralJoin": lambda _: True,
    # Table arguments, `analyze` and many types are Spark's alone.
    "PythonUDTF": lambda _: True,
    # Sail casts what Spark refuses, and lets NULL into columns that have none.
    "ToSchema": lambda _: True,
    "MapPartitions": _mapped,
    "PythonUDF": _python,
    "StatSummary": lambda found: not _SUMMARIES.issuperset(found.statistics),
    "SetOperation": _set_operation,
    # Where it does not decide alone which rows stay, NULL is no value of it there.
    "SubqueryExpression": _is_in,
    "SQL": lambda found: _text(found.query),
    "Expression.ExpressionString": lambda found: _text(found.expression),
    "Expression.UnresolvedFunction": _function,
    "CallFunction": _function,
    "UnresolvedTableValuedFunction": _function,
    "DataType.Variant": lambda _: True,
    "DataType.UDT": lambda found: bool(found.jvm_class),
    "DataType.String": lambda found: found.collation not in _PLAIN_ORDER,
    "DataType.Unparsed": lambda found: _type(found.data_type_string),
    "Expression.Cast": _cast,
    "LocalRelation": lambda found: _type(found.schema),
    # CSV: quotes in quotes, white space, empty values, faulty lines and encodings are read and
    # written in other ways, options ignored. JSON: other types and orders of columns are inferred,
    # names compared by their case, formats of dates and NULL ignored. Of text: `lineSep`.
    "Read.DataSource": _source,
    "Read.NamedTable": lambda found: _FILES.match(found.unparsed_identifier) is not None,
    "WriteOperation": lambda found: _is_text_format(found.source) or _options(found),
}
"""What is asked of a message, by its kind: True when Spark must answer."""
